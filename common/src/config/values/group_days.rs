//! Groups of accounts, each with a date: `{staff: 2026-12-01, everybody: 2027-01-15}`; and which date
//! holds for an account.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::calendar::{self, Date};
use super::given::Text;
use crate::config::exemptions::rules::group;
use crate::wire::text::printable;

/// Groups and dates, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupDays(pub Vec<(Scope, Date)>);

/// The accounts that a date applies to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All accounts.
    All,
    /// The members of a group.
    Group(String),
}

impl GroupDays {
    /// Whether there is no date.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether any date holds that `is_meant`. If none does, no group has to be looked up.
    pub fn any(&self, is_meant: impl Fn(Date) -> bool) -> bool {
        self.0.iter().any(|(_, day)| is_meant(*day))
    }

    /// The date that holds for an account: the earliest of its groups, else that of all accounts.
    /// `None`: there is none, or `is_member` does not know about a group whose date may be earlier.
    pub fn of_account(&self, is_member: impl Fn(&str) -> Option<bool>) -> Option<(&Scope, Date)> {
        let (mut own, mut default) = (None, None);
        for (scope, day) in &self.0 {
            match scope {
                Scope::All => default = Some((scope, *day)),
                Scope::Group(group) if is_member(group)? => {
                    let is_first = own.is_none_or(|(_, first)| *day < first);
                    own = if is_first { Some((scope, *day)) } else { own };
                }
                Scope::Group(_) => {}
            }
        }
        own.or(default)
    }

    /// The names of the groups.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|(scope, _)| match scope {
            Scope::Group(name) => Some(name.as_str()),
            Scope::All => None,
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

    /// As the settings write it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::All => EVERYBODY,
            Self::Group(name) => name,
        }
    }
}

/// The mapping as it is written.
#[derive(Default)]
pub(crate) struct RawGroupDays(Vec<(String, String)>);

impl<'de> Deserialize<'de> for RawGroupDays {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Self::default())
    }
}

impl<'de> Visitor<'de> for RawGroupDays {
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

impl RawGroupDays {
    /// The checked mapping of that key, or the first problem.
    pub(crate) fn check(self, key: &str) -> Result<GroupDays, String> {
        let Self(days) = self;
        if days.len() > MAX_GROUPS {
            return Err(format!("'{key}' takes at most {MAX_GROUPS} groups"));
        }
        let dated = days.into_iter().map(|(name, date)| {
            let taken = Scope::parse(&name).and_then(|name| Ok((name, day(&date)?)));
            taken.map_err(|why| format!("'{}': {why}", printable(&name)))
        });
        Ok(GroupDays(dated.collect::<Result<_, _>>()?))
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
