//! Exemptions: the sections of the settings by which a login needs no code (`rules`, `roll-out`,
//! `unknown-users`, `grace`).

pub mod grace;
mod hours;
pub mod roll_out;
pub mod rules;

use crate::config::exemptions::grace::{Grace, RawGrace};
use crate::config::exemptions::roll_out::{RawRollOut, RollOut, UnknownUsers};
use crate::config::exemptions::rules::{RawRule, Rule};

/// The checked sections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exemptions {
    /// `rules`: logins that are exempt.
    pub rules: Vec<Rule>,
    /// `roll-out`: users that still have time to enrol.
    pub roll_out: RollOut,
    /// `unknown-users`: how never-enrolled users are treated.
    pub unknown_users: UnknownUsers,
    /// `grace`: how long no further code is needed after an accepted one.
    pub grace: Grace,
}

/// The sections as they are written.
#[derive(Default)]
pub(crate) struct RawExemptions {
    pub(crate) rules: Vec<RawRule>,
    pub(crate) roll_out: RawRollOut,
    pub(crate) unknown_users: UnknownUsers,
    pub(crate) grace: RawGrace,
}

impl RawExemptions {
    /// The checked sections, or the section that is not valid and the reason.
    pub(crate) fn check(self) -> Result<Exemptions, (&'static str, String)> {
        Ok(Exemptions {
            rules: rules::check(self.rules).map_err(|why| ("rules", why))?,
            roll_out: self.roll_out.check().map_err(|why| ("roll-out", why))?,
            unknown_users: self.unknown_users,
            grace: self.grace.check().map_err(|why| ("grace", why))?,
        })
    }
}
