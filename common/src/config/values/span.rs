//! Spans of time in the settings: `90s`, `15m`, `24h`, `7d`.

use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

/// A span of time: `90s`, `15m`, `24h`, `7d`, or whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = BadSpan;

    fn from_str(text: &str) -> Result<Self, BadSpan> {
        let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
        let seconds = match unit {
            "" | "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86400,
            _ => return Err(BadSpan),
        };
        let number = text
            .strip_suffix(unit)
            .and_then(|digits| digits.parse::<u64>().ok());
        let span = number
            .and_then(|number| number.checked_mul(seconds))
            .map(Duration::from_secs);
        span.map(Self).ok_or(BadSpan)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// The text is not a span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a span of time is a number with s, m, h or d, such as '24h'")]
pub struct BadSpan;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_a_number_and_its_unit() {
        for (text, seconds) in [
            ("0", 0),
            ("90", 90),
            ("90s", 90),
            ("15m", 900),
            ("24h", 86400),
            ("7d", 604_800),
        ] {
            assert_eq!(
                text.parse(),
                Ok(Span(Duration::from_secs(seconds))),
                "{text}"
            );
        }
        for text in [
            "",
            "h",
            "soon",
            "1w",
            "-1",
            "+1h",
            "1.5h",
            "1 h",
            "1h30m",
            "99999999999999999999",
            "999999999999999999d",
        ] {
            assert_eq!(text.parse::<Span>(), Err(BadSpan), "{text}");
        }
    }
}
