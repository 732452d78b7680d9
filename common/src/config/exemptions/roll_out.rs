//! The sections `roll-out` (dry run, dates to enrol by) and `unknown-users` of the settings.

use serde::Deserialize;

use crate::config::values::group_days::{GroupDays, RawGroupDays};

/// The section `roll-out`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RollOut {
    /// Dry run: verdicts are logged, and no login is denied for a wrong code.
    pub observe: bool,
    /// Groups, and the first day on which their members need a device. Before that day,
    /// never-enrolled members need no code.
    pub enforce_after: GroupDays,
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
    enforce_after: RawGroupDays,
}

impl RawRollOut {
    /// The checked roll-out, or the first problem.
    pub(crate) fn check(self) -> Result<RollOut, String> {
        Ok(RollOut {
            observe: self.observe,
            enforce_after: self.enforce_after.check("enforce-after")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::values::calendar;
    use crate::config::values::group_days::Scope;

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
                enforce_after: GroupDays(expected)
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
