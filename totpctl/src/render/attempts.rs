//! Prints the result of `why`: the table of a user's login attempts, each refusal explained below
//! its row.

mod reasons;

use common::wire::event::Event;
use common::wire::text::{printable, quoted};
use serde::Serialize;

use super::Render;
use crate::table::{local, table, wrapped};
use crate::verdicts::argument;

/// The result of `why`: the last attempts of a user.
#[derive(Debug, Serialize)]
pub(crate) struct Attempts {
    user: String,
    attempts: Vec<PastAttempt>,
}

/// A login attempt, as the log has it.
#[derive(Debug, Default, Serialize)]
struct PastAttempt {
    /// In Unix seconds.
    time: u64,
    service: Option<String>,
    /// The remote address or the terminal of the login.
    source: Option<String>,
    device: Option<String>,
    verdict: String,
    /// The log's reason, if it adds to the verdict.
    reason: Option<String>,
    /// With `exempt`: the rule of the settings.
    rule: Option<String>,
    /// With `exempt` under `roll-out.observe`: the verdict on the typed code.
    would: Option<String>,
    /// If the code was right for another time: seconds by which the device's clock is fast.
    skew: Option<i64>,
    /// The reason as a sentence with the next step; none for an accepted code.
    meaning: Option<String>,
    /// The calling process: it joins a later `skew` event to its attempt.
    #[serde(skip)]
    pid: Option<String>,
}

impl Attempts {
    /// The last `most` attempts among the events.
    pub(crate) fn among(events: &[Event], user: &str, most: usize) -> Self {
        let mut attempts: Vec<PastAttempt> = Vec::new();
        for event in events {
            attempts.extend(PastAttempt::told_by(event));
            if event.event == "device_clock_skew" {
                let pid = event.fields.value("pid");
                let of_it = |attempt: &&mut PastAttempt| {
                    attempt.judged() == "rejected" && attempt.pid.as_deref() == pid
                };
                let attempt = attempts.iter_mut().rfind(of_it);
                attempt.into_iter().for_each(|attempt| attempt.learn(event));
            }
        }
        attempts
            .iter_mut()
            .for_each(|attempt| attempt.meaning = reasons::meaning(attempt, user));
        attempts.drain(..attempts.len().saturating_sub(most));
        Self {
            user: user.to_owned(),
            attempts,
        }
    }
}

impl PastAttempt {
    fn told_by(event: &Event) -> Option<Self> {
        let told = |key: &str| event.fields.value(key).map(str::to_owned);
        let verdict = told("verdict").filter(|_| event.event == "verify")?;
        Some(Self {
            time: event.time,
            service: told("service"),
            source: told("source").or_else(|| told("tty")),
            device: told("device"),
            verdict,
            reason: told("reason"),
            rule: told("rule"),
            would: told("would"),
            skew: None,
            meaning: None,
            pid: told("pid"),
        })
    }

    /// The verdict on the typed code, also if the settings exempted the user from it.
    fn judged(&self) -> &str {
        self.would.as_deref().unwrap_or(&self.verdict)
    }

    /// Adds what a `skew` event tells: the code was right for another time.
    fn learn(&mut self, event: &Event) {
        self.device = event.fields.value("device").map(str::to_owned);
        self.skew = event
            .fields
            .value("seconds")
            .and_then(|skew| skew.parse().ok());
    }

    /// One row of the table. Quotation marks keep a value that an attacker chose in its column.
    fn row(&self) -> [String; 5] {
        let shown = |text: &Option<String>| text.as_deref().map_or_else(|| "-".to_owned(), quoted);
        let verdict = quoted(&self.verdict);
        [
            local(self.time),
            shown(&self.service),
            shown(&self.source),
            shown(&self.device),
            verdict,
        ]
    }
}

impl Render for Attempts {
    fn people(&self) -> String {
        if self.attempts.is_empty() {
            let (name, command) = (printable(&self.user), argument(&self.user));
            return format!(
                "the log has no login attempt of {name}: does the service's file have pam_totp.so?\n\
                 to see {name}'s devices:\n  totpctl show {command}\n{MISSING}"
            );
        }
        let rows: Vec<_> = self.attempts.iter().map(PastAttempt::row).collect();
        let text = table(["TIME", "SERVICE", "SOURCE", "DEVICE", "VERDICT"], &rows);
        let meanings = std::iter::once(None).chain(
            self.attempts
                .iter()
                .map(|attempt| attempt.meaning.as_deref()),
        );
        let told = |(line, meaning): (&str, Option<&str>)| {
            let meaning = meaning
                .map(|meaning| wrapped(meaning, "  "))
                .unwrap_or_default();
            format!("{line}\n{meaning}")
        };
        text.lines().zip(meanings).map(told).collect::<String>() + MISSING
    }
}

/// The daemon does not see logins that fail before the code. Without this hint the reader takes an
/// older attempt for one of them.
const MISSING: &str = "
A missing attempt never reached the code prompt: the password or key before it
was wrong, or provisiond was not running. See the service's own log.
";

#[cfg(test)]
mod tests {
    use common::wire::event::{Fields, Severity};

    use super::*;

    fn event(time: u64, event: &str, fields: &[(&str, &str)]) -> Event {
        let fields = [&[("user", "alice")], fields].concat();
        let fields = Fields(
            fields
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        );
        Event {
            time,
            number: time,
            event: event.into(),
            severity: Severity::Info,
            fields,
        }
    }

    fn events() -> Vec<Event> {
        let ssh = [("service", "sshd"), ("source", "192.0.2.1"), ("tty", "ssh")];
        vec![
            event(
                1_795_468_680,
                "verify",
                &[&ssh[..], &[("verdict", "accepted"), ("device", "default")]].concat(),
            ),
            event(1_795_468_690, "enroll", &[("device", "phone")]),
            event(
                1_795_468_700,
                "verify",
                &[&ssh[..], &[("verdict", "rejected"), ("pid", "9")]].concat(),
            ),
            event(
                1_795_468_701,
                "device_clock_skew",
                &[("pid", "9"), ("device", "default"), ("seconds", "-630")],
            ),
            event(
                1_795_468_760,
                "verify",
                &[
                    ("service", "su"),
                    ("tty", "pts/0"),
                    ("verdict", "malformed"),
                ],
            ),
        ]
    }

    #[test]
    fn attempts_are_a_table_and_under_each_stands_why() {
        let text = Attempts::among(&events(), "alice", 10).people();
        let [first, second, third] = [1_795_468_680, 1_795_468_700, 1_795_468_760].map(local);
        assert_eq!(
            text,
            format!(
                "\
TIME                 SERVICE  SOURCE     DEVICE   VERDICT
{first}  sshd     192.0.2.1  default  accepted
{second}  sshd     192.0.2.1  default  rejected
  the code was right 10 min 30 s ago: the phone's clock is slow; set it to
  automatic time
{third}  su       pts/0      -        malformed
  the user typed no code, too many codes, or other text: type one code, or two
  if the prompt asks for two; if it asks for password and code together, type
  the code after the password
{MISSING}"
            )
        );
        assert!(text.lines().all(|line| line.chars().count() <= 80));
    }

    #[test]
    fn how_far_a_clock_is_off_is_told_of_the_attempt_of_the_same_login() {
        let attempt = |time, pid| event(time, "verify", &[("verdict", "rejected"), ("pid", pid)]);
        let skew = event(
            9,
            "device_clock_skew",
            &[("pid", "5"), ("device", "phone"), ("seconds", "-630")],
        );
        let events = [attempt(1, "5"), attempt(2, "5"), attempt(3, "6"), skew];
        let json = serde_json::to_value(Attempts::among(&events, "alice", 9)).unwrap();
        let skews: Vec<_> = (0..3)
            .map(|n| json["attempts"][n]["skew"].as_i64())
            .collect();
        assert_eq!(skews, [None, Some(-630), None]);
        assert_eq!(json["attempts"][1]["device"], "phone");
        assert!(
            json["attempts"][1]["meaning"]
                .as_str()
                .unwrap()
                .contains("10 min 30 s ago")
        );
    }

    #[test]
    fn the_latest_are_shown() {
        let attempts = Attempts::among(&events(), "alice", 1);
        assert_eq!(
            attempts
                .attempts
                .iter()
                .map(|attempt| attempt.time)
                .collect::<Vec<_>>(),
            [1_795_468_760]
        );
        assert!(
            Attempts::among(&[], "alice", 9)
                .people()
                .contains("\n  totpctl show alice\n")
        );
    }

    #[test]
    fn programs_read_what_is_known() {
        let json = serde_json::to_value(Attempts::among(&events(), "alice", 2)).unwrap();
        assert_eq!(
            (&json["user"], &json["attempts"][0]["skew"]),
            (&"alice".into(), &(-630).into())
        );
        assert_eq!(json["attempts"][1]["source"], "pts/0");
    }

    #[test]
    fn nothing_in_it_steers_the_terminal() {
        let hostile = [
            ("service", "a\u{1b}[2J"),
            ("source", "x\n"),
            ("verdict", "\u{202e}"),
            ("reason", "\r\u{7}"),
        ];
        let text = Attempts::among(&[event(0, "verify", &hostile)], "alice", 1).people();
        assert!(
            text.chars().all(|c| c == '\n' || !c.is_control()) && !text.contains('\u{202e}'),
            "{text:?}"
        );
        assert_eq!(text.lines().count(), 3 + MISSING.lines().count());
    }

    #[test]
    fn no_text_of_a_strangers_reaches_into_the_next_column() {
        let forged = [
            ("service", "sshd"),
            ("source", "10.0.0.1  phone  accepted"),
            ("verdict", "rejected"),
        ];
        let text = Attempts::among(&[event(0, "verify", &forged)], "alice", 1).people();
        assert!(
            text.contains("  sshd     \"10.0.0.1  phone  accepted\"  -       rejected\n"),
            "{text}"
        );
    }
}
