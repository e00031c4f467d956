//! Modules import along the data's way: only what stands above them in `lib.rs`.

use std::fs;
use std::path::Path;

/// The library's part of a file: neither comments nor its tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = code.lines().filter(|l| !l.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The Rust files of a module, its tests left out.
fn files(path: &Path, found: &mut Vec<std::path::PathBuf>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            files(&entry.unwrap().path(), found);
        }
    } else if path.is_file() && path.file_name().is_some_and(|name| name != "tests.rs") {
        found.push(path.to_owned());
    }
}

#[test]
fn imports_go_one_way() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let root = code(&src.join("lib.rs"));
    let order: Vec<&str> = root
        .lines()
        .filter_map(|line| {
            line.trim_start_matches("pub ")
                .strip_prefix("mod ")?
                .strip_suffix(';')
        })
        .collect();
    assert!(order.contains(&"graph") && order.last() == Some(&"bench"));
    for (place, module) in order.iter().enumerate() {
        let mut all = Vec::new();
        files(&src.join(module), &mut all);
        files(&src.join(module).with_extension("rs"), &mut all);
        assert!(!all.is_empty(), "no file of `{module}`");
        for file in all {
            let text = code(&file);
            for part in text.split("crate::").skip(1) {
                let name = part.split(|c: char| c != '_' && !c.is_alphanumeric());
                let name = name.clone().next().unwrap_or_default();
                assert!(
                    order[..=place].contains(&name),
                    "{} imports `crate::{name}`, which stands below `{module}` in lib.rs",
                    file.display()
                );
            }
        }
    }
}
