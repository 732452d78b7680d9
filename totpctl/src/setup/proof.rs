//! The proof that a set-up holds: this session came in after it, through the new stack, with a code
//! that the daemon accepted.
//!
//! Root could forge all of it. The proof is against a mistake: a confirmation from the session that
//! has been open all the time, or after a try that asked no stack.

use common::wire::event::Event;

use super::outcome::confirm_command;
use super::record::Record;
use super::session::Ancestor;

/// What the proof is judged by.
pub(crate) struct Evidence<'a> {
    /// The daemon's events about the user.
    pub(crate) events: &'a [Event],
    /// The processes above this one.
    pub(crate) ancestors: &'a [Ancestor],
    /// The clock time at which the machine was started, in Unix seconds.
    pub(crate) booted: u64,
}

/// Whether this session proves the set-up.
///
/// # Errors
/// A sentence that says what is missing, and what to do.
pub(crate) fn check(record: &Record, evidence: &Evidence<'_>) -> Result<(), String> {
    let new: Vec<&Ancestor> = evidence
        .ancestors
        .iter()
        .filter(|ancestor| ancestor.started >= record.begun.milliseconds)
        .collect();
    let logins: Vec<&Event> = evidence
        .events
        .iter()
        .filter(|event| is_accepted_login(record, event))
        .collect();
    let (user, target) = (&record.user, record.target);
    if logins.is_empty() {
        return Err(format!(
            "the daemon has accepted no code of {user} through {target} since the set-up: log in anew, and type a code; \
             'totpctl why {user}' explains a refusal. {}",
            how_to(record)
        ));
    }
    if logins
        .iter()
        .any(|login| is_of(login, &new, evidence.booted))
    {
        return Ok(());
    }
    Err(format!(
        "this session did not begin with that login of {user} through {target}: run the command inside the new login \
         itself, not in a session that was open before, and not in screen or tmux. {}",
        how_to(record)
    ))
}

/// A code that root's process had accepted, after the set-up, for the user and the service.
fn is_accepted_login(record: &Record, event: &Event) -> bool {
    let value = |key: &str| event.fields.value(key).unwrap_or_default();
    event.number > record.last_event
        && event.event == "verify"
        && value("verdict") == "accepted"
        && value("role") == "root"
        && value("user") == record.user
        && common::names::service::is_one_service(record.target.service(), value("service"))
}

/// Whether a login is that of this session. sudo, su and login ask the module themselves and stay
/// above the session. sshd asks in a process of its own that ends; its monitor stays above the
/// session and is older than the login, and the process below the monitor is younger: a code that
/// was tried inside the session is none.
fn is_of(login: &Event, ancestors: &[&Ancestor], booted: u64) -> bool {
    let pid = login.fields.value("pid").and_then(|pid| pid.parse().ok());
    let is_sshd = login.fields.value("service") == Some("sshd");
    let since = |ancestor: &Ancestor| booted.saturating_add(ancestor.started / 1000);
    let mut below: Option<&Ancestor> = None;
    for &ancestor in ancestors {
        let is_monitor = ancestor.is_roots && MONITORS.contains(&ancestor.program.as_str());
        // All times are cut to whole seconds, and that of the boot is worked out from two of them.
        let is_between = login.time.saturating_add(1) >= since(ancestor)
            && below.is_none_or(|below| login.time <= since(below).saturating_add(2));
        if pid == Some(ancestor.pid) || is_sshd && is_monitor && is_between {
            return true;
        }
        below = Some(ancestor);
    }
    false
}

fn how_to(record: &Record) -> String {
    format!("The command in there: {}", confirm_command(record.target))
}

/// sshd's monitor, before and from OpenSSH 9.8 on.
const MONITORS: [&str; 2] = ["sshd", "sshd-session"];

#[cfg(test)]
mod tests {
    use common::wire::event::{Fields, Severity};

    use super::*;
    use crate::cli::Target;
    use crate::setup::recipe::Place;

    const BOOTED: u64 = 1_000_000;

    /// A set-up that began when the machine had run for 1,000 seconds, after event 7.
    fn record(target: Target) -> Record {
        let place = Place::AfterCommonAuth;
        let mut record = Record::new(target, "alice".into(), "x".into(), place).unwrap();
        record.begun.milliseconds = 1_000_000;
        record.last_event = 7;
        record
    }

    fn login(number: u64, time: u64, fields: &[(&str, &str)]) -> Event {
        let mut all = vec![
            ("user", "alice"),
            ("service", "sshd"),
            ("verdict", "accepted"),
            ("role", "root"),
            ("pid", "40"),
        ];
        for (key, value) in fields {
            all.retain(|(own, _)| own != key);
            all.push((key, value));
        }
        let own = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        Event {
            time: BOOTED + time,
            number,
            event: "verify".into(),
            severity: Severity::Info,
            fields: Fields(all.into_iter().map(own).collect()),
        }
    }

    fn process(pid: u32, started: u64, program: &str) -> Ancestor {
        Ancestor {
            pid,
            started: started * 1000,
            program: program.into(),
            is_roots: true,
        }
    }

    fn proves(target: Target, events: &[Event], ancestors: &[Ancestor]) -> bool {
        let evidence = Evidence {
            events,
            ancestors,
            booted: BOOTED,
        };
        check(&record(target), &evidence).is_ok()
    }

    #[test]
    fn a_new_login_through_sshd_with_a_code_is_a_proof() {
        let above = [
            process(9, 1100, "sudo"),
            process(8, 1050, "sshd"),
            process(2, 10, "sshd"),
        ];
        assert!(proves(Target::Sshd, &[login(8, 1055, &[])], &above));
        let session = [process(8, 1050, "sshd-session"), process(2, 10, "sshd")];
        assert!(proves(Target::Sshd, &[login(8, 1055, &[])], &session));
    }

    #[test]
    fn a_session_that_was_open_before_the_set_up_is_none_whatever_the_daemon_accepted() {
        let above = [
            process(9, 1100, "sudo"),
            process(8, 900, "sshd"),
            process(2, 10, "sshd"),
        ];
        assert!(!proves(Target::Sshd, &[login(8, 1055, &[])], &above));
    }

    #[test]
    fn a_code_that_was_tried_inside_the_session_is_none() {
        let above = [
            process(12, 1100, "sudo"),
            process(10, 1056, "bash"),
            process(8, 1050, "sshd"),
        ];
        let tried = login(9, 1070, &[("pid", "11")]);
        assert!(!proves(Target::Sshd, std::slice::from_ref(&tried), &above));
        let both = [login(8, 1055, &[]), tried];
        assert!(proves(Target::Sshd, &both, &above));
    }

    #[test]
    fn a_code_accepted_before_the_session_or_for_another_is_none() {
        let above = [process(8, 1050, "sshd")];
        for event in [
            login(8, 1040, &[]),
            login(7, 1055, &[]),
            login(8, 1055, &[("user", "bob")]),
            login(8, 1055, &[("service", "sudo")]),
            login(8, 1055, &[("verdict", "exempt")]),
            login(8, 1055, &[("verdict", "rejected")]),
            login(8, 1055, &[("role", "self")]),
        ] {
            assert!(
                !proves(Target::Sshd, std::slice::from_ref(&event), &above),
                "{event:?}"
            );
        }
        assert!(!proves(Target::Sshd, &[], &above));
    }

    #[test]
    fn sudo_su_and_login_are_known_by_the_process_that_asked() {
        let sudo = |service| login(8, 1055, &[("service", service), ("pid", "8")]);
        let above = [process(8, 1050, "sudo"), process(5, 900, "bash")];
        assert!(proves(Target::Sudo, &[sudo("sudo")], &above));
        assert!(proves(Target::Sudo, &[sudo("sudo-i")], &above));
        let other = [process(9, 1050, "sudo")];
        assert!(
            !proves(Target::Sudo, &[sudo("sudo")], &other),
            "a try with totpctl"
        );
        let old = [process(8, 900, "sudo")];
        assert!(
            !proves(Target::Sudo, &[sudo("sudo")], &old),
            "before the set-up"
        );
    }

    #[test]
    fn a_users_own_program_of_that_name_is_no_monitor() {
        let mut forged = process(8, 1050, "sshd");
        forged.is_roots = false;
        assert!(!proves(Target::Sshd, &[login(8, 1055, &[])], &[forged]));
    }
}
