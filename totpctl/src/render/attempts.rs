//! Prints the result of `why`: the table of a user's login attempts, each refusal explained below
//! its row. What was said of an earlier row is not said again.

mod reasons;

use std::collections::{HashMap, HashSet};

use common::wire::event::Event;
use common::wire::text::{printable, quoted};
use serde::Serialize;

use super::Render;
use crate::table::{second, table, wrapped};
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
    /// `unsynchronised`, if the kernel did not hold the machine's clock for synchronised.
    machine_clock: Option<String>,
    /// If the code was right for another time: seconds by which the device's clock is fast.
    skew: Option<i64>,
    /// If the user must wait longer than for the next code: when the device shows the first code
    /// that counts, in Unix seconds.
    until: Option<u64>,
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
                let attempt = measured(&mut attempts, event);
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

/// The attempt that a `device_clock_skew` event is about: of its process, the first that was
/// rejected since the time `at`. An older daemon does not name that time, and writes the event at
/// once.
fn measured<'a>(attempts: &'a mut [PastAttempt], event: &Event) -> Option<&'a mut PastAttempt> {
    let pid = event.fields.value("pid");
    let at = event.fields.value("at").and_then(|at| at.parse().ok());
    let of_it = |attempt: &&mut PastAttempt| {
        attempt.judged() == "rejected"
            && attempt.pid.as_deref() == pid
            && at.is_none_or(|at: u64| attempt.time >= at && attempt.skew.is_none())
    };
    match at {
        Some(_) => attempts.iter_mut().find(of_it),
        None => attempts.iter_mut().rfind(of_it),
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
            machine_clock: told("machine_clock"),
            skew: None,
            until: told("until").and_then(|until| until.parse().ok()),
            meaning: None,
            pid: told("pid"),
        })
    }

    /// The verdict on the typed code, also if the settings exempted the user from it.
    fn judged(&self) -> &str {
        self.would.as_deref().unwrap_or(&self.verdict)
    }

    /// Whether the machine's own clock may have been wrong.
    fn is_on_a_doubtful_clock(&self) -> bool {
        self.machine_clock.is_some()
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
            second(self.time),
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
        let mut said = Said::default();
        let meanings = self.attempts.iter().map(|attempt| said.of(attempt));
        let meanings = std::iter::once(String::new()).chain(meanings);
        let told = |(line, meaning)| format!("{line}\n{meaning}");
        text.lines().zip(meanings).map(told).collect::<String>() + MISSING
    }
}

/// What was said of the attempts above.
#[derive(Default)]
struct Said<'a> {
    meanings: HashMap<&'a str, u64>,
    clauses: HashSet<&'a str>,
}

impl<'a> Said<'a> {
    /// The meaning of an attempt in lines: whole for the first, then what is new in it, or where it
    /// stands.
    fn of(&mut self, attempt: &'a PastAttempt) -> String {
        let Some(meaning) = attempt.meaning.as_deref() else {
            return String::new();
        };
        if let Some(above) = self.meanings.get(meaning) {
            return wrapped(&format!("as at {}", second(*above)), "  ");
        }
        self.meanings.insert(meaning, attempt.time);
        let mut new = Vec::new();
        for (place, clause) in meaning.split("; ").enumerate() {
            if self.clauses.insert(clause) || place == 0 {
                new.push(clause);
            }
        }
        wrapped(&new.join("; "), "  ")
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
        let head = format!("{:width$}", "TIME", width = second(0).len());
        let [first, next, third] = [1_795_468_680, 1_795_468_700, 1_795_468_760].map(second);
        assert_eq!(
            text,
            format!(
                "\
{head}  SERVICE  SOURCE     DEVICE   VERDICT
{first}  sshd     192.0.2.1  default  accepted
{next}  sshd     192.0.2.1  default  rejected
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
    fn a_held_back_skew_is_told_of_its_own_attempt_and_not_of_the_next_of_the_same_process() {
        let attempt = |time| event(time, "verify", &[("verdict", "rejected"), ("pid", "5")]);
        let skew = |at| {
            event(
                900,
                "device_clock_skew",
                &[("pid", "5"), ("device", "d"), ("at", at), ("seconds", "90")],
            )
        };
        let events = [attempt(1), attempt(4), attempt(9), skew("4")];
        let json = serde_json::to_value(Attempts::among(&events, "alice", 9)).unwrap();
        let skews = [0, 1, 2].map(|n| json["attempts"][n]["skew"].as_i64());
        assert_eq!(skews, [None, Some(90), None]);
    }

    #[test]
    fn what_was_said_is_not_said_again() {
        let rejected = |time, seconds| {
            let pid = format!("{time}");
            let attempt = event(time, "verify", &[("verdict", "rejected"), ("pid", &pid)]);
            let told = [("pid", &*pid), ("device", "d"), ("seconds", seconds)];
            [attempt, event(time, "device_clock_skew", &told)]
        };
        let wrong = |time| [event(time, "verify", &[("verdict", "rejected")])];
        let events = [
            &rejected(1, "-630")[..],
            &wrong(2),
            &rejected(3, "-660"),
            &wrong(4),
        ]
        .concat();
        let text = Attempts::among(&events, "alice", 9).people();
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for (part, times) in [
            ("the code was right 10 min 30 s ago", 1),
            ("the code was right 11 min ago", 1),
            ("set it to automatic time", 1),
            ("was mistyped", 1),
            (&*format!("as at {}", second(2)), 1),
        ] {
            assert_eq!(words.matches(part).count(), times, "{part}: {text}");
        }
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
