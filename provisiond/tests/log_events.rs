//! The page `docs/log-events.md` lists the events, fields and words of the log as the sources write
//! them, no more and no less: programs of other people read them, so that none may come, go or
//! change without being seen.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that panics fails, which is what it should do"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use common::wire::protocol::{DeviceState, Verdict};

type Names = BTreeSet<String>;

#[test]
fn every_event_of_the_sources_is_on_the_page_and_the_other_way_round() {
    let mut events = called(&shipped(), &["Line::new(", ".line("]);
    // A line may begin with a constant.
    events.insert(STRICT_DISABLED.to_owned());
    assert_eq!(first_column("Event"), events);
}

#[test]
fn every_field_of_the_sources_is_on_the_page_and_the_other_way_round() {
    let fields = called(&shipped(), &[".with(", ".with_some("]);
    assert_eq!(first_column("Field"), fields);
    let of_events: Names = rows("Event")
        .iter()
        .flat_map(|row| fields_of(row))
        .collect();
    assert_eq!(
        of_events, fields,
        "the fields that the tables of events name"
    );
}

#[test]
fn every_word_of_the_sources_is_on_the_page_and_the_other_way_round() {
    let (page, sources) = (first_column("Word"), shipped());
    let known: Names = [page.clone(), first_column("Event"), first_column("Field")]
        .into_iter()
        .flatten()
        .collect();
    let words = literals(&sources)
        .into_iter()
        .filter(|word| word.contains('_') && !NO_WORDS.contains(&word.as_str()));
    let of_arms = called(&sources, &["=> "]);
    let verdicts = Verdict::ALL.iter().map(|verdict| verdict.word().to_owned());
    let states = DeviceState::ALL.iter().map(|state| state.word().to_owned());
    let missing: Names = words
        .chain(of_arms)
        .chain(verdicts)
        .chain(states)
        .filter(|word| !known.contains(word))
        .collect();
    assert_eq!(
        missing,
        Names::new(),
        "words that the page does not explain"
    );
    let everywhere = format!(
        "{sources}\n{}",
        sources_below(&root().join("../common/src"))
    );
    let gone: Names = page
        .into_iter()
        .filter(|word| !everywhere.contains(&format!("\"{word}\"")))
        .collect();
    assert_eq!(gone, Names::new(), "words that no source says");
}

#[test]
fn a_name_that_is_not_listed_is_found() {
    let source = "call.line(\"new_event\")\n    .with(\n    \"new_field\",\n 1)";
    assert_eq!(
        called(source, &[".line("]),
        Names::from(["new_event".to_owned()])
    );
    assert_eq!(
        called(source, &[".with("]),
        Names::from(["new_field".to_owned()])
    );
    assert_eq!(literals("Some(\"new_word\"), \"No word\""), ["new_word"]);
}

/// The names that stand as a text right behind one of `openings`, on the same line or the next.
fn called(source: &str, openings: &[&str]) -> Names {
    let behind = |opening: &&str| source.split(*opening).skip(1).collect::<Vec<_>>();
    let texts = openings
        .iter()
        .flat_map(behind)
        .filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next());
    texts
        .filter(|name| is_name(name))
        .map(str::to_owned)
        .collect()
}

/// Every text that could be a name of the log.
fn literals(source: &str) -> Vec<String> {
    let texts = source
        .lines()
        .flat_map(|line| line.split('"').skip(1).step_by(2));
    texts
        .filter(|text| is_name(text))
        .map(str::to_owned)
        .collect()
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// The fields that a row of an event names.
fn fields_of(row: &str) -> Names {
    let cell = row.split('|').nth(2).unwrap_or_default();
    let of_every_call = if cell.contains("*call*") {
        OF_EVERY_CALL
    } else {
        &[]
    };
    let own = cell.split('`').skip(1).step_by(2);
    own.chain(of_every_call.iter().copied())
        .map(str::to_owned)
        .collect()
}

fn first_column(heading: &str) -> Names {
    rows(heading)
        .iter()
        .map(|row| {
            row.split('`')
                .nth(1)
                .unwrap_or_else(|| panic!("{row}"))
                .to_owned()
        })
        .collect()
}

/// The rows of all tables of the page whose first column has that heading.
fn rows(heading: &str) -> Vec<String> {
    let page = fs::read_to_string(root().join("../docs/log-events.md")).unwrap();
    let tables = page
        .split("\n\n")
        .filter(|part| part.starts_with(&format!("| {heading} |")));
    tables
        .flat_map(|table| table.lines().skip(2).map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

/// The daemon's sources without comments and without tests.
fn shipped() -> String {
    sources_below(&root().join("src"))
}

fn sources_below(folder: &Path) -> String {
    let mut text = String::new();
    let mut left = vec![folder.to_owned()];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(
                fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else if !is_of_tests(path.strip_prefix(folder).unwrap()) {
            text.push_str(&without_tests(&fs::read_to_string(path).unwrap()));
        }
    }
    assert!(
        text.len() > 50_000,
        "the sources were not found in {}",
        folder.display()
    );
    text
}

fn is_of_tests(path: &Path) -> bool {
    path.iter()
        .any(|part| part == "tests" || part == "tests.rs")
}

fn without_tests(source: &str) -> String {
    let shipped = source
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default();
    let code = shipped
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    code.map(|line| format!("{line}\n")).collect()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

const OF_EVERY_CALL: &[&str] = &["user", "alias", "role", "uid", "pid", "host"];
const STRICT_DISABLED: &str = provisiond::record::strict::STRICT_DISABLED;
/// A parameter of a call, and an option of the command line.
const NO_WORDS: &[&str] = &["valid_for", "new_secret", "scratch_codes", "prepare_etcd"];
