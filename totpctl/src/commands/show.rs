//! `show` and `list`: reads one user's record, or all; which are stale or expire soon; the sentences
//! for an empty list.

use common::config::values::span::Span;
use common::wire::client::ClientError;
use common::wire::protocol::{Device, DeviceState, Error, List, Show, User};

use super::Context;
use crate::cli::{self, OptionalUser};
use crate::exit::{Exit, Failure};
use crate::render::{Expiring, Users};
use crate::table::now;

/// `show`: prints one user; without a name, the caller.
pub(super) fn one(context: &Context<'_>, user: &OptionalUser) -> Result<Exit, Failure> {
    let reply = context.daemon.call(&Show { user: user.name()? })?;
    context.output.result(&reply.user)?;
    Ok(Exit::Done)
}

/// `list`: prints users, once all have arrived: half a list would look complete.
pub(super) fn all(context: &Context<'_>, wish: &cli::ListArgs) -> Result<Exit, Failure> {
    let list = List {
        not_enrolled: wish.not_enrolled.then_some(true),
        group: wish.group.clone(),
    };
    let mut users = users(context, &list)?;
    if let Some(Span(span)) = wish.stale {
        let since = now().saturating_sub(span.as_secs());
        users.retain(|user| is_stale(user, since));
    }
    let when_empty = when_empty(wish);
    if let Some(Span(span)) = wish.expiring {
        let until = now().saturating_add(span.as_secs());
        let users = users
            .into_iter()
            .filter_map(|user| expiring(user, now(), until))
            .collect();
        context.output.result(&Expiring { users, when_empty })?;
        return Ok(Exit::Done);
    }
    context.output.result(&Users { users, when_empty })?;
    Ok(Exit::Done)
}

/// Whether the user has an active device, and none was used since that time. One that was never
/// used counts from its enrolment.
fn is_stale(user: &User, since: u64) -> bool {
    let mut active = user.devices.iter().filter(|device| is_active(device));
    let last = |device: &Device| device.last_used.unwrap_or(device.created);
    active.clone().next().is_some() && active.all(|device| last(device) < since)
}

/// The user with the active devices whose last day ends by that time, if there are any.
fn expiring(mut user: User, now: u64, until: u64) -> Option<User> {
    let ends = |device: &Device| {
        device
            .valid_until
            .is_some_and(|end| (now..=until).contains(&end))
    };
    user.devices
        .retain(|device| is_active(device) && ends(device));
    (!user.devices.is_empty()).then_some(user)
}

fn is_active(device: &Device) -> bool {
    device.state == DeviceState::Active
}

/// The sentence for an empty list.
fn when_empty(wish: &cli::ListArgs) -> &'static str {
    if wish.stale.is_some() {
        return "every user with an active device has used one in that time";
    }
    if wish.expiring.is_some() {
        return "no device's last day comes in that time";
    }
    match (wish.not_enrolled, &wish.group) {
        (false, None) => "no user is enrolled; to enrol one:\n  totpctl enroll USER",
        (false, Some(_)) => "no user in this group is enrolled",
        (true, None) => "no user is without an active device",
        (true, Some(_)) => "no user in this group is without an active device",
    }
}

/// The users that the daemon lists. A call has at least one reply, so the daemon sends an empty
/// list as an error.
pub(super) fn users(context: &Context<'_>, wish: &List) -> Result<Vec<User>, Failure> {
    match context.daemon.call_more(wish) {
        Err(ClientError::Refused(Error::NoSuchUser)) => Ok(Vec::new()),
        answer => Ok(answer?.into_iter().map(|reply| reply.user).collect()),
    }
}

#[cfg(test)]
mod tests {
    use common::names::device::Kind;

    use super::*;

    const NOW: u64 = 1_795_470_000;
    const DAY: u64 = 86_400;

    fn device(state: DeviceState, created: u64, last_used: Option<u64>) -> Device {
        Device {
            name: "default".into(),
            state,
            kind: Kind::Totp,
            alg: "sha1".into(),
            digits: 6,
            period: Some(30),
            created,
            expires: None,
            last_used,
            valid_from: None,
            valid_until: None,
            services: Vec::new(),
            weak_key_bits: None,
        }
    }

    fn user(devices: Vec<Device>) -> User {
        User {
            user: "alice".into(),
            enrolled: true,
            disabled: false,
            devices,
            known_budget: 5,
            budget: 5,
            recovery_codes_left: 10,
            bypass_until: None,
            bypass_uses: None,
            ticket_until: None,
            damaged: false,
            other_uid: None,
        }
    }

    #[test]
    fn a_user_is_stale_if_no_active_device_was_used_or_enrolled_since() {
        let (old, new) = (NOW - 100 * DAY, NOW - DAY);
        let active = |created, used| device(DeviceState::Active, created, used);
        for (devices, stale) in [
            (vec![active(old, Some(old))], true),
            (vec![active(old, None)], true),
            (vec![active(new, None)], false),
            (vec![active(old, Some(new))], false),
            (vec![active(old, Some(old)), active(old, Some(new))], false),
            (
                vec![
                    active(old, Some(old)),
                    device(DeviceState::Disabled, old, Some(new)),
                ],
                true,
            ),
            (vec![device(DeviceState::Disabled, old, None)], false),
            (Vec::new(), false),
        ] {
            let told = format!("{devices:?}");
            assert_eq!(is_stale(&user(devices), NOW - 90 * DAY), stale, "{told}");
        }
    }

    #[test]
    fn of_a_user_the_active_devices_are_told_whose_last_day_is_near_and_not_over() {
        let until = |state, valid_until| Device {
            valid_until,
            ..device(state, 0, None)
        };
        let active = |end| until(DeviceState::Active, end);
        let devices = vec![
            active(Some(NOW + 13 * DAY)),
            active(Some(NOW + 15 * DAY)),
            active(Some(NOW - 1)),
            active(None),
            until(DeviceState::Disabled, Some(NOW + DAY)),
        ];
        let told = expiring(user(devices), NOW, NOW + 14 * DAY).unwrap();
        let ends: Vec<_> = told
            .devices
            .iter()
            .map(|device| device.valid_until)
            .collect();
        assert_eq!(ends, [Some(NOW + 13 * DAY)]);
        assert!(expiring(user(vec![active(None)]), NOW, NOW + DAY).is_none());
    }
}
