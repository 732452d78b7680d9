//! Exemption rules, grace and roll-out: whether a login needs a code. Pure: proven facts in, a
//! demand out.
//!
//! A rule matches proven facts only. A look-up that failed or came late, and a report from an
//! untrusted caller, is no fact, so no condition on it matches.

use std::cell::OnceCell;
use std::time::Duration;

use common::config::exemptions::Exemptions;
use common::config::exemptions::grace::{Grace, Period};
use common::config::exemptions::roll_out::{RollOut, UnknownUsers};
use common::config::exemptions::rules::{
    ENFORCE_AFTER, GRACE_PERIOD, OBSERVE, Place, Rule, SAME_HOST, SAME_SOURCE, UNKNOWN_USERS,
};
use common::config::values::calendar::{Date, DateTime};
use common::names::service::is_one_service;
use common::names::user::UserName;

use crate::in_memory::grace::Since;
use crate::record::source::Origin;

/// What is proven about a login.
#[derive(Clone, Copy)]
pub(super) struct Facts<'a> {
    /// The account.
    pub user: &'a UserName,
    /// Whether the account is in a group. `None`: the name service did not answer in time.
    pub is_member: &'a dyn Fn(&str) -> Option<bool>,
    /// Where the login comes from.
    pub origin: Option<&'a Origin>,
    /// The PAM service.
    pub service: Option<&'a str>,
    /// The local time, if the clock is not in doubt.
    pub time: &'a dyn Fn() -> Option<DateTime>,
    /// Whether the user ever had an active device.
    pub ever_enrolled: bool,
    /// Whether the user has a usable device now.
    pub has_device: bool,
    /// The time since a code of the user was accepted.
    pub since: Since,
    /// The grace that the service file gives.
    pub grace_period: Option<Duration>,
}

/// What is demanded of a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Demand<'r> {
    /// A code.
    Code,
    /// No code, by the rule of that name.
    Nothing(&'r str),
    /// The login is refused whatever the user types, so the prompt asks for nothing.
    Refusal,
}

/// What the settings demand. A user enrolled once is never exempt as one without a device yet.
pub(super) fn demand<'r>(settings: &'r Exemptions, facts: &Facts<'_>) -> Demand<'r> {
    // The local time needs the time zone file. It is read once for all rules, and only if one asks.
    let time = OnceCell::new();
    let facts = &Facts {
        time: &|| *time.get_or_init(facts.time),
        ..*facts
    };
    // Read for every login or for none: the time must not tell who was never enrolled.
    let today = today(&settings.roll_out, facts);
    let exemption = match settings.rules.iter().find(|rule| holds(rule, facts)) {
        Some(rule) => Some(rule.name.as_str()),
        None if facts.ever_enrolled => in_grace(&settings.grace, facts),
        None => not_yet(settings, facts, today),
    };
    match exemption {
        Some(rule) => Demand::Nothing(rule),
        None if !facts.ever_enrolled && settings.unknown_users == UnknownUsers::Deny => {
            Demand::Refusal
        }
        None => Demand::Code,
    }
}

/// All conditions of a rule must match. Groups come last: another condition may spare the look-up.
fn holds(rule: &Rule, facts: &Facts<'_>) -> bool {
    !rule.is_without_condition()
        && meets(&rule.users, |user| user == facts.user)
        && meets(&rule.services, |service| {
            facts
                .service
                .is_some_and(|own| is_one_service(service, own))
        })
        && meets(&rule.from, |place| {
            facts.origin.is_some_and(|origin| lies_in(origin, place))
        })
        && meets(&rule.hours, |hours| {
            (facts.time)().is_some_and(|time| hours.hold(time))
        })
        && meets(&rule.groups, |group| (facts.is_member)(group) == Some(true))
}

/// Whether a condition matches: within a list, any one entry is enough. A rule without the
/// condition matches.
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

/// The setting that exempts a never enrolled user.
fn not_yet(settings: &Exemptions, facts: &Facts<'_>, today: Option<Date>) -> Option<&'static str> {
    if settings.roll_out.observe {
        Some(OBSERVE)
    } else if has_time_left(&settings.roll_out, facts, today) {
        Some(ENFORCE_AFTER)
    } else {
        (settings.unknown_users == UnknownUsers::Skip).then_some(UNKNOWN_USERS)
    }
}

/// The grace by which a code that was accepted before still counts. A user without a device left
/// has none.
fn in_grace(grace: &Grace, facts: &Facts<'_>) -> Option<&'static str> {
    if !facts.has_device {
        return None;
    }
    let service = facts.service?;
    let Since { there, here } = facts.since;
    let within = |span: Option<Duration>, ago: Option<Duration>| match (span, ago) {
        (Some(span), Some(ago)) => ago < span,
        _ => false,
    };
    if within(span_for(&grace.same_source, service), there) {
        Some(SAME_SOURCE)
    } else if within(facts.grace_period, there) {
        Some(GRACE_PERIOD)
    } else {
        within(span_for(&grace.same_host, service), here).then_some(SAME_HOST)
    }
}

fn span_for(period: &Option<Period>, service: &str) -> Option<Duration> {
    let period = period.as_ref()?;
    let is_meant = period
        .services
        .iter()
        .any(|meant| is_one_service(meant, service));
    is_meant.then_some(period.span)
}

/// The day by which the roll-out goes. `None`: it has no day, or the clock is in doubt.
fn today(roll_out: &RollOut, facts: &Facts<'_>) -> Option<Date> {
    if roll_out.enforce_after.is_empty() {
        return None;
    }
    (facts.time)().map(|time| time.date())
}

fn has_time_left(roll_out: &RollOut, facts: &Facts<'_>, today: Option<Date>) -> bool {
    let is_before = |day: Date| today.is_some_and(|today| today < day);
    let days = &roll_out.enforce_after;
    // If all days have passed, no group is looked up.
    days.any(is_before)
        && days
            .of_account(facts.is_member)
            .is_some_and(|(_, day)| is_before(day))
}

#[cfg(test)]
mod tests;
