//! Shows a change of a text as a unified diff with one hunk: from the first line that differs to the
//! last one.

use common::wire::text::printable;

/// The diff of a file or of what else has a name, with three lines around the change. `None` as the old
/// text: a new file.
pub(crate) fn diff(path: &str, old: Option<&str>, new: &str) -> String {
    let old_lines: Vec<&str> = old.unwrap_or_default().lines().collect();
    let new_lines: Vec<&str> = new.lines().collect();
    let same = |(one, other): &(&&str, &&str)| one == other;
    let head = old_lines.iter().zip(&new_lines).take_while(same).count();
    let backwards = old_lines.iter().rev().zip(new_lines.iter().rev());
    let shorter = old_lines.len().min(new_lines.len());
    let tail = backwards
        .take_while(same)
        .count()
        .min(shorter.saturating_sub(head));
    let first = head.saturating_sub(AROUND);
    let after = tail.min(AROUND);
    let changed = |lines: &[&str]| lines.len().saturating_sub(tail);
    let (old_end, new_end) = (changed(&old_lines), changed(&new_lines));
    let length = |end: usize| end.saturating_add(after).saturating_sub(first);
    let from = if old.is_some() { path } else { "/dev/null" };
    let start = |lines: &[&str]| first.saturating_add(usize::from(!lines.is_empty()));
    let mut text = format!(
        "--- {from}\n+++ {path}\n@@ -{},{} +{},{} @@\n",
        start(&old_lines),
        length(old_end),
        start(&new_lines),
        length(new_end)
    );
    let end = old_end.saturating_add(after);
    for (sign, lines, range) in [
        (' ', &old_lines, first..head),
        ('-', &old_lines, head..old_end),
        ('+', &new_lines, head..new_end),
        (' ', &old_lines, old_end..end),
    ] {
        for line in lines.get(range).unwrap_or_default() {
            text.push_str(&format!("{sign}{}\n", shown(line)));
        }
    }
    text
}

/// A line without control characters; tabs stay.
fn shown(line: &str) -> String {
    line.split('\t')
        .map(printable)
        .collect::<Vec<_>>()
        .join("\t")
}

const AROUND: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_around_a_change_are_shown() {
        let old = "1\n2\n3\n4\n5\n6\n7\n8\n";
        assert_eq!(
            diff("/f", Some(old), &old.replace("5\n", "5\nnew\n")),
            "--- /f\n+++ /f\n@@ -3,6 +3,7 @@\n 3\n 4\n 5\n+new\n 6\n 7\n 8\n"
        );
        assert_eq!(
            diff("/f", Some(old), &old.replace("1\n", "one\n")),
            "--- /f\n+++ /f\n@@ -1,4 +1,4 @@\n-1\n+one\n 2\n 3\n 4\n"
        );
        assert_eq!(
            diff("/f", None, "1\n2\n"),
            "--- /dev/null\n+++ /f\n@@ -0,0 +1,2 @@\n+1\n+2\n"
        );
    }

    #[test]
    fn a_line_sends_no_control_characters() {
        assert!(diff("/f", None, "\u{1b}[2J\tx\n").ends_with("+\\u{1b}[2J\tx\n"));
    }
}
