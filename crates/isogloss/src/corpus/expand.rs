//! Paths with placeholders: `folder/{lang}.txt.gz`.

use std::fs;
use std::path::{Component, Path, PathBuf};

use regex::Regex;

use super::CorpusError;
use crate::language::Language;

/// A file that a pattern matched, and the languages that stand at its placeholders, in the order of `names`.
pub(super) struct Match {
    pub path: PathBuf,
    pub languages: Vec<Language>,
}

/// All files under `base` whose path is `pattern` with a language in place of every `{name}` of `names`, in the order of
/// their languages. A name that stands in the pattern twice must match the same text. Each name must stand in it.
pub(super) fn matching_files(
    base: &Path,
    pattern: &str,
    names: &[&str],
) -> Result<Vec<Match>, CorpusError> {
    let mut found = Vec::new();
    let (mut root, mut parts) = (base.to_owned(), Vec::new());
    for component in Path::new(pattern).components() {
        match component.as_os_str().to_str() {
            Some(part) if matches!(component, Component::Normal(_) | Component::ParentDir) => {
                parts.push(part);
            }
            // The root of an absolute path takes the place of the base.
            _ => root.push(component),
        }
    }
    walk(&root, &parts, &vec![None; names.len()], names, &mut found)?;
    found.sort_by(|a: &Match, b: &Match| (&a.languages, &a.path).cmp(&(&b.languages, &b.path)));
    for pair in found.windows(2) {
        if let [a, b] = pair
            && a.languages == b.languages
        {
            return Err(CorpusError::DuplicateLanguage {
                languages: a
                    .languages
                    .iter()
                    .map(Language::code)
                    .collect::<Vec<_>>()
                    .join("-"),
                first: a.path.display().to_string(),
                second: b.path.display().to_string(),
            });
        }
    }
    if found.is_empty() {
        return Err(CorpusError::NoFiles {
            pattern: base.join(pattern).display().to_string(),
            languages: Vec::new(),
        });
    }
    Ok(found)
}

fn walk(
    at: &Path,
    parts: &[&str],
    bound: &[Option<String>],
    names: &[&str],
    found: &mut Vec<Match>,
) -> Result<(), CorpusError> {
    let Some((part, rest)) = parts.split_first() else {
        accept(at, bound, found);
        return Ok(());
    };
    let Some(matcher) = Matcher::new(part, names) else {
        let next = at.join(part);
        return if next.exists() || !rest.is_empty() {
            walk(&next, rest, bound, names, found)
        } else {
            Ok(())
        };
    };
    let failed = |source| CorpusError::Open {
        path: at.to_owned(),
        source,
    };
    for entry in fs::read_dir(at).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let Some(texts) = entry
            .file_name()
            .to_str()
            .and_then(|name| matcher.texts(name))
        else {
            continue;
        };
        let mut now = bound.to_vec();
        let consistent = texts.into_iter().all(|(name, text)| match &now[name] {
            Some(before) => *before == text,
            None => {
                now[name] = Some(text);
                true
            }
        });
        let path = entry.path();
        if consistent && (rest.is_empty() == path.is_file()) {
            walk(&path, rest, &now, names, found)?;
        }
    }
    Ok(())
}

fn accept(path: &Path, bound: &[Option<String>], found: &mut Vec<Match>) {
    let languages: Option<Result<Vec<Language>, _>> = bound
        .iter()
        .map(|text| text.as_ref().map(|t| t.parse::<Language>()))
        .collect();
    match languages {
        Some(Ok(languages)) => found.push(Match {
            path: path.to_owned(),
            languages,
        }),
        Some(Err(error)) => tracing::warn!(path = %path.display(), "left out: {error}"),
        None => {}
    }
}

/// One component of a pattern that holds placeholders.
struct Matcher {
    regex: Regex,
    /// Index into the names for each group.
    groups: Vec<usize>,
}

impl Matcher {
    /// `None` for a component without placeholders.
    fn new(part: &str, names: &[&str]) -> Option<Self> {
        let (mut regex, mut groups, mut rest) = (String::from("^"), Vec::new(), part);
        loop {
            let next = names
                .iter()
                .enumerate()
                .filter_map(|(i, name)| {
                    let placeholder = format!("{{{name}}}");
                    rest.find(&placeholder).map(|at| (at, placeholder.len(), i))
                })
                .min();
            let Some((at, length, name)) = next else {
                break;
            };
            regex.push_str(&regex::escape(&rest[..at]));
            regex.push_str("([A-Za-z]+(?:_[A-Za-z]+)?)");
            groups.push(name);
            rest = &rest[at + length..];
        }
        regex.push_str(&regex::escape(rest));
        regex.push('$');
        if groups.is_empty() {
            None
        } else {
            Some(Matcher {
                regex: Regex::new(&regex).ok()?,
                groups,
            })
        }
    }

    fn texts(&self, name: &str) -> Option<Vec<(usize, String)>> {
        let captures = self.regex.captures(name)?;
        self.groups
            .iter()
            .enumerate()
            .map(|(i, &name)| {
                captures
                    .get(i + 1)
                    .map(|text| (name, text.as_str().to_owned()))
            })
            .collect()
    }
}

/// Whether every `{name}` stands in the pattern, so that a file's languages are known.
pub(super) fn has_placeholders(pattern: &str, names: &[&str]) -> bool {
    names
        .iter()
        .all(|name| pattern.contains(&format!("{{{name}}}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x\n").unwrap();
        }
        folder
    }

    fn codes(folder: &tempfile::TempDir, pattern: &str, names: &[&str]) -> Vec<String> {
        let found = matching_files(folder.path(), pattern, names).unwrap();
        found
            .iter()
            .map(|m| {
                m.languages
                    .iter()
                    .map(Language::code)
                    .collect::<Vec<_>>()
                    .join(" ")
            })
            .collect()
    }

    #[test]
    fn placeholders_match_languages_only() {
        let folder = folder(&[
            "a/deu_Latn.txt",
            "a/en.txt",
            "a/README.txt",
            "a/fra_Latn.tsv",
            "a/ita_Latn.txt/x",
        ]);
        assert_eq!(
            codes(&folder, "a/{lang}.txt", &["lang"]),
            ["deu_Latn", "eng_Latn"]
        );
        assert_eq!(
            codes(&folder, "./a//{lang}.txt", &["lang"]),
            ["deu_Latn", "eng_Latn"]
        );
        let absolute = format!("{}/a/{{lang}}.txt", folder.path().display());
        assert_eq!(
            codes(&folder, &absolute, &["lang"]),
            ["deu_Latn", "eng_Latn"]
        );
    }

    #[test]
    fn placeholders_in_folders_and_pairs() {
        let folder = folder(&[
            "de-en/x.de-en.tsv",
            "en-fr/x.en-fr.tsv",
            "en-it/x.it-en.tsv",
            "zho_Hans/zho_Hans.txt",
        ]);
        let pattern = "{source}-{target}/x.{source}-{target}.tsv";
        assert_eq!(
            codes(&folder, pattern, &["source", "target"]),
            ["deu_Latn eng_Latn", "eng_Latn fra_Latn"]
        );
        assert_eq!(codes(&folder, "{lang}/{lang}.txt", &["lang"]), ["zho_Hans"]);
    }

    #[test]
    fn two_spellings_and_no_match_are_errors() {
        let folder = folder(&["de.txt", "deu_Latn.txt"]);
        let error = |pattern| {
            matching_files(folder.path(), pattern, &["lang"])
                .err()
                .map(|e| e.to_string())
        };
        assert!(
            error("{lang}.txt").is_some_and(|m| m.contains("de.txt") && m.contains("are deu_Latn"))
        );
        assert!(error("{lang}.gz").is_some_and(|m| m.contains("no file matches")));
        assert!(error("no/{lang}.gz").is_some_and(|m| m.contains("cannot open")));
    }
}
