//! Whether a login needs a code. Pure: what is proven about it goes in, and what is demanded comes out.
//!
//! A rule matches what is proven and nothing else. What failed, is late, was said by a stranger or cannot be read is not
//! in the facts, and so no condition on it holds.

use std::cell::OnceCell;
use std::time::Duration;

use common::config::exemptions::Exemptions;
use common::config::exemptions::grace::{Grace, Period};
use common::config::exemptions::roll_out::{RollOut, UnknownUsers, Whom};
use common::config::exemptions::rules::{
    ENFORCE_AFTER, GRACE_PERIOD, OBSERVE, Place, Rule, SAME_HOST, SAME_SOURCE, UNKNOWN_USERS,
};
use common::config::values::calendar::{Date, DateTime};
use common::names::user::UserName;

use crate::in_memory::grace::Since;
use crate::record::source::Origin;

/// What is proven about a login.
#[derive(Clone, Copy)]
pub(super) struct Facts<'a> {
    /// The account.
    pub user: &'a UserName,
    /// Whether it is in a group; `None` if that was not answered, or not in time.
    pub is_member: &'a dyn Fn(&str) -> Option<bool>,
    /// Where the login comes from.
    pub origin: Option<&'a Origin>,
    /// The PAM service.
    pub service: Option<&'a str>,
    /// What time it is, if the clock is not in doubt.
    pub time: &'a dyn Fn() -> Option<DateTime>,
    /// Whether the user ever had an active device.
    pub ever_enrolled: bool,
    /// Whether the user has one now.
    pub has_device: bool,
    /// How long ago a code of the user was accepted.
    pub since: Since,
    /// How long the service file lets a code of this service count.
    pub grace_period: Option<Duration>,
}

/// What is demanded of a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Demand<'r> {
    /// A code.
    Code,
    /// None, by the rule of that name.
    Nothing(&'r str),
    /// Nothing helps, so nothing is asked for.
    Refusal,
}

/// What the settings demand. Whoever once had a device is never let by as one who has none yet.
pub(super) fn demand<'r>(settings: &'r Exemptions, facts: &Facts<'_>) -> Demand<'r> {
    // The machine's file of its time zone is read for it: once for all rules, and only if one asks.
    let time = OnceCell::new();
    let facts = &Facts { time: &|| *time.get_or_init(facts.time), ..*facts };
    let exemption = settings.rules.iter().find(|rule| holds(rule, facts)).map(|rule| rule.name.as_str());
    let by_state = || if facts.ever_enrolled { in_grace(&settings.grace, facts) } else { not_yet(settings, facts) };
    match exemption.or_else(by_state) {
        Some(rule) => Demand::Nothing(rule),
        None if !facts.ever_enrolled && settings.unknown_users == UnknownUsers::Deny => Demand::Refusal,
        None => Demand::Code,
    }
}

/// Of a rule every condition must hold that it has. Groups come last: another condition may spare the look-up.
fn holds(rule: &Rule, facts: &Facts<'_>) -> bool {
    !rule.is_without_condition()
        && meets(&rule.users, |user| user == facts.user)
        && meets(&rule.services, |service| facts.service == Some(service))
        && meets(&rule.from, |place| facts.origin.is_some_and(|origin| lies_in(origin, place)))
        && meets(&rule.hours, |hours| (facts.time)().is_some_and(|time| hours.hold(time)))
        && meets(&rule.groups, |group| (facts.is_member)(group) == Some(true))
}

/// Whether a condition holds: it is not there, or one of its list does.
fn meets<T>(list: &[T], holds: impl Fn(&T) -> bool) -> bool {
    list.is_empty() || list.iter().any(holds)
}

fn lies_in(origin: &Origin, place: &Place) -> bool {
    match (origin, place) {
        (Origin::Address(address), Place::Block(block)) => block.holds(*address),
        (Origin::Console(_), Place::Local) => true,
        (Origin::Address(_), Place::Local) | (Origin::Console(_), Place::Block(_)) => false,
    }
}

/// Why somebody who never had a device is let by.
fn not_yet(settings: &Exemptions, facts: &Facts<'_>) -> Option<&'static str> {
    if settings.roll_out.observe {
        Some(OBSERVE)
    } else if has_time_left(&settings.roll_out, facts) {
        Some(ENFORCE_AFTER)
    } else {
        (settings.unknown_users == UnknownUsers::Skip).then_some(UNKNOWN_USERS)
    }
}

/// By what a code that was accepted a while ago still counts. Who has no device left has no code either.
fn in_grace(grace: &Grace, facts: &Facts<'_>) -> Option<&'static str> {
    let service = facts.service.filter(|_| facts.has_device)?;
    let Since { there, here } = facts.since;
    let within = |span: Option<Duration>, ago: Option<Duration>| span.zip(ago).is_some_and(|(span, ago)| ago < span);
    if within(span_for(&grace.same_source, service), there) {
        Some(SAME_SOURCE)
    } else if within(facts.grace_period, there) {
        Some(GRACE_PERIOD)
    } else {
        within(span_for(&grace.same_host, service), here).then_some(SAME_HOST)
    }
}

fn span_for(period: &Option<Period>, service: &str) -> Option<Duration> {
    period.as_ref().filter(|period| period.services.iter().any(|meant| meant == service)).map(|period| period.span)
}

fn has_time_left(roll_out: &RollOut, facts: &Facts<'_>) -> bool {
    let Some(time) = (facts.time)() else { return false };
    let is_before = |day: Date| time.date() < day;
    // Where all days are over, no group need be looked up.
    roll_out.enforce_after.iter().any(|(_, day)| is_before(*day)) && first_day(roll_out, facts).is_some_and(is_before)
}

/// The day from which on the account needs a device: the first one of its groups', else everybody's. `None`: there is none,
/// or a group of which nobody tells may have an earlier one.
fn first_day(roll_out: &RollOut, facts: &Facts<'_>) -> Option<Date> {
    let (mut own, mut everybodys) = (None, None);
    for (whom, day) in &roll_out.enforce_after {
        match whom {
            Whom::Everybody => everybodys = Some(*day),
            Whom::Group(group) if (facts.is_member)(group)? => {
                own = Some(own.map_or(*day, |first: Date| first.min(*day)))
            }
            Whom::Group(_) => {}
        }
    }
    own.or(everybodys)
}

#[cfg(test)]
mod tests;
