//! The architecture test: a room (folder) of the daemon uses only rooms on lower floors, and the
//! crate's folder has few entries. It reads the `crate::` paths in the sources. It also checks that
//! the documents for developers name paths that exist.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that panics fails, which is what it should do"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// For developers who change the code.
const DOCUMENTS: [&str; 2] = ["docs/code-structure.md", "CONTRIBUTING.md"];
const FOLDERS: &[&str] = &[
    "common",
    "docs",
    "fuzz",
    "import",
    "packaging",
    "pam_totp",
    "provisiond",
    "tests",
    "totpctl",
];

/// The floors, from the top to the ground.
const FLOORS: &[&[&str]] = &[
    &["process"],
    &["relay"],
    &["server"],
    &["login", "admin"],
    &["enrolment"],
    &["service"],
    &["records", "in_memory", "audit", "identity"],
    &["policy", "store"],
    &["record"],
    &["clock"],
];
/// `main.rs`, `lib.rs` and the rooms.
const MAX_ENTRIES: usize = 17;

#[test]
fn a_room_uses_only_rooms_of_lower_floors() {
    let sources = sources();
    assert!(
        sources.len() > 50,
        "the sources were not found: {sources:?}"
    );
    let wrong: Vec<String> = sources.iter().flat_map(|path| upward(path)).collect();
    assert!(
        wrong.is_empty(),
        "arrows that do not go down:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn an_arrow_that_goes_up_or_to_a_room_beside_is_found() {
    for (room, line, allowed) in [
        ("record", "use crate::clock::moment::Moment;", true),
        (
            "record",
            "    let now = crate::service::Service::new();",
            false,
        ),
        ("policy", "use crate::store::Store;", false),
        ("login", "use crate::{admin, clock};", false),
        ("clock", "use crate::clock::mark::Mark;", true),
        ("audit", "//! [`crate::login`] is a link", true),
    ] {
        assert_eq!(
            used_rooms(line).iter().all(|used| may_use(room, used)),
            allowed,
            "{room}: {line}"
        );
    }
}

#[test]
fn every_entry_of_the_folder_is_a_room_and_there_are_few() {
    let entries: BTreeSet<String> = entries(&root()).iter().map(|path| name(path)).collect();
    let rooms = FLOORS
        .iter()
        .flat_map(|floor| floor.iter())
        .map(|room| (*room).to_owned());
    let expected: BTreeSet<String> = rooms
        .chain(["main.rs".to_owned(), "lib.rs".to_owned()])
        .collect();
    assert_eq!(entries, expected);
    assert!(entries.len() <= MAX_ENTRIES);
}

#[test]
fn every_path_that_the_documents_for_developers_name_exists() {
    let project = root().join("../..");
    let pages = DOCUMENTS.map(|page| fs::read_to_string(project.join(page)).unwrap());
    let named: BTreeSet<&str> = pages.iter().flat_map(|page| paths(page)).collect();
    assert!(named.len() > 100, "{} paths were found", named.len());
    let gone: Vec<&&str> = named
        .iter()
        .filter(|path| !project.join(path).exists())
        .collect();
    assert!(
        gone.is_empty(),
        "{DOCUMENTS:?} name what does not exist: {gone:?}"
    );
}

#[test]
fn the_document_about_the_code_has_a_row_for_each_room_in_the_order_of_the_floors() {
    let page = fs::read_to_string(root().join("../../docs/code-structure.md")).unwrap();
    let rows = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `provisiond/src/")?.split('/').next());
    let rooms: Vec<&str> = FLOORS
        .iter()
        .flat_map(|floor| floor.iter().copied())
        .collect();
    assert_eq!(rows.collect::<Vec<_>>(), rooms);
}

/// The paths below the project's folders that a document names. `NAME` in one stands for a name to
/// be chosen.
fn paths(page: &str) -> impl Iterator<Item = &str> {
    let is_of_a_path = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    let words = page
        .split(move |c| !is_of_a_path(c))
        .map(|word| word.trim_end_matches('.'));
    words.filter(|word| {
        word.split_once('/')
            .is_some_and(|(folder, _)| FOLDERS.contains(&folder))
            && !word.contains("NAME")
    })
}

/// The lines of a file that use a room on the same or a higher floor, with their line numbers.
/// Tests may use every room.
fn upward(path: &Path) -> Vec<String> {
    let inside = path.strip_prefix(root()).unwrap();
    let room = inside
        .components()
        .next()
        .unwrap()
        .as_os_str()
        .to_string_lossy()
        .into_owned();
    let text = fs::read_to_string(path).unwrap();
    let shipped = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = shipped.lines().enumerate();
    let wrong = lines.filter(|(_, line)| used_rooms(line).iter().any(|used| !may_use(&room, used)));
    wrong
        .map(|(number, line)| format!("{}:{}: {line}", inside.display(), number.saturating_add(1)))
        .collect()
}

/// The rooms that a line of code names, by `crate::room` or `crate::{room, …}`. A comment counts as
/// none.
fn used_rooms(line: &str) -> Vec<String> {
    let code = if line.trim_start().starts_with("//") {
        ""
    } else {
        line
    };
    let groups = code
        .split("crate::")
        .skip(1)
        .map(|rest| match rest.strip_prefix('{') {
            Some(group) => group
                .split('}')
                .next()
                .unwrap_or_default()
                .split(',')
                .map(first_word)
                .collect(),
            None => vec![first_word(rest)],
        });
    groups.flatten().collect()
}

fn first_word(text: &str) -> String {
    text.trim_start()
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

fn may_use(room: &str, used: &str) -> bool {
    let floor = |room: &str| FLOORS.iter().position(|floor| floor.contains(&room));
    match (floor(room), floor(used)) {
        (Some(own), Some(other)) => room == used || other > own,
        (None, _) | (_, None) => false,
    }
}

/// All sources of the rooms, without the files of tests.
fn sources() -> Vec<PathBuf> {
    let mut left: Vec<PathBuf> = entries(&root())
        .into_iter()
        .filter(|path| path.is_dir())
        .collect();
    let mut found = Vec::new();
    while let Some(path) = left.pop() {
        if path.is_dir() && name(&path) != "tests" {
            left.extend(entries(&path));
        } else if name(&path) != "tests.rs" && name(&path) != "tests" {
            found.push(path);
        }
    }
    found
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}
