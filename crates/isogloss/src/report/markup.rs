//! HTML and SVG, put together so that text can't become markup.
//!
//! The only ways into [`Html`] are an element of literal names and [`Html::text`], which escapes. So whatever a run's files hold
//! stays text on the page.

use std::fmt::Write as _;

/// Markup that is whole and safe.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Html(String);

/// Whether a character may stand in HTML: no control characters but white space, no non-characters.
fn allowed(c: char) -> bool {
    let code = u32::from(c);
    match c {
        '\t' | '\n' | '\r' => true,
        _ => !c.is_control() && !(0xFDD0..=0xFDEF).contains(&code) && code & 0xFFFE != 0xFFFE,
    }
}

/// Writes text as it may stand between tags and inside quotes.
fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if allowed(c) => out.push(c),
            _ => out.push('\u{FFFD}'),
        }
    }
}

impl Html {
    /// Nothing.
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Text, escaped.
    pub(super) fn text(text: &str) -> Self {
        let mut html = Self::new();
        escape(text, &mut html.0);
        html
    }

    /// Markup that stands in this program's source.
    pub(super) fn literal(markup: &'static str) -> Self {
        Self(markup.to_owned())
    }

    /// Appends.
    pub(super) fn push(&mut self, more: impl Into<Html>) {
        self.0.push_str(&more.into().0);
    }

    /// The markup.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// A sentence with its `{places}` filled; what fills them is escaped unless it is markup already. Places without a value stay.
    pub(super) fn fill(template: &str, values: &[(&str, Html)]) -> Self {
        let mut html = Self::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((place, behind)) = after.split_once('}') else {
                break;
            };
            escape(before, &mut html.0);
            match values.iter().find(|(name, _)| *name == place) {
                Some((_, value)) => html.0.push_str(&value.0),
                None => escape(&format!("{{{place}}}"), &mut html.0),
            }
            rest = behind;
        }
        escape(rest, &mut html.0);
        html
    }
}

impl From<&str> for Html {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for Html {
    fn from(text: String) -> Self {
        Self::text(&text)
    }
}

impl From<&String> for Html {
    fn from(text: &String) -> Self {
        Self::text(text)
    }
}

impl From<Element> for Html {
    fn from(element: Element) -> Self {
        element.finish()
    }
}

impl FromIterator<Html> for Html {
    fn from_iter<T: IntoIterator<Item = Html>>(parts: T) -> Self {
        let mut html = Self::new();
        parts.into_iter().for_each(|part| html.push(part));
        html
    }
}

impl FromIterator<Element> for Html {
    fn from_iter<T: IntoIterator<Item = Element>>(parts: T) -> Self {
        parts.into_iter().map(Element::finish).collect()
    }
}

/// An element that is being written.
#[derive(Debug, Clone)]
pub(super) struct Element {
    name: &'static str,
    attributes: String,
    content: Html,
}

/// Elements of HTML that have no content and no end tag.
const VOID: [&str; 4] = ["meta", "br", "hr", "wbr"];

/// An element of this name.
pub(super) fn el(name: &'static str) -> Element {
    Element {
        name,
        attributes: String::new(),
        content: Html::new(),
    }
}

impl Element {
    /// Sets an attribute.
    pub(super) fn attr(mut self, name: &'static str, value: &str) -> Self {
        self.attributes.push(' ');
        self.attributes.push_str(name);
        self.attributes.push_str("=\"");
        escape(value, &mut self.attributes);
        self.attributes.push('"');
        self
    }

    /// Sets an attribute that has no value.
    pub(super) fn flag(mut self, name: &'static str) -> Self {
        self.attributes.push(' ');
        self.attributes.push_str(name);
        self
    }

    /// Sets an attribute to a coordinate, with a tenth of a pixel.
    pub(super) fn at(mut self, name: &'static str, value: f64) -> Self {
        let value = if value.is_finite() { value } else { 0.0 };
        let text = format!("{value:.1}");
        let text = text.strip_suffix(".0").unwrap_or(&text);
        let _ = write!(self.attributes, " {name}=\"{text}\"");
        self
    }

    /// Sets the class.
    pub(super) fn class(self, class: &str) -> Self {
        self.attr("class", class)
    }

    /// Appends content.
    pub(super) fn push(&mut self, more: impl Into<Html>) {
        self.content.push(more);
    }

    /// Appends content.
    pub(super) fn with(mut self, more: impl Into<Html>) -> Self {
        self.content.push(more);
        self
    }

    /// Appends every part.
    pub(super) fn all<T: Into<Html>>(mut self, parts: impl IntoIterator<Item = T>) -> Self {
        parts.into_iter().for_each(|part| self.content.push(part));
        self
    }

    fn finish(self) -> Html {
        let Element {
            name,
            attributes,
            content,
        } = self;
        if VOID.contains(&name) {
            return Html(format!("<{name}{attributes}>"));
        }
        Html(format!("<{name}{attributes}>{}</{name}>", content.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_never_becomes_markup() {
        let attack = "<script>alert('1')</script> & \"quoted\"";
        let escaped = "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; &quot;quoted&quot;";
        let element = el("p").attr("title", attack).with(attack);
        assert_eq!(
            Html::from(element).as_str(),
            format!("<p title=\"{escaped}\">{escaped}</p>")
        );
        // What is escaped already is escaped again: it is text.
        assert_eq!(Html::text("&lt;b&gt;").as_str(), "&amp;lt;b&amp;gt;");
    }

    #[test]
    fn characters_that_html_forbids_are_replaced() {
        assert_eq!(
            Html::text("a\0b\u{1b}c\u{85}d\u{FFFE}e\u{1FFFF}f\u{FDD0}\n").as_str(),
            "a\u{FFFD}b\u{FFFD}c\u{FFFD}d\u{FFFD}e\u{FFFD}f\u{FFFD}\n"
        );
    }

    #[test]
    fn places_are_filled_with_text() {
        let value = Html::text("<b>{other}");
        let other = Html::from(el("b").with("1"));
        let filled = Html::fill(
            "a < {x}, {other}; {none} {",
            &[("x", value), ("other", other)],
        );
        assert_eq!(
            filled.as_str(),
            "a &lt; &lt;b&gt;{other}, <b>1</b>; {none} {"
        );
    }

    #[test]
    fn empty_elements_have_no_end() {
        assert_eq!(Html::from(el("br")).as_str(), "<br>");
        assert_eq!(
            Html::from(el("rect").at("x", 1.25).at("y", 3.0).at("r", f64::NAN)).as_str(),
            "<rect x=\"1.2\" y=\"3\" r=\"0\"></rect>"
        );
    }
}
