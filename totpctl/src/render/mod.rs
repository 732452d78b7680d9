//! Prints the results of `verify`, `confirm`, `resync`, `reload`, `store` and `revoke-grace`; a file
//! each for the other commands. The JSON of every result is derived from its
//! struct.
//!
//! Names in texts are escaped: none can send control characters to the terminal.

pub(crate) mod applied;
mod attempts;
mod backup;
mod changes;
mod enrolment;
mod event;
mod examined;
#[cfg(feature = "fleet")]
pub(crate) mod fleet;
mod fleet_status;
mod gone;
pub(crate) mod key;
pub(crate) mod lists;
mod metrics;
mod migrated;
pub(crate) mod moving;
mod recovery;
mod rotated;
mod sealed;
mod status;
mod tried;
mod users;

use common::names::device::Kind;
use common::wire::protocol::{
    ConfirmReply, ResyncReply, RevokeGraceReply, StoreAcceptLossReply, Verdict, VerifyReply,
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
pub(crate) use self::fleet_status::FleetStatus;
pub(crate) use self::gone::{Gone, Step};
pub(crate) use self::metrics::{Measured, down};
pub(crate) use self::migrated::Migrated;
pub(crate) use self::recovery::{Purpose, TimedCode, recovery_codes};
pub(crate) use self::rotated::Rotated;
pub(crate) use self::tried::Tried;
pub(crate) use self::users::{Expiring, Users};
use crate::exit::Failure;
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

#[cfg(test)]
mod tests {
    use common::wire::protocol::Ask;

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
}
