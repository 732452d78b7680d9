//! The section `recovery` of the settings: the number of recovery codes and their expiry.

use std::time::Duration;

use serde::Deserialize;
use serde::de::{self, Deserializer};

use crate::config::values::decimal::Decimal;
use crate::config::values::given::given;
use crate::config::values::span::{BadSpan, Span};

/// The section `recovery` of the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// How many recovery codes a user gets; 0: none.
    pub codes: u8,
    /// The time after which they expire. `None`: never.
    pub expire: Option<Duration>,
}

/// The section as it is written.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a section of settings")]
pub(crate) struct RawRecovery {
    #[serde(deserialize_with = "given")]
    codes: Option<Decimal<u8>>,
    #[serde(deserialize_with = "given")]
    expire: Option<Expire>,
}

impl RawRecovery {
    /// The checked settings, or the key that is not valid and the reason.
    pub(crate) fn check(self) -> Result<Recovery, (&'static str, String)> {
        let codes = self.codes.map_or(MAX_CODES, |Decimal(codes)| codes);
        if codes > MAX_CODES {
            return Err((
                "recovery.codes",
                format!("{codes} is not between 0 and {MAX_CODES}"),
            ));
        }
        let expire = self.expire.and_then(|expire| expire.0);
        if expire.is_some_and(|span| !(MIN_EXPIRE..=MAX_EXPIRE).contains(&span)) {
            return Err((
                "recovery.expire",
                "must be 'never', or between 1 day and 10 years".into(),
            ));
        }
        Ok(Recovery { codes, expire })
    }
}

/// A span of time, or the word `never`.
struct Expire(Option<Duration>);

impl<'de> Deserialize<'de> for Expire {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.as_str() {
            "never" => Ok(Self(None)),
            text => text
                .parse()
                .map(|Span(span)| Self(Some(span)))
                .map_err(|BadSpan| de::Error::custom(EXPIRE_FORM)),
        }
    }
}

const EXPIRE_FORM: &str =
    "write 'never', or a span of time: a number with s, m, h or d, such as '365d'";
/// The most recovery codes of a user: a stored record has no room for more.
pub const MAX_CODES: u8 = 10;
const MIN_EXPIRE: Duration = Duration::from_secs(86400);
const MAX_EXPIRE: Duration = Duration::from_secs(3660 * 86400);
