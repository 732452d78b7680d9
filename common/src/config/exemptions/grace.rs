//! The section `grace` of the settings: how long after an accepted code no further code is needed.

use std::time::Duration;

use serde::Deserialize;

use crate::config::exemptions::rules::service;
use crate::config::values::given::Several;
use crate::config::values::span::Span;

/// The section `grace`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grace {
    /// For the same service, from exactly the address or terminal of the accepted code.
    pub same_source: Option<Period>,
    /// On this machine, after a code for any service.
    pub same_host: Option<Period>,
}

/// A grace period, and the services that ask for no code during it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Period {
    /// The length of the period, from the accepted code on.
    pub span: Duration,
    /// PAM services.
    pub services: Vec<String>,
}

/// The section as it is written.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a section of settings")]
pub(crate) struct RawGrace {
    #[serde(rename = "same-source", alias = "same_source")]
    same_source: Option<RawPeriod>,
    #[serde(rename = "same-host", alias = "same_host")]
    same_host: Option<RawPeriod>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section of settings")]
struct RawPeriod {
    #[serde(rename = "for")]
    span: Span,
    services: Several,
}

impl RawGrace {
    /// The checked periods, or the problem with one of them.
    pub(crate) fn check(self) -> Result<Grace, String> {
        let check = |name: &str, raw: Option<RawPeriod>| {
            raw.map(|raw| raw.check().map_err(|why| format!("'{name}': {why}")))
                .transpose()
        };
        Ok(Grace {
            same_source: check("same-source", self.same_source)?,
            same_host: check("same-host", self.same_host)?,
        })
    }
}

impl RawPeriod {
    fn check(self) -> Result<Period, String> {
        let Self {
            span: Span(span),
            services,
        } = self;
        if span.is_zero() || span > LONGEST {
            return Err("'for' must be between 1 second and 30 days".to_owned());
        }
        Ok(Period {
            span,
            services: services.check("services", service)?,
        })
    }
}

/// The longest grace period.
pub const LONGEST: Duration = Duration::from_secs(30 * 86400);

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Grace, String> {
        serde_yaml::from_str::<RawGrace>(text)
            .map_err(|error| error.to_string())?
            .check()
    }

    #[test]
    fn grace_is_a_span_for_some_services() {
        let told = parse(
            "{same-source: {for: 12h, services: [sshd, login]}, same_host: {for: 5m, services: sudo}}",
        );
        let period = |seconds, services: &[&str]| {
            Some(Period {
                span: Duration::from_secs(seconds),
                services: services.iter().map(|s| (*s).into()).collect(),
            })
        };
        let expected = Grace {
            same_source: period(43_200, &["sshd", "login"]),
            same_host: period(300, &["sudo"]),
        };
        assert_eq!(told, Ok(expected));
        assert_eq!(parse("{}"), Ok(Grace::default()));
    }

    #[test]
    fn grace_without_end_or_without_services_is_refused() {
        for (text, why) in [
            (
                "{same-source: {for: 0s, services: [sshd]}}",
                "'same-source': 'for' must be",
            ),
            (
                "{same-host: {for: 31d, services: [sudo]}}",
                "'same-host': 'for' must be",
            ),
            ("{same-host: {for: 5m}}", "services"),
            ("{same-host: {for: 5m, services: []}}", "1 to 64 entries"),
            (
                "{same-host: {for: 5m, services: ~}}",
                "no value stands here",
            ),
            ("{same-host: {services: [sudo]}}", "for"),
            ("{same-place: {for: 5m, services: [sudo]}}", "same-place"),
        ] {
            let said = parse(text).unwrap_err();
            assert!(said.contains(why), "{text}: {said}");
        }
    }
}
