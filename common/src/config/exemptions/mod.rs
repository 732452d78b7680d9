//! Who needs no code, by all the sections of the settings that say so.

pub mod grace;
mod hours;
pub mod roll_out;
pub mod rules;

use crate::config::exemptions::grace::{Grace, RawGrace};
use crate::config::exemptions::roll_out::{RawRollOut, RollOut, UnknownUsers};
use crate::config::exemptions::rules::{RawRule, Rule};

/// What those sections come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exemptions {
    /// `rules`: who is exempt.
    pub rules: Vec<Rule>,
    /// `roll-out`: who has time left to enrol.
    pub roll_out: RollOut,
    /// `unknown-users`: what becomes of who was never enrolled.
    pub unknown_users: UnknownUsers,
    /// `grace`: how long an accepted code goes on to count.
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
    /// All of them, or the section that cannot be taken and why.
    pub(crate) fn check(self) -> Result<Exemptions, (&'static str, String)> {
        Ok(Exemptions {
            rules: rules::check(self.rules).map_err(|why| ("rules", why))?,
            roll_out: self.roll_out.check().map_err(|why| ("roll-out", why))?,
            unknown_users: self.unknown_users,
            grace: self.grace.check().map_err(|why| ("grace", why))?,
        })
    }
}
