//! One authenticator as another system knows it: whose it is, its key and parameters, and which of
//! its codes are spent.

use common::answer::Answer;
use common::lineage::record::BadRecord;
use common::lineage::uri::SharedKey;
use common::names::device::Kind;
use common::otpauth::Label;
use common::secret::{Key, SecretText};
use common::totp::Parameters;

use crate::Problem;

/// An authenticator of another system.
#[derive(Debug)]
pub struct Entry {
    /// The user, as the file names it: an account, or the label of an authenticator app. `None`:
    /// the file does not say.
    pub user: Option<String>,
    /// The key.
    pub key: Key,
    /// TOTP or HOTP.
    pub kind: Kind,
    /// Hash, digits, period. Of an HOTP key the period has no meaning.
    pub parameters: Parameters,
    /// Of an HOTP key: the counter of its next code.
    pub counter: Option<u64>,
    /// The label, as an authenticator shows it.
    pub label: Option<Label>,
    /// The issuer, as an authenticator shows it.
    pub issuer: Option<Label>,
    /// Steps whose codes are spent.
    pub spent: Vec<u64>,
    /// The last code that was accepted.
    pub last_code: Option<SecretText>,
    /// `spent` names every step in the window whose code was accepted.
    pub lists_spent: bool,
    /// Steps that the authenticator's clock is ahead.
    pub skew: i64,
    /// Codes of eight digits that each open one login. `None`: the format has none.
    pub scratch_codes: Option<Vec<SecretText>>,
}

impl Entry {
    /// A TOTP key that is known by nothing but its parameters.
    pub(crate) fn totp(key: Key, parameters: Parameters) -> Self {
        Self {
            user: None,
            key,
            kind: Kind::Totp,
            parameters,
            counter: None,
            label: None,
            issuer: None,
            spent: Vec::new(),
            last_code: None,
            lists_spent: false,
            skew: 0,
            scratch_codes: None,
        }
    }

    /// An HOTP key with the counter of its next code.
    pub(crate) fn hotp(key: Key, parameters: Parameters, counter: u64) -> Self {
        Self {
            kind: Kind::Hotp,
            counter: Some(counter),
            ..Self::totp(key, parameters)
        }
    }

    /// The same, by the word for the kind.
    pub(crate) fn of_kind(
        kind: &str,
        key: Key,
        parameters: Parameters,
        counter: Option<u64>,
    ) -> Result<Self, Problem> {
        match kind.to_ascii_lowercase().as_str() {
            "totp" => Ok(Self::totp(key, parameters)),
            "hotp" => Ok(Self::hotp(
                key,
                parameters,
                counter.ok_or(Problem::NoCounter)?,
            )),
            _ => Err(Problem::Kind),
        }
    }

    /// What an authenticator app shows: its label is the user.
    pub(crate) fn shown_as(
        self,
        label: Option<&str>,
        issuer: Option<&str>,
    ) -> Result<Self, Problem> {
        let (label, issuer) = (filled(label), filled(issuer));
        Ok(Self {
            user: label.map(str::to_owned),
            label: label.map(Label::as_shared).transpose()?,
            issuer: issuer.map(Label::as_shared).transpose()?,
            ..self
        })
    }

    /// The steps from `now` (Unix seconds) on whose codes are spent: those that the file lists, and
    /// that of the last code. An import refuses all earlier ones anyway.
    #[must_use]
    pub fn spent_since(&self, now: u64) -> Vec<u64> {
        let present = self.parameters.step_at(now);
        let ahead = present.saturating_add(FURTHEST);
        let mut spent: Vec<u64> = self.spent.clone();
        let last = self.last_code.as_ref().map(std::slice::from_ref);
        let last = last.and_then(Answer::parse);
        if let Some(codes) = last.and_then(|answer| answer.codes(self.parameters.digits)) {
            spent.extend(self.parameters.find(&self.key, &codes, present..=ahead));
        }
        spent.retain(|step| (present..=ahead).contains(step) && self.kind == Kind::Totp);
        spent.sort_unstable();
        spent.dedup();
        spent
    }
}

impl TryFrom<SharedKey> for Entry {
    type Error = Problem;

    fn try_from(shared: SharedKey) -> Result<Self, Problem> {
        let label = shared.label.map(String::from);
        let issuer = shared.issuer.map(String::from);
        let entry = match shared.counter {
            Some(counter) => Self::hotp(shared.key, shared.parameters, counter),
            None => Self::totp(shared.key, shared.parameters),
        };
        entry.shown_as(label.as_deref(), issuer.as_deref())
    }
}

/// Parameters out of numbers; the usual ones for those that are missing.
pub(crate) fn parameters(
    alg: Option<&str>,
    digits: Option<u64>,
    period: Option<u64>,
) -> Result<Parameters, BadRecord> {
    common::lineage::record::parameters(filled(alg), digits, period)
}

/// A whole number, written in digits alone.
pub(crate) fn number(text: &str, what: &'static str) -> Result<u64, Problem> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Problem::Number(what));
    }
    text.parse().map_err(|_| Problem::Number(what))
}

pub(crate) fn filled(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}

/// The farthest step ahead of a clock that another system may have accepted: its widest usual
/// window is ten steps each way.
const FURTHEST: u64 = 20;
