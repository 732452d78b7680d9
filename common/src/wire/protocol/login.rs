//! The two calls of a login.

use serde::{Deserialize, Serialize};

use crate::secret::SecretText;
use crate::words::words;

/// `Challenge`: what to ask the person for.
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
    /// What the service file says.
    pub options: Option<LoginOptions>,
}

/// What the service file says of its service, besides what concerns the module alone. Taken from root's processes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginOptions {
    /// Seconds in which an accepted code of this service goes on to count, from the very same source.
    pub grace_period: Option<u32>,
    /// True: nothing is learned of the device's clock.
    pub noskewadj: Option<bool>,
    /// True: who was never enrolled and has a ticket enrols at the prompt.
    pub enroll: Option<bool>,
}

/// Reply to [`Challenge`].
#[derive(Debug, Serialize, Deserialize)]
pub struct ChallengeReply {
    /// What to ask for.
    pub ask: Ask,
    /// Whether the user ever had an active device; told to root only.
    pub enrolled: Option<bool>,
    /// The lengths of the user's codes, each once; told to root only.
    pub digits: Option<Vec<u8>>,
}

/// What the person is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// The current code.
    OneCode,
    /// The current code and the one after it.
    TwoCodes,
    /// The ticket for a first device.
    Ticket,
    /// No code. The attempt is made all the same, without any.
    Nothing,
}

/// `Verify`: the attempt.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// Account name.
    pub user: String,
    /// What the person typed.
    pub codes: Vec<SecretText>,
    /// PAM service.
    pub service: String,
    /// Where the login comes from, as PAM knows it.
    pub rhost: Option<String>,
    /// The terminal, as PAM knows it.
    pub tty: Option<String>,
    /// What the service file says.
    pub options: Option<LoginOptions>,
}

/// Reply to [`Verify`].
#[derive(Debug, Serialize, Deserialize)]
pub struct VerifyReply {
    /// The verdict.
    pub verdict: Verdict,
    /// What the person has to be asked for next.
    pub ask: Ask,
    /// With `already_used`: seconds until the device shows the next code.
    pub retry_after: Option<u64>,
    /// The device whose code it was.
    pub device: Option<String>,
    /// With `exempt`: the name of the rule.
    pub rule: Option<String>,
    /// With `exempt`, while nobody is denied: the verdict that it would have been; told to root only.
    pub would: Option<Verdict>,
    /// After a recovery code was used: how many are left. With `enrolled`: 0, if there are any to be had. Told to root only.
    pub recovery_codes_left: Option<usize>,
    /// True: the code was the first one of a first device, which is active now.
    pub enrolled: Option<bool>,
    /// After a ticket, with `not_enrolled`: the first device, whose first code is asked for now; told to root only.
    pub enrolment: Option<Enrolment>,
}

/// A device that was made at the prompt of a login: what its owner has to see, this one time.
#[derive(Debug, Serialize, Deserialize)]
pub struct Enrolment {
    /// The device's name.
    pub device: String,
    /// The key in base32, in groups joined by hyphens.
    pub key: SecretText,
    /// Lines of a QR code that holds the key as an `otpauth://` URI, in half blocks for light text on a dark background.
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
            rule: None,
            would: None,
            recovery_codes_left: None,
            enrolled: None,
            enrolment: None,
        }
    }
}

words! {
    /// What became of an attempt. The interface file says what each means. The words are those of the audit lines, too.
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
