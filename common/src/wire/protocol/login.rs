//! Messages of a login: `Challenge` and `Verify`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::secret::SecretText;
use crate::words::words;

/// `Challenge`: what to ask the user for.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Challenge {
    /// Account name.
    pub user: String,
    /// PAM service.
    pub service: String,
    /// Where the login comes from, as PAM knows it.
    pub rhost: Option<String>,
    /// The terminal, as PAM knows it.
    pub tty: Option<String>,
    /// The options of the service file.
    pub options: Option<LoginOptions>,
}

/// Options of the service file that the daemon has to know. The daemon takes them from root's
/// processes only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginOptions {
    /// Seconds after an accepted code for this service in which no code is needed from exactly the
    /// same source.
    pub grace_period: Option<u32>,
    /// True: the daemon does not learn how far the device's clock is off.
    pub noskewadj: Option<bool>,
    /// True: a never-enrolled user with a ticket can enrol at the prompt.
    pub enroll: Option<bool>,
    /// With `enroll`, true: the user has passed a first factor, so that the settings can let the
    /// user enrol without a ticket.
    pub first_factor: Option<bool>,
}

/// Reply to [`Challenge`].
#[derive(Debug, Serialize, Deserialize)]
pub struct ChallengeReply {
    /// What to ask for.
    pub ask: Ask,
    /// Whether the user ever had an active device; told to root, and to users about themselves.
    pub enrolled: Option<bool>,
    /// The lengths of the user's codes, each once; told to root only.
    pub digits: Option<Vec<u8>>,
    /// The quarantine of this machine, if there is one. It says nothing of the user.
    pub quarantine: Option<Quarantine>,
}

/// What the user is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// The current code.
    OneCode,
    /// The current code and the one after it.
    TwoCodes,
    /// The ticket for a first device.
    Ticket,
    /// The first code of a device that `Verify`, called without a code, makes and shows.
    FirstDevice,
    /// No code. `Verify` is still called, without a code.
    Nothing,
}

/// `Verify`: the attempt.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// Account name.
    pub user: String,
    /// The typed codes.
    pub codes: Vec<SecretText>,
    /// PAM service.
    pub service: String,
    /// Where the login comes from, as PAM knows it.
    pub rhost: Option<String>,
    /// The terminal, as PAM knows it.
    pub tty: Option<String>,
    /// The options of the service file.
    pub options: Option<LoginOptions>,
}

/// Reply to [`Verify`].
#[derive(Debug, Serialize, Deserialize)]
pub struct VerifyReply {
    /// The verdict.
    pub verdict: Verdict,
    /// What to ask the user for next.
    pub ask: Ask,
    /// With `already_used`: seconds until the device shows the next code.
    pub retry_after: Option<u64>,
    /// The device that showed the code.
    pub device: Option<String>,
    /// With `exempt`, true: the code that came, although none was needed, had been accepted before.
    pub is_code: Option<bool>,
    /// With `exempt`: the name of the rule.
    pub rule: Option<String>,
    /// With `exempt`, in a dry run (`observe`): the verdict that the code would have had; told to
    /// root only.
    pub would: Option<Verdict>,
    /// After a recovery code: how many are left. With `enrolled`: 0, if the user can create some.
    /// Told to root only.
    pub recovery_codes_left: Option<usize>,
    /// True: the code was the first one of a first device, which is active now.
    pub enrolled: Option<bool>,
    /// After a ticket, with `not_enrolled`: the new device; its first code has to be asked for now.
    /// Told to root only.
    pub enrolment: Option<Enrolment>,
    /// The quarantine of this machine, if there is one and the user was not let in. It says nothing
    /// of the user.
    pub quarantine: Option<Quarantine>,
}

/// A time in which earlier codes are refused, because this machine was started or restored, or its
/// clock set: the same for every user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    /// Codes shown from this time on are accepted. `None`: that takes long, or is unknown.
    pub until: Option<TimeOfDay>,
}

/// A time of day in the machine's time zone, in seconds since midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32")]
pub struct TimeOfDay(u32);

impl TryFrom<u32> for TimeOfDay {
    type Error = &'static str;

    fn try_from(seconds: u32) -> Result<Self, Self::Error> {
        if seconds < DAY {
            Ok(Self(seconds))
        } else {
            Err("no day has so many seconds")
        }
    }
}

/// `HH:MM:SS`.
impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (minutes, second) = (self.0 / 60, self.0 % 60);
        let (hour, minute) = (minutes / 60, minutes % 60);
        write!(f, "{hour:02}:{minute:02}:{second:02}")
    }
}

/// Seconds.
const DAY: u32 = 86_400;

/// A device that was created at the prompt of a login: its owner is shown this once.
#[derive(Debug, Serialize, Deserialize)]
pub struct Enrolment {
    /// The device's name.
    pub device: String,
    /// The key in base32, in groups joined by hyphens.
    pub key: SecretText,
    /// Lines of a QR code that holds the key as an `otpauth://` URI, in half blocks for light text
    /// on a dark background.
    pub qr: Vec<SecretText>,
}

impl VerifyReply {
    /// A verdict, and nothing more to say.
    #[must_use]
    pub fn bare(verdict: Verdict, ask: Ask) -> Self {
        Self {
            verdict,
            ask,
            retry_after: None,
            device: None,
            is_code: None,
            rule: None,
            would: None,
            recovery_codes_left: None,
            enrolled: None,
            enrolment: None,
            quarantine: None,
        }
    }
}

words! {
    /// The verdict on an attempt. The interface file documents each. The audit lines use the same
    /// words.
    #[must_use]
    #[expect(missing_docs, reason = "documented where clients read it, in the interface file")]
    pub enum Verdict {
        Accepted = "accepted",
        Exempt = "exempt",
        Rejected = "rejected",
        AlreadyUsed = "already_used",
        Malformed = "malformed",
        TwoCodesNeeded = "two_codes_needed",
        NotEnrolled = "not_enrolled",
        Disabled = "disabled",
        Refused = "refused",
        Busy = "busy",
    }
}
