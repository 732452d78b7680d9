//! Prints the results of `verify`, `confirm`, `resync`, `status`, `reload`, `clock-accept`, `store`
//! and `revoke-grace`; a file each for the other commands. The JSON of every result is derived from its
//! struct.
//!
//! Names in texts are escaped: none can send control characters to the terminal.

mod attempts;
mod backup;
mod changes;
mod enrolment;
mod event;
mod examined;
mod gone;
pub(crate) mod key;
pub(crate) mod lists;
mod metrics;
pub(crate) mod moving;
mod recovery;
mod rotated;
mod sealed;
mod tried;
mod users;

use common::names::device::Kind;
use common::wire::protocol::{
    ClockAcceptReply, ClockState, ConfirmReply, CopyReply, ResyncReply, RevokeGraceReply,
    StatusReply, StoreAcceptLossReply, Verdict, VerifyReply,
};
use common::wire::text::printable;
use serde::Serialize;
use zeroize::Zeroizing;

pub(crate) use self::attempts::Attempts;
pub(crate) use self::backup::Backup;
pub(crate) use self::changes::{
    Change, Changed, Forgotten, RenamedDevice, RenamedUser, Restricted, restrictions,
};
pub(crate) use self::enrolment::Enrolled;
pub(crate) use self::examined::Examined;
pub(crate) use self::gone::{Gone, Step};
pub(crate) use self::metrics::{Measured, down};
pub(crate) use self::recovery::{Purpose, TimedCode, recovery_codes};
pub(crate) use self::rotated::Rotated;
pub(crate) use self::tried::Tried;
pub(crate) use self::users::{Expiring, Users};
use crate::exit::Failure;
use crate::table::{minute, second};
use crate::verdicts::{argument, attempt, confirmation, exempt, observed, resynced};

/// The result of a command, without secrets.
pub(crate) trait Render: Serialize {
    /// Whole lines for people.
    fn people(&self) -> String;
}

/// A result that holds a secret: its text is wiped as well.
pub(crate) trait Reveal: Serialize {
    /// Whole lines for people.
    fn page(&self) -> Zeroizing<String>;
}

/// A result as one JSON object and a line end.
pub(crate) fn json(result: &impl Serialize) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut text = Zeroizing::new(Vec::with_capacity(ENROLMENT_BYTES));
    common::wire::json::write(&mut *text, result)
        .map_err(|error| Failure::Writing(error.into()))?;
    text.push(b'\n');
    Ok(text)
}

impl Render for ConfirmReply {
    fn people(&self) -> String {
        confirmation(&self.user, &self.device, self.verdict) + "\n"
    }
}

impl Render for ResyncReply {
    fn people(&self) -> String {
        resynced(&self.user, &self.device, self.verdict, self.seconds) + "\n"
    }
}

/// The result of `verify`.
#[derive(Debug, Serialize)]
pub(crate) struct VerifyResult {
    /// In the text only; a program knows the user that it named.
    #[serde(skip)]
    user: String,
    verdict: Verdict,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    would: Option<Verdict>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recovery_codes_left: Option<usize>,
}

impl VerifyResult {
    /// The daemon's verdict on an attempt for `user`.
    pub(crate) fn new(user: &str, reply: VerifyReply) -> Self {
        let VerifyReply {
            verdict,
            ask: _,
            retry_after,
            device,
            is_code: _,
            rule,
            would,
            recovery_codes_left,
            enrolled: _,
            enrolment: _,
            quarantine: _,
        } = reply;
        Self {
            user: user.to_owned(),
            verdict,
            retry_after,
            device,
            rule,
            would,
            recovery_codes_left,
        }
    }

    /// The verdict on the typed code, also if the settings exempt the user from it.
    pub(crate) fn judged(&self) -> Verdict {
        self.would.unwrap_or(self.verdict)
    }
}

impl Render for VerifyResult {
    fn people(&self) -> String {
        let judged = || {
            attempt(
                &self.user,
                self.judged(),
                self.device.as_deref(),
                self.retry_after,
            )
        };
        let sentence = match (&self.rule, self.would) {
            (Some(rule), Some(_)) => observed(rule, &judged()),
            (Some(rule), None) => exempt(rule),
            (None, _) => judged(),
        };
        let left = self
            .recovery_codes_left
            .map(|left| format!("; recovery codes left: {left}"))
            .unwrap_or_default();
        format!("{sentence}{left}\n")
    }
}

impl Render for StatusReply {
    fn people(&self) -> String {
        let accept = match self.acceptable {
            Some(true) => "; if the clock is right: totpctl clock-accept",
            Some(false) | None => "",
        };
        let lines = [
            ("running since", minute(self.started)),
            ("store", printable(&self.store)),
            ("users", users(self)),
            ("generation", self.generation.to_string()),
            ("second copy", copy(self.copy)),
            ("default tag", printable(&self.default_tag)),
            ("secrets", secrets(self)),
            ("sealed under", sealed_under(self)),
            ("connections", self.connections.to_string()),
            ("audit lines lost", lost(self.audit_lost, LOG_IS_STUCK)),
            ("events lost", lost(self.events_lost, DISK_IS_FULL)),
            ("clock", clock(self.clock, self.quarantine_until) + accept),
        ];
        let title = format!("provisiond {}\n", printable(&self.version));
        lines.iter().fold(title, |text, (name, value)| {
            text + &format!("{name:<18}{value}\n")
        })
    }
}

/// What is sealed under each tag, a line each.
fn sealed_under(status: &StatusReply) -> String {
    match &status.sealed {
        Some(sealed) => sealed::lines(sealed).join("\n                  "),
        None => "not counted; restart the daemon to have it counted".to_owned(),
    }
}

fn secrets(status: &StatusReply) -> String {
    let wrong: Vec<_> = status
        .wrong_secrets
        .iter()
        .map(|tag| printable(tag))
        .collect();
    match wrong.as_slice() {
        [] => "ok".to_owned(),
        wrong => format!(
            "another application secret than before under {}; users with keys under it are refused: put the former one back, and a new one beside it under a tag of its own",
            wrong.join(", ")
        ),
    }
}

/// A number of lines that were lost, and the next step if there are any.
fn lost(lines: u64, next_step: &str) -> String {
    match lines {
        0 => "0".to_owned(),
        lines => format!("{lines} since the start: {next_step}"),
    }
}

/// The state of the store's second copy of every record.
fn copy(copy: Option<CopyReply>) -> String {
    let Some(copy) = copy else {
        return "an older daemon does not tell".to_owned();
    };
    let state = match (copy.whole, copy.seen_whole) {
        (None, _) => "not read back yet".to_owned(),
        (Some(true), Some(seen)) => format!("whole at {}", minute(seen)),
        (Some(true), None) => "whole".to_owned(),
        (Some(false), _) => {
            "damaged, and not made anew: 'journalctl -t provisiond' says why".to_owned()
        }
    };
    let snapshot = copy
        .snapshot
        .map(|made| format!("; snapshot of {}", minute(made)));
    let counted = |number: u64, what: &str| match number {
        0 => String::new(),
        number => format!("; {what} since the start: {number}"),
    };
    state
        + &snapshot.unwrap_or_default()
        + &counted(copy.healed, "healed")
        + &counted(copy.not_healed, "healing failed")
}

fn users(status: &StatusReply) -> String {
    let users = status.users;
    let of = status
        .users_known
        .filter(|known| *known > users)
        .map(|known| format!(" of {known}"))
        .unwrap_or_default();
    match status.incomplete {
        true => format!(
            "{users}{of}; users may be missing, and no user is enrolled: put a good copy of the store back, or run \
             'totpctl store accept-loss'"
        ),
        false => users.to_string(),
    }
}

/// The state of the machine's clock, in the same words in `status` and in `clock-accept`.
fn clock(state: ClockState, quarantine_until: Option<u64>) -> String {
    match state {
        ClockState::Ok => "ok".to_owned(),
        ClockState::Unsynchronised => {
            "not synchronised; the daemon does not correct for devices' clocks".to_owned()
        }
        ClockState::BeforeBuild => {
            "before the daemon was built; every login is refused: set the clock".to_owned()
        }
        ClockState::Quarantine => match quarantine_until {
            Some(time) => format!(
                "in quarantine until {}; codes shown from then on are accepted",
                second(time)
            ),
            None => "in quarantine; codes from before are refused".to_owned(),
        },
    }
}

impl Render for ClockAcceptReply {
    fn people(&self) -> String {
        let done = if self.accepted {
            "the daemon accepts the clock"
        } else {
            "there is nothing to accept in the clock"
        };
        // An older daemon does not tell the state.
        match self.clock {
            Some(state) => format!("{done}: it is {}\n", clock(state, self.quarantine_until)),
            None => format!("{done}; to see the state of the clock: totpctl status\n"),
        }
    }
}

impl Render for StoreAcceptLossReply {
    fn people(&self) -> String {
        match self.accepted {
            true => "the daemon takes the store as complete: users that it lacks count as never enrolled\n".to_owned(),
            false => "no user was missing from the store: nothing changed\n".to_owned(),
        }
    }
}

impl Render for RevokeGraceReply {
    fn people(&self) -> String {
        let user = printable(&self.user);
        match self.revoked {
            true => format!("{user}'s grace period is over: the next login asks for a code\n"),
            false => format!("{user} had no grace period: nothing changed\n"),
        }
    }
}

/// The result of `reload`.
#[derive(Debug, Serialize)]
pub(crate) struct Reloaded {
    pub(crate) reloaded: bool,
}

impl Render for Reloaded {
    fn people(&self) -> String {
        "the daemon has read its settings again\n".to_owned()
    }
}

/// The parameters of a device's codes: `6 digits, 30 s, sha1`. Without a period the device is an
/// HOTP token.
fn code_parameters(alg: &str, digits: u8, period: Option<u32>) -> String {
    let lasting = period.map_or_else(
        || Kind::Hotp.word().to_owned(),
        |period| format!("{period} s"),
    );
    format!("{digits} digits, {lasting}, {}", printable(alg))
}

/// The command that confirms a device. The caller has made `device` printable.
pub(crate) fn confirm_command(user: &str, device: &str) -> String {
    format!("totpctl confirm {} --device {device}", argument(user))
}

/// Room for a result without its QR code, in bytes: a text that grows leaves a copy of the key in
/// memory.
const ENROLMENT_BYTES: usize = 16 * 1024;

const LOG_IS_STUCK: &str =
    "check that the journal takes lines ('systemctl status systemd-journald')";
const DISK_IS_FULL: &str = "check that the disk of the store has room";

#[cfg(test)]
mod tests {
    use common::wire::protocol::{Ask, SealedUnder};

    use super::*;

    #[test]
    fn programs_read_a_verdict_without_what_is_unknown() {
        let reply = VerifyReply {
            retry_after: Some(12),
            ..VerifyReply::bare(Verdict::AlreadyUsed, Ask::OneCode)
        };
        let text = json(&VerifyResult::new("alice", reply)).unwrap();
        assert_eq!(
            text.as_slice(),
            b"{\"verdict\":\"already_used\",\"retry_after\":12}\n"
        );
    }

    #[test]
    fn a_revoked_grace_says_what_comes() {
        let told = |revoked| {
            RevokeGraceReply {
                user: "alice".into(),
                revoked,
            }
            .people()
        };
        assert_eq!(
            told(true),
            "alice's grace period is over: the next login asks for a code\n"
        );
        assert_eq!(told(false), "alice had no grace period: nothing changed\n");
    }

    #[test]
    fn who_is_exempt_hears_by_what() {
        let (verdict, ask, rule) = (Verdict::Exempt, Ask::Nothing, Some("lan".to_owned()));
        let told = VerifyResult::new(
            "alice",
            VerifyReply {
                rule,
                ..VerifyReply::bare(verdict, ask)
            },
        );
        assert_eq!(
            told.people(),
            "exempt: the daemon's settings ask for no code here (rule 'lan')\n"
        );
        assert_eq!(
            json(&told).unwrap().as_slice(),
            b"{\"verdict\":\"exempt\",\"rule\":\"lan\"}\n"
        );
    }

    #[test]
    fn while_nobody_is_denied_it_is_said_what_it_would_have_been() {
        let rule = Some("observe".to_owned());
        let reply = VerifyReply {
            rule,
            would: Some(Verdict::Rejected),
            ..VerifyReply::bare(Verdict::Exempt, Ask::Nothing)
        };
        let told = VerifyResult::new("alice", reply);
        assert_eq!(told.judged(), Verdict::Rejected);
        assert_eq!(
            told.people(),
            "exempt: the daemon's settings deny no login now (rule 'observe'); the verdict would have been rejected: the code \
             is wrong; wait for the next one, and check the phone's clock\n"
        );
        let json = b"{\"verdict\":\"exempt\",\"rule\":\"observe\",\"would\":\"rejected\"}\n";
        assert_eq!(super::json(&told).unwrap().as_slice(), json);
    }

    fn under(tag: &str, records: u64) -> SealedUnder {
        SealedUnder {
            tag: tag.into(),
            default: tag != "1",
            known: true,
            records,
            macs: records,
            device_keys: records,
            code_keys: records,
            tombstones: 0,
            decoys: 0,
        }
    }

    fn a_status() -> StatusReply {
        StatusReply {
            version: "0.1.0".into(),
            started: 1_795_468_680,
            store: "sled".into(),
            users: 12,
            generation: 345,
            incomplete: false,
            users_known: None,
            default_tag: "2026-11-23".into(),
            wrong_secrets: Vec::new(),
            sealed: Some(vec![under("2026-11-23", 11), under("1", 1)]),
            connections: 1,
            audit_lost: 0,
            events_lost: 0,
            clock: ClockState::Quarantine,
            quarantine_until: Some(1_795_468_740),
            acceptable: Some(true),
            copy: Some(CopyReply {
                whole: Some(true),
                seen_whole: Some(1_795_468_700),
                snapshot: None,
                healed: 0,
                not_healed: 0,
            }),
        }
    }

    #[test]
    fn the_daemons_state_is_a_list_of_lines() {
        let status = a_status();
        let (started, until) = (minute(1_795_468_680), second(1_795_468_740));
        let seen = minute(1_795_468_700);
        assert_eq!(
            status.people(),
            format!(
                "\
provisiond 0.1.0
running since     {started}
store             sled
users             12
generation        345
second copy       whole at {seen}
default tag       2026-11-23
secrets           ok
sealed under      2026-11-23 (default): 11 records
                  1: 1 record; to seal them under the default tag: totpctl rotate
connections       1
audit lines lost  0
events lost       0
clock             in quarantine until {until}; codes shown from then on are accepted; if the clock is right: totpctl clock-accept
"
            )
        );
        for (known, told) in [
            (Some(100), "12 of 100; users may"),
            (Some(12), "12; users may"),
        ] {
            let status = StatusReply {
                incomplete: true,
                users_known: known,
                ..status.clone()
            };
            let text = status.people();
            assert!(
                text.contains(&format!("users             {told} be missing")),
                "{text}"
            );
        }
    }

    #[test]
    fn lines_that_were_lost_have_a_next_step_and_none_have_none() {
        assert_eq!(lost(0, LOG_IS_STUCK), "0");
        assert_eq!(
            lost(7, DISK_IS_FULL),
            "7 since the start: check that the disk of the store has room"
        );
    }

    #[test]
    fn the_second_copy_is_told_with_its_age_and_what_was_healed() {
        let (seen, made) = (1_795_468_700, 1_795_400_000);
        let whole = CopyReply {
            whole: Some(true),
            seen_whole: Some(seen),
            snapshot: Some(made),
            healed: 2,
            not_healed: 1,
        };
        let (seen, made) = (minute(seen), minute(made));
        assert_eq!(
            copy(Some(whole)),
            format!(
                "whole at {seen}; snapshot of {made}; healed since the start: 2; healing failed since the start: 1"
            )
        );
        let hurt = CopyReply {
            whole: Some(false),
            ..CopyReply::default()
        };
        assert!(copy(Some(hurt)).starts_with("damaged, and not made anew"));
        assert_eq!(copy(Some(CopyReply::default())), "not read back yet");
        assert_eq!(copy(None), "an older daemon does not tell");
    }

    #[test]
    fn what_clock_accept_says_of_the_clock_is_what_status_says() {
        let until = Some(1_795_468_740);
        for (state, quarantine_until) in [
            (ClockState::Ok, None),
            (ClockState::Unsynchronised, None),
            (ClockState::BeforeBuild, None),
            (ClockState::Quarantine, until),
        ] {
            for (accepted, done) in [
                (true, "the daemon accepts the clock: it is "),
                (false, "there is nothing to accept in the clock: it is "),
            ] {
                let reply = ClockAcceptReply {
                    accepted,
                    clock: Some(state),
                    quarantine_until,
                };
                let shown = clock(state, quarantine_until);
                assert_eq!(reply.people(), format!("{done}{shown}\n"));
            }
        }
        let older = ClockAcceptReply {
            accepted: false,
            clock: None,
            quarantine_until: None,
        };
        assert!(older.people().ends_with("totpctl status\n"));
    }
}
