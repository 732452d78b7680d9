//! Prints an event of `log` as one line.

use common::wire::event::Event;
use common::wire::text::{printable, quoted};

use super::Render;
use crate::table::second;

impl Render for Event {
    /// Time, event, user and verdict, then the other fields, without the pid, and without role and
    /// uid of root. A value that an attacker chooses stands in quotation marks: a user name could
    /// otherwise imitate a verdict.
    fn people(&self) -> String {
        let told = |key: &str| self.fields.value(key).map(quoted);
        let head = [Some(quoted(&self.event)), told("user"), told("verdict")];
        let mut line = second(self.time);
        head.into_iter()
            .flatten()
            .for_each(|word| line.push_str(&format!("  {word}")));
        let by_root = self.fields.value("role") == Some("root");
        let known = |key: &str| {
            ["user", "verdict", "pid"].contains(&key) || by_root && ["role", "uid"].contains(&key)
        };
        for (key, value) in self.fields.0.iter().filter(|(key, _)| !known(key)) {
            line.push_str(&format!("  {}={}", printable(key), quoted(value)));
        }
        line.push('\n');
        line
    }
}

#[cfg(test)]
mod tests {
    use common::wire::event::{Fields, Severity};

    use super::*;

    fn line(fields: &[(&str, &str)]) -> String {
        let fields = Fields(
            fields
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        );
        let event = Event {
            time: 0,
            number: 8,
            event: "verify".into(),
            severity: Severity::Warning,
            fields,
        };
        event.people().strip_prefix(&second(0)).unwrap().to_owned()
    }

    #[test]
    fn an_event_is_one_line_that_begins_with_what_matters() {
        let told = line(&[
            ("user", "alice"),
            ("service", "sshd"),
            ("source", "192.0.2.1"),
            ("verdict", "rejected"),
            ("role", "root"),
            ("uid", "0"),
            ("pid", "123"),
        ]);
        assert_eq!(
            told,
            "  verify  alice  rejected  service=sshd  source=192.0.2.1\n"
        );
        assert_eq!(
            line(&[("role", "self"), ("uid", "1000"), ("pid", "1")]),
            "  verify  role=self  uid=1000\n"
        );
    }

    #[test]
    fn nothing_in_it_steers_the_terminal_or_ends_the_line() {
        let told = line(&[("user", "al\u{1b}[2Jice\n"), ("source", "a\u{202e}b")]);
        assert_eq!(
            told,
            "  verify  \"al\\u{1b}[2Jice\\n\"  source=\"a\\u{202e}b\"\n"
        );
    }

    #[test]
    fn no_text_of_a_strangers_looks_like_another_value() {
        let forged = "alice  accepted  service=sshd  source=10.0.0.1";
        let told = line(&[
            ("user", forged),
            ("source", "192.0.2.1\"  verdict=accepted"),
            ("verdict", "rejected"),
        ]);
        let expected = format!(
            "  verify  \"{forged}\"  rejected  source=\"192.0.2.1\\\"  verdict=accepted\"\n"
        );
        assert_eq!(told, expected);
        assert!(
            line(&[("user", ""), ("verdict", "rejected")]).starts_with("  verify  \"\"  rejected")
        );
    }
}
