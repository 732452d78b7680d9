//! The recipes of the administrator's guide, as they stand there: their files and their commands.
//! So the guide and its tests cannot differ.

use crate::world;

/// The guide.
pub const GUIDE: &str = include_str!("../../docs/administrators-guide.md");

/// A file that a recipe gives.
pub struct File {
    /// Where it is.
    pub path: String,
    /// Its lines, or those that the recipe adds to it.
    pub text: String,
}

/// The files of a recipe: its indented blocks that begin with a comment with the path.
///
/// # Panics
/// When the guide has no such recipe, or the recipe gives no file.
#[must_use]
pub fn files(recipe: &str) -> Vec<File> {
    let mut files: Vec<File> = Vec::new();
    for line in indented(recipe) {
        match line.strip_prefix("# ") {
            Some(header) if header.starts_with('/') || header == COMMANDS => {
                let path = header.split_whitespace().next().unwrap_or_default();
                files.push(File {
                    path: path.to_owned(),
                    text: String::new(),
                });
            }
            _ => files.last_mut().expect("a path before the first line").text += &(line + "\n"),
        }
    }
    files.retain(|file| file.path.starts_with('/'));
    assert!(!files.is_empty(), "the recipe '{recipe}' gives no file");
    files
}

/// The commands of a recipe, for a shell: its indented blocks under `# as root`.
#[must_use]
pub fn commands(recipe: &str) -> String {
    let mut is_command = false;
    let mut commands = String::new();
    for line in indented(recipe) {
        if let Some(header) = line.strip_prefix("# ") {
            is_command = header == COMMANDS;
        }
        if is_command {
            commands += &(line + "\n");
        }
    }
    commands
}

/// The indented lines of a chapter.
#[must_use]
pub fn lines_of(chapter: &str) -> Vec<String> {
    below(&format!("\n## {chapter}\n"))
}

/// Runs a line of the guide with the programs of this build, and returns what it printed.
///
/// # Panics
/// When it fails.
pub fn typed(line: &str) -> String {
    let built = world::built("totpctl");
    let folder = built.parent().expect("a folder").display();
    let output = world::run("sh", &["-euc", &format!("PATH={folder}:$PATH; {line}")]);
    assert!(output.status.success(), "{line}: {output:?}");
    String::from_utf8(output.stdout).expect("a text")
}

fn indented(recipe: &str) -> Vec<String> {
    below(&format!("### {recipe}\n"))
}

fn below(heading: &str) -> Vec<String> {
    let (_, section) = GUIDE
        .split_once(heading)
        .unwrap_or_else(|| panic!("no '{heading}' in the guide"));
    let section = section.split("\n#").next().unwrap_or_default();
    let lines = section.lines().filter_map(|line| line.strip_prefix("    "));
    lines.map(str::to_owned).collect()
}

const COMMANDS: &str = "as root";
