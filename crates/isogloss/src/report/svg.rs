//! Charts as SVG: scales, ticks, lines, dots and bars. Colours and lines are classes of the page's style sheet, so that they follow the
//! theme.

use super::markup::{Element, Html, el};

/// Widths that every chart is drawn in: for a telephone, and for all else. The style sheet shows one of them.
pub(super) const WIDTHS: [(f64, &str); 2] = [(320.0, "narrow"), (700.0, "wide")];

/// A scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    logarithmic: bool,
}

impl Axis {
    /// From the least to the greatest of some values, with a little room at both ends.
    pub(super) fn around(values: impl Iterator<Item = f64>) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for x in values.filter(|x| x.is_finite()) {
            low = low.min(x);
            high = high.max(x);
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        let room = match high - low {
            d if d > 0.0 => 0.06 * d,
            // All the same: some room around it, whatever its size.
            _ => 0.5 * high.abs().max(0.1),
        };
        Axis {
            low: low - room,
            high: high + room,
            logarithmic: false,
        }
    }

    /// The same for positive values on a logarithmic scale, in whole powers of ten.
    pub(super) fn logarithmic(values: impl Iterator<Item = f64>) -> Self {
        let logs = values.filter(|x| *x > 0.0).map(f64::log10);
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for x in logs {
            low = low.min(x);
            high = high.max(x);
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        Axis {
            low: (low - 0.2).floor(),
            high: (high + 0.2).ceil(),
            logarithmic: true,
        }
    }

    /// From `low` to `high` as they are.
    pub(super) fn exactly(low: f64, high: f64) -> Self {
        Axis {
            low,
            high: if high > low { high } else { low + 1.0 },
            logarithmic: false,
        }
    }

    /// Where a value stands: 0 at the low end, 1 at the high end.
    pub(super) fn share(&self, value: f64) -> f64 {
        let value = if self.logarithmic {
            value.log10()
        } else {
            value
        };
        ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    /// Round values along the scale, about `wanted` of them.
    pub(super) fn ticks(&self, wanted: usize) -> Vec<f64> {
        if self.logarithmic {
            let step = (((self.high - self.low) / wanted.max(1) as f64).ceil()).max(1.0);
            let count = ((self.high - self.low) / step).floor() as usize;
            return (0..=count)
                .map(|i| 10f64.powf(self.low + i as f64 * step))
                .collect();
        }
        let rough = (self.high - self.low) / wanted.max(1) as f64;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .into_iter()
            .map(|m| m * power)
            .find(|step| *step >= rough * 0.999)
            .unwrap_or(10.0 * power);
        let first = (self.low / step).ceil() as i64;
        let last = (self.high / step).floor() as i64;
        (first..=last).map(|i| i as f64 * step).collect()
    }
}

/// A rectangle with scales.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plot {
    pub width: f64,
    pub height: f64,
    pub left: f64,
    pub right: f64,
    pub top: f64,
    pub bottom: f64,
    pub x: Axis,
    pub y: Axis,
}

impl Plot {
    /// The place of a value on the horizontal axis.
    pub(super) fn x(&self, value: f64) -> f64 {
        self.left + (self.width - self.left - self.right) * self.x.share(value)
    }

    /// The place of a value on the vertical axis.
    pub(super) fn y(&self, value: f64) -> f64 {
        self.height - self.bottom - (self.height - self.top - self.bottom) * self.y.share(value)
    }

    /// Grid, ticks and names of the axes.
    pub(super) fn frame(
        &self,
        (x_name, y_name): (&str, &str),
        x_text: impl Fn(f64) -> String,
        y_text: impl Fn(f64) -> String,
    ) -> Html {
        let mut html = Html::new();
        let (left, right) = (self.left, self.width - self.right);
        let bottom = self.height - self.bottom;
        for tick in self.y.ticks(5) {
            let y = self.y(tick);
            html.push(line((left, y), (right, y), "grid"));
            html.push(text((left - 7.0, y + 4.0), "tick end", &y_text(tick)));
        }
        let wanted = if self.width < 400.0 { 3 } else { 6 };
        for tick in self.x.ticks(wanted) {
            let x = self.x(tick);
            html.push(line((x, bottom), (x, bottom + 4.0), "axis"));
            html.push(text((x, bottom + 18.0), "tick middle", &x_text(tick)));
        }
        html.push(line((left, bottom), (right, bottom), "axis"));
        html.push(text((right, self.height - 6.0), "name end", x_name));
        html.push(text((2.0, 13.0), "name", y_name));
        html
    }

    /// A line through points.
    pub(super) fn path(&self, points: &[(f64, f64)], class: &str) -> Element {
        let mut path = String::new();
        for (i, (x, y)) in points.iter().enumerate() {
            let command = if i == 0 { 'M' } else { 'L' };
            path += &format!("{command}{:.1} {:.1}", self.x(*x), self.y(*y));
        }
        el("path").class(class).attr("d", &path)
    }

    /// A mark at a point, of a shape that differs from series to series.
    pub(super) fn mark(&self, (x, y): (f64, f64), series: usize, title: &str) -> Element {
        shape((self.x(x), self.y(y)), series, 4.5).with(el("title").with(title))
    }
}

/// Series that look different; more start over.
pub(super) const SERIES: usize = 6;

/// A circle, square, triangle or diamond, full or hollow.
pub(super) fn shape((x, y): (f64, f64), series: usize, r: f64) -> Element {
    let class = format!("mark s{}", series % SERIES);
    let path = |d: String| el("path").class(&class).attr("d", &d);
    let (l, o) = (x - r, x + r);
    match series % SERIES {
        0 | 4 => el("circle")
            .class(&class)
            .at("cx", x)
            .at("cy", y)
            .at("r", r),
        1 | 5 => path(format!("M{l:.1} {:.1}H{o:.1}V{:.1}H{l:.1}Z", y - r, y + r)),
        2 => path(format!(
            "M{x:.1} {:.1}L{o:.1} {:.1}H{l:.1}Z",
            y - r - 1.0,
            y + r
        )),
        _ => path(format!(
            "M{x:.1} {:.1}L{:.1} {y:.1}L{x:.1} {:.1}L{:.1} {y:.1}Z",
            y - r - 1.5,
            o + 1.5,
            y + r + 1.5,
            l - 1.5
        )),
    }
}

/// A straight line.
pub(super) fn line(from: (f64, f64), to: (f64, f64), class: &str) -> Element {
    let line = el("line").class(class).at("x1", from.0).at("y1", from.1);
    line.at("x2", to.0).at("y2", to.1)
}

/// Text; the class says how it is aligned.
pub(super) fn text((x, y): (f64, f64), class: &str, content: &str) -> Element {
    el("text").class(class).at("x", x).at("y", y).with(content)
}

/// A rectangle.
pub(super) fn rect((x, y): (f64, f64), (width, height): (f64, f64), class: &str) -> Element {
    let rect = el("rect").class(class).at("x", x).at("y", y);
    rect.at("width", width.max(0.0))
        .at("height", height.max(0.0))
}

/// A picture of a size with a name for those who can't see it.
pub(super) fn picture((width, height): (f64, f64), class: &str, name: &str) -> Element {
    el("svg")
        .class(class)
        .attr("viewBox", &format!("0 0 {width} {height}"))
        .attr("role", "img")
        .attr("aria-label", name)
        .attr("focusable", "false")
}

/// A chart in both widths.
pub(super) fn both(name: &str, draw: impl Fn(f64) -> (f64, Html)) -> Html {
    WIDTHS
        .into_iter()
        .map(|(width, class)| {
            let (height, content) = draw(width);
            picture((width, height), &format!("chart {class}"), name).with(content)
        })
        .collect()
}

/// The charts in some markup in the wider width, each as a file that needs nothing else, with a style sheet of its own.
pub(super) fn alone(markup: &Html, style: &str) -> Vec<String> {
    let [.., (_, wide)] = WIDTHS;
    let start = format!("<svg class=\"chart {wide}\" viewBox=\"0 0 ");
    // Pictures don't lie within each other.
    let charts = markup.as_str().split("<svg ").skip(1).filter_map(|part| {
        let chart = format!("<svg {}</svg>", part.split("</svg>").next()?);
        let size = chart.strip_prefix(&start)?.split('"').next()?;
        let (width, height) = size.split_once(' ')?;
        let (head, content) = chart.split_once('>')?;
        let size =
            format!("xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\"");
        let head = head.replacen("<svg", &format!("<svg {size}"), 1);
        let paper = "svg { background: var(--paper); }";
        Some(format!(
            "{head}><style>\n{style}{paper}\n</style>{content}\n"
        ))
    });
    charts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounded(ticks: &[f64]) -> Vec<String> {
        ticks.iter().map(|t| format!("{t:.3}")).collect()
    }

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(
            rounded(&Axis::exactly(0.0, 10.0).ticks(5)),
            ["0.000", "2.000", "4.000", "6.000", "8.000", "10.000"]
        );
        assert_eq!(
            rounded(&Axis::exactly(1.93, 2.41).ticks(5)),
            ["2.000", "2.100", "2.200", "2.300", "2.400"]
        );
        assert_eq!(
            rounded(&Axis::exactly(-0.7, 0.7).ticks(4)),
            ["-0.500", "0.000", "0.500"]
        );
        assert_eq!(
            Axis::logarithmic([2e4, 3e6].into_iter()).ticks(4),
            [1e4, 1e5, 1e6, 1e7]
        );
    }

    #[test]
    fn scales_hold_whatever_there_is() {
        for values in [
            vec![],
            vec![f64::NAN],
            vec![0.0],
            vec![5.0, 5.0],
            vec![-1.0, 1e9],
        ] {
            let axis = Axis::around(values.iter().copied());
            for value in values.into_iter().filter(|x| x.is_finite()) {
                assert!((0.0..=1.0).contains(&axis.share(value)));
            }
            let ticks = axis.ticks(5).len();
            assert!((1..20).contains(&ticks), "{axis:?}");
        }
        let axis = Axis::logarithmic([0.0, 1000.0].into_iter());
        assert!(axis.share(1000.0) > 0.0 && axis.share(0.0) == 0.0);
        assert!((Axis::exactly(0.0, 4.0).share(1.0) - 0.25).abs() < 1e-12);
    }
}
