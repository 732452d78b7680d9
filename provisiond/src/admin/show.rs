//! `Show`: one user's state, devices, budgets and codes left. Never a key.

use common::names::device::Kind;
use common::names::user::UserName;
use common::wire::protocol::{self, Error, ShowReply};

use crate::identity::names::Account;
use crate::record::{Device, Record, State};
use crate::records::Failure;
use crate::service::Service;
use crate::service::call::Call;
use crate::service::renamed::{Former, has_former_name, may_have_former_name};
use crate::service::uid_binding::{bars_self_service, other_uid};

/// `Show`: one user.
///
/// # Errors
/// [`Error`]. A damaged record is shown as damaged.
pub(crate) fn show(service: &Service, call: &Call<'_>) -> Result<ShowReply, Error> {
    match service.records.look(call.user, &call.settings.secrets) {
        Ok(Some(record)) if bars_self_service(&record, call) => Err(Error::PermissionDenied),
        Ok(Some(record)) => Ok(ShowReply {
            user: shown(call.user, &record, call.named.account(), call),
        }),
        Ok(None) => Err(match service.former_name(None, call) {
            Former::Name(former) => has_former_name(&former, call),
            Former::Unread(former) => may_have_former_name(&former, call),
            Former::None | Former::Unknown => Error::NoSuchUser,
        }),
        Err(Failure::Damaged(_)) => Ok(ShowReply {
            user: shown_damaged(call.user),
        }),
        Err(failure) => Err(service.failure(&failure, call)),
    }
}

/// A user as clients see one. `account` is the account of that name, if there is one.
pub(super) fn shown(
    user: &UserName,
    record: &Record,
    account: Option<&Account>,
    call: &Call<'_>,
) -> protocol::User {
    let (policy, moment) = (&call.settings.policy, &call.moment);
    let mut record = record.clone();
    record.expire(moment.now);
    let codes = record.codes.as_ref();
    let bypass = codes.and_then(|codes| codes.bypass_left(moment));
    protocol::User {
        user: user.as_str().to_owned(),
        enrolled: record.enrolled,
        disabled: record.disabled,
        known_budget: record.known.budget.left(policy, moment),
        budget: record.unknown.budget.left(policy, moment),
        recovery_codes_left: record.recovery_codes_left(moment),
        bypass_until: bypass.map(|(until, _)| until),
        bypass_uses: bypass.map(|(_, uses)| uses),
        ticket_until: codes
            .filter(|_| !record.enrolled)
            .and_then(|codes| codes.ticket_until(moment)),
        devices: record.devices.iter().map(shown_device).collect(),
        damaged: false,
        other_uid: other_uid(&record, account, call),
    }
}

/// A user with a damaged record. The user is shown as enrolled, because the record may hold a
/// device.
pub(super) fn shown_damaged(user: &UserName) -> protocol::User {
    protocol::User {
        user: user.as_str().to_owned(),
        enrolled: true,
        disabled: false,
        devices: Vec::new(),
        known_budget: 0,
        budget: 0,
        recovery_codes_left: 0,
        bypass_until: None,
        bypass_uses: None,
        ticket_until: None,
        damaged: true,
        other_uid: None,
    }
}

fn shown_device(device: &Device) -> protocol::Device {
    let expires = match device.state {
        State::Pending { expires } => Some(expires),
        State::Active | State::Disabled => None,
    };
    protocol::Device {
        name: device.name.to_string(),
        state: device.state.on_the_wire(),
        kind: device.kind,
        alg: device.parameters.alg.to_string(),
        digits: device.parameters.digits,
        period: (device.kind == Kind::Totp).then_some(device.parameters.period),
        created: device.created,
        expires,
        last_used: device.last_used,
        valid_from: device.restriction.from(),
        valid_until: device.restriction.until(),
        services: device
            .restriction
            .services()
            .iter()
            .map(ToString::to_string)
            .collect(),
        weak_key_bits: device.weak_key_bits(),
    }
}
