//! The sections `roll-out` (dry run, dates to enrol by) and `unknown-users` of the settings.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::config::exemptions::rules::group;
use crate::config::values::calendar::{self, Date};
use crate::config::values::given::Text;
use crate::wire::text::printable;

/// The section `roll-out`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RollOut {
    /// Dry run: verdicts are logged, and no login is denied for a wrong code.
    pub observe: bool,
    /// Groups, and the first day on which their members need a device. Before that day,
    /// never-enrolled members need no code.
    pub enforce_after: Vec<(Scope, Date)>,
}

/// The users that a date applies to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All accounts.
    All,
    /// The members of a group.
    Group(String),
}

/// `unknown-users`: how never-enrolled users are treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase", expecting = "'ask', 'skip' or 'deny'")]
pub enum UnknownUsers {
    /// They are asked for a code like all others, and refused.
    #[default]
    Ask,
    /// They need no code.
    Skip,
    /// They are refused without a prompt.
    Deny,
}

/// The section as it is written.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a section of settings")]
pub(crate) struct RawRollOut {
    observe: bool,
    #[serde(rename = "enforce-after", alias = "enforce_after")]
    enforce_after: Days,
}

/// Groups and dates in the order of the file.
#[derive(Default)]
struct Days(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Days {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Self::default())
    }
}

impl<'de> Visitor<'de> for Days {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("groups, each with a date")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        while let Some((Text(name), Text(day))) = map.next_entry()? {
            self.0.push((name, day));
        }
        Ok(self)
    }
}

impl RawRollOut {
    /// The checked roll-out, or the first problem.
    pub(crate) fn check(self) -> Result<RollOut, String> {
        let Days(days) = self.enforce_after;
        if days.len() > MAX_GROUPS {
            return Err(format!("'enforce-after' takes at most {MAX_GROUPS} groups"));
        }
        let dated = days.into_iter().map(|(name, date)| {
            let taken = Scope::parse(&name).and_then(|name| Ok((name, day(&date)?)));
            taken.map_err(|why| format!("'{}': {why}", printable(&name)))
        });
        Ok(RollOut {
            observe: self.observe,
            enforce_after: dated.collect::<Result<_, _>>()?,
        })
    }
}

impl Scope {
    fn parse(text: &str) -> Result<Self, String> {
        if text == EVERYBODY {
            Ok(Self::All)
        } else {
            group(text).map(Self::Group)
        }
    }
}

fn day(text: &str) -> Result<Date, String> {
    calendar::date(text).ok_or_else(|| {
        format!(
            "'{}' is not a date: write it as '2026-12-01'",
            printable(text)
        )
    })
}

const EVERYBODY: &str = "everybody";
const MAX_GROUPS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<RollOut, String> {
        serde_yaml::from_str::<RawRollOut>(text)
            .map_err(|error| error.to_string())?
            .check()
    }

    #[test]
    fn a_roll_out_has_days_for_groups_and_for_everybody() {
        let told = parse("{enforce_after: {staff: 2026-12-01, everybody: 2027-01-15}}").unwrap();
        let day = |text| calendar::date(text).unwrap();
        let expected = [
            (Scope::Group("staff".into()), day("2026-12-01")),
            (Scope::All, day("2027-01-15")),
        ]
        .to_vec();
        assert_eq!(
            told,
            RollOut {
                observe: false,
                enforce_after: expected
            }
        );
        assert!(parse("{observe: true}").unwrap().observe);
        assert_eq!(parse("{}").unwrap(), RollOut::default());
    }

    #[test]
    fn what_is_wrong_is_said_with_the_group() {
        for (text, why) in [
            (
                "{enforce-after: {staff: soon}}",
                "'staff': 'soon' is not a date",
            ),
            (
                "{enforce-after: {staff: 2026-02-30}}",
                "'2026-02-30' is not a date",
            ),
            ("{enforce-after: {'a/b': 2026-12-01}}", "'a/b': no group"),
            ("{enforce-after: 2026-12-01}", "groups, each with a date"),
            ("{observe: perhaps}", "boolean"),
            ("{observed: true}", "observed"),
        ] {
            let said = parse(text).unwrap_err();
            assert!(said.contains(why), "{text}: {said}");
        }
        let many: String = (0..65).map(|n| format!("  g{n}: 2026-12-01\n")).collect();
        assert!(
            parse(&format!("enforce-after:\n{many}"))
                .unwrap_err()
                .contains("at most 64")
        );
    }

    #[test]
    fn unknown_users_are_asked_skipped_or_denied() {
        let parse = serde_yaml::from_str::<UnknownUsers>;
        assert_eq!(
            ["ask", "skip", "deny"].map(|word| parse(word).unwrap()),
            [UnknownUsers::Ask, UnknownUsers::Skip, UnknownUsers::Deny]
        );
        assert!(parse("allow").is_err());
    }
}
