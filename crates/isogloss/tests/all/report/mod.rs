//! Reports on hand-made runs: the data, the page in both languages, the tables, and what is missing.

mod made;
mod missing;

use isogloss::report::{Input, Price, Report, ReportOptions, Tongue};
use std::collections::BTreeMap;
use std::path::Path;

/// Where tests run is the crate's folder.
const FOLDER: &str = "tests/fixtures/report";

fn input(run: &Path) -> Input {
    Input {
        run: run.to_owned(),
        scores: None,
    }
}

/// The fixture's run, against the fixture's base.
fn fixture() -> Report {
    let options = ReportOptions {
        base: Some(format!("{FOLDER}/base.json").into()),
        price: Some(Price {
            per_hour: 2.0,
            currency: "EUR".into(),
        }),
        date: Some("2026-11-27".into()),
    };
    Report::read(&[input(&Path::new(FOLDER).join("run"))], options).unwrap()
}

/// What a page consists of: tags with their attributes, and text. Panics where it isn't well formed: tags that are left open or cross,
/// attributes without quotes.
fn parsed(page: &str) -> (Vec<String>, String) {
    let (mut tags, mut text, mut open) = (Vec::new(), String::new(), Vec::new());
    let mut rest = page.strip_prefix("<!DOCTYPE html>").unwrap();
    while let Some((before, after)) = rest.split_once('<') {
        assert!(!before.contains('>'), "{before:?}");
        text += before;
        let (tag, behind) = after.split_once('>').unwrap();
        rest = behind;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name));
            continue;
        }
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric()), "{tag:?}");
        assert_eq!(attributes.matches('"').count() % 2, 0, "{tag:?}");
        // What stands outside quotes are names.
        let outside: String = attributes.split('"').step_by(2).collect();
        assert!(
            outside
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || " =-".contains(c)),
            "{tag:?}"
        );
        tags.push(tag.to_owned());
        if matches!(name, "meta" | "br") {
            continue;
        }
        // Style and script are text up to their end.
        if matches!(name, "style" | "script") {
            rest = rest.split_once(&format!("</{name}>")).unwrap().1;
            continue;
        }
        open.push(name.to_owned());
    }
    assert!(open.is_empty(), "{open:?}");
    (tags, text)
}

/// A page of a report that is whole and loads nothing, in both languages.
fn pages(report: &Report) -> [String; 2] {
    Tongue::ALL.map(|tongue| {
        let page = report.html(tongue);
        let (tags, text) = parsed(&page);
        assert_eq!(page.matches("<script").count(), 1);
        assert_eq!(page.matches("<style").count(), 1);
        for tag in tags {
            let names: Vec<&str> = tag
                .split(' ')
                .filter_map(|part| Some(part.split_once('=')?.0))
                .collect();
            for name in names {
                assert!(
                    !name.starts_with("on") && !["src", "style", "action"].contains(&name),
                    "{tag}"
                );
            }
            assert!(
                !tag.contains("href=\"") || tag.contains("href=\"#"),
                "{tag}"
            );
        }
        // Every place of a sentence is filled.
        let place = text
            .split('{')
            .skip(1)
            .filter_map(|part| part.split_once('}'));
        let places: Vec<&str> = place.map(|(name, _)| name).collect();
        let word =
            |p: &&str| !p.is_empty() && p.chars().all(|c| c == '_' || c.is_ascii_lowercase());
        assert_eq!(places.iter().filter(|p| word(p)).count(), 0, "{places:?}");
        page
    })
}

#[test]
fn the_data_are_those_of_the_run() {
    let mut report = fixture();
    report.program = "0".into();
    let found = serde_json::to_string_pretty(&report).unwrap() + "\n";
    let path = Path::new(FOLDER).join("report.json");
    if std::env::var_os("ISOGLOSS_WRITE_FIXTURES").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "the report's data differ from {}; see what changed with ISOGLOSS_WRITE_FIXTURES=1 and `git diff`\n{found}",
        path.display()
    );
}

#[test]
fn the_page_says_what_the_data_say() {
    let [english, japanese] = pages(&fixture());
    for sentence in [
        "Roll it out in 1 of 3 directions.",
        "1 direction of 3 translates better than the base, beyond chance; chrF++ changes by +0.42 points on average \
         (95% interval −0.25 to +1.00).",
        "1 direction is worse, beyond chance: English → Occitan (−2.00 points). In 1 more, a loss of 0.5 points or more \
         cannot be ruled out.",
        "Training took 1\u{a0}min 30\u{a0}s on this machine, with 350\u{a0}MB of memory, and cost €0.050; beside the base it takes",
        "0.96% of the base&#39;s parameters.",
        "27 November 2026",
        "Trained, but without a score (1): ",
        "Occitan → English",
    ] {
        assert!(english.contains(sentence), "{sentence}");
    }
    for sentence in [
        "3\u{a0}の翻訳方向のうち 1\u{a0}方向で導入できます。",
        "1 方向が、偶然とはいえない差で悪化しました：英語 → オック語（−2.00 ポイント）。",
        "このマシンでの学習時間は1分30秒、メモリーは最大 350\u{a0}MB、費用は €0.05",
        "2026年11月27日作成",
        "lang=\"ja\"",
    ] {
        assert!(japanese.contains(sentence), "{sentence}");
    }
    // The translations of the fixture hold markup.
    for page in [&english, &japanese] {
        assert!(page.contains("&lt;img src=x onerror=alert(1)&gt;"));
        assert!(!page.contains("<img") && !page.contains("<b>wait"));
    }
    assert_eq!(fixture().html(Tongue::English), english);
}

#[test]
fn the_summary_is_plain_text() {
    let summary = fixture().summary(Tongue::English);
    let lines: Vec<&str> = summary.lines().collect();
    assert_eq!(lines.len(), 4);
    assert!(
        lines[2].ends_with("0.96% of the base's parameters."),
        "{}",
        lines[2]
    );
    assert_eq!(
        lines[3],
        "Roll it out in 1 of 3 directions. Leave the others on the base; one of them looks better without proof and may be tried on a share of the traffic."
    );
}

#[test]
fn tables_hold_the_numbers_unrounded() {
    let tables: BTreeMap<_, _> = fixture().csv().into_iter().collect();
    assert_eq!(
        tables["directions.csv"],
        "run,source,target,sentences,metric,base,score,change,low,high,lower_bound,p,p_adjusted,verdict\n\
         run,eng_Latn,deu_Latn,3,chrf++,50,53,3,2,4,1.75,0.00025,0.0005,better\n\
         run,deu_Latn,eng_Latn,3,chrf++,52,52.25,0.25,-0.75,1.25,-1,0.35,0.7,unclear\n\
         run,eng_Latn,oci_Latn,3,chrf++,20,18,-2,-3,-1,-3.25,0.001,0.002,worse\n"
    );
    assert_eq!(
        tables["placement.csv"],
        "run,place,source,target,none\nrun,encoder.layers.0,0.7,0.3,0\n"
    );
    assert_eq!(
        tables["curves.csv"],
        "run,curve,update,nll\nrun,training,1,4\nrun,training,2,3\nrun,validation,2,3.5\n"
    );
    assert_eq!(tables["demand.csv"].lines().count(), 7);
    let dir = tempfile::tempdir().unwrap();
    fixture().write_csv(dir.path()).unwrap();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), tables.len());
}

#[test]
fn charts_stand_alone() {
    let charts = fixture().charts(Tongue::English);
    let names: Vec<&str> = charts.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "map.svg",
            "trade-off.svg",
            "curves.svg",
            "placement.svg",
            "size.svg"
        ]
    );
    for (name, chart) in &charts {
        assert!(chart.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"700\""));
        assert!(chart.trim_end().ends_with("</svg>"), "{name}");
        assert_eq!(chart.matches("<svg").count(), 1, "{name}");
        // Every colour that a class names is there.
        let style = chart.split("<style>").nth(1).unwrap();
        for colour in style.split("var(--").skip(1) {
            let colour = colour.split(')').next().unwrap();
            assert!(style.contains(&format!("--{colour}: ")), "{name}: {colour}");
        }
        assert!(!chart.contains("url(") && !chart.contains("href"), "{name}");
    }
    let dir = tempfile::tempdir().unwrap();
    fixture()
        .write_charts(dir.path(), Tongue::Japanese)
        .unwrap();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), charts.len());
}
