//! The setting `enroll-at-login`: which never-enrolled users can enrol at the prompt of a login.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::values::given::NOTHING;
use super::values::group_days::{GroupDays, RawGroupDays};

/// The checked setting. It is a word, or a mapping of the groups that need no ticket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnrollAtLogin {
    /// Users with a ticket can enrol.
    pub with_ticket: bool,
    /// Groups, each with the last day on which a member can enrol with the first factor alone.
    pub without_ticket_until: GroupDays,
}

/// The setting as it is written.
#[derive(Default)]
pub(super) struct RawEnrollAtLogin {
    is_on: bool,
    without_ticket_until: RawGroupDays,
}

impl RawEnrollAtLogin {
    pub(super) fn check(self) -> Result<EnrollAtLogin, String> {
        let days = self.without_ticket_until;
        Ok(EnrollAtLogin {
            with_ticket: self.is_on,
            without_ticket_until: days.check("without-ticket-until")?,
        })
    }
}

/// The mapping. An empty one would say nothing.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section of settings")]
struct RawMapping {
    #[serde(rename = "without-ticket-until", alias = "without_ticket_until")]
    without_ticket_until: RawGroupDays,
}

impl<'de> Deserialize<'de> for RawEnrollAtLogin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WordOrMapping)
    }
}

struct WordOrMapping;

impl<'de> Visitor<'de> for WordOrMapping {
    type Value = RawEnrollAtLogin;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a boolean, or a mapping with 'without-ticket-until'")
    }

    fn visit_bool<E: Error>(self, is_on: bool) -> Result<RawEnrollAtLogin, E> {
        Ok(RawEnrollAtLogin {
            is_on,
            ..RawEnrollAtLogin::default()
        })
    }

    fn visit_unit<E: Error>(self) -> Result<RawEnrollAtLogin, E> {
        Err(E::custom(NOTHING))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawEnrollAtLogin, A::Error> {
        let mapping = RawMapping::deserialize(MapAccessDeserializer::new(map))?;
        Ok(RawEnrollAtLogin {
            is_on: true,
            without_ticket_until: mapping.without_ticket_until,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<EnrollAtLogin, String> {
        serde_yaml::from_str::<RawEnrollAtLogin>(text)
            .map_err(|error| error.to_string())?
            .check()
    }

    #[test]
    fn the_setting_is_a_word_or_names_groups_with_their_last_day() {
        assert_eq!(parse("false").unwrap(), EnrollAtLogin::default());
        let with_tickets = parse("true").unwrap();
        assert!(with_tickets.with_ticket);
        assert_eq!(with_tickets.without_ticket_until, GroupDays::default());
        let text = "{without_ticket_until: {staff: 2027-02-01, everybody: 2027-01-01}}";
        let days = parse(text).unwrap();
        assert!(days.with_ticket);
        let day = |of: &[&str]| {
            let account = |group: &str| Some(of.contains(&group));
            let held = days.without_ticket_until.of_account(account);
            held.map(|(scope, day)| format!("{} {day}", scope.as_str()))
        };
        assert_eq!(day(&["staff"]).as_deref(), Some("staff 2027-02-01"));
        assert_eq!(day(&[]).as_deref(), Some("everybody 2027-01-01"));
        assert_eq!(days.without_ticket_until.of_account(|_| None), None);
    }

    #[test]
    fn what_is_neither_is_refused_with_its_reason() {
        for (text, why) in [
            ("~", "no value stands here"),
            ("staff", "a boolean, or a mapping"),
            ("{}", "without-ticket-until"),
            ("{without-ticket: true}", "without-ticket"),
            (
                "{without-ticket-until: 2027-02-01}",
                "groups, each with a date",
            ),
            (
                "{without-ticket-until: {staff: soon}}",
                "'staff': 'soon' is not a date",
            ),
        ] {
            let said = parse(text).unwrap_err();
            assert!(said.contains(why), "{text}: {said}");
        }
    }
}
