//! Changes to one device: disable and enable (`SetState`), `Revoke`, `RenameDevice`, `Restrict`
//! (validity and services).

use common::enckey::CannotOpen;
use common::names::device::DeviceName;
use common::secret::SecretText;
use common::secrets::Secrets;
use common::wire::protocol::{
    DeviceReply, DeviceState, Error, RenameDevice, Restrict, Revoke, SetState, SetStateReply,
};

use crate::enrolment::proof::{self, Unproven};
use crate::identity::caller::Role;
use crate::record::restriction::Restriction;
use crate::record::strict::Failures;
use crate::record::{CannotMake, Device, NoSuchChoice, Record, State};
use crate::service::Service;
use crate::service::call::{Call, device_name};
use crate::service::uid_binding::Act;

/// `SetState` of one device: disables it, or makes it active again.
pub(super) fn set_state(
    service: &Service,
    call: &Call<'_>,
    wish: &SetState,
) -> Result<SetStateReply, Error> {
    let state = match wish.state {
        DeviceState::Active => State::Active,
        DeviceState::Disabled => State::Disabled,
        DeviceState::Pending => {
            return Err(Error::bad("state", "a device is made active or disabled"));
        }
    };
    let proof = wish.proof.as_ref();
    let device = change(
        service,
        call,
        (act_of(wish), wish.device.as_deref(), proof),
        |record, name| {
            if state == State::Disabled {
                keep_one(record, name, call)?;
            }
            let device = record.device_mut(name).ok_or(Error::NoSuchDevice)?;
            if matches!(device.state, State::Pending { .. }) {
                return Err(Error::bad(
                    "device",
                    "the device waits for its first code: confirm it, or revoke it",
                ));
            }
            device.state = state;
            device.failures = Failures::default();
            Ok(())
        },
    )?;
    service.log(
        call,
        call.line("set_state")
            .with("device", &device)
            .with("state", wish.state.word()),
    );
    Ok(SetStateReply {
        user: call.user.as_str().to_owned(),
        device: Some(device.to_string()),
    })
}

/// To disable takes something away; to enable gives it.
pub(super) fn act_of(wish: &SetState) -> Act {
    match wish.state {
        DeviceState::Disabled => Act::taking("set_state"),
        DeviceState::Active | DeviceState::Pending => Act::giving_to("set_state", wish.same_person),
    }
}

/// `Revoke`: removes a device and its key from the record.
///
/// # Errors
/// [`Error`].
pub(crate) fn revoke(
    service: &Service,
    call: &Call<'_>,
    wish: &Revoke,
) -> Result<DeviceReply, Error> {
    let proof = wish.proof.as_ref();
    let device = change(
        service,
        call,
        (Act::taking("revoke"), wish.device.as_deref(), proof),
        |record, name| {
            keep_one(record, name, call)?;
            bury(record, name, call)
        },
    )?;
    service.log(call, call.line("revoke").with("device", &device));
    Ok(reply(call, &device))
}

/// `RenameDevice`: gives a device another name. Its sealed key is bound to its id, not to its name.
///
/// # Errors
/// [`Error`].
pub(crate) fn rename_device(
    service: &Service,
    call: &Call<'_>,
    wish: &RenameDevice,
) -> Result<DeviceReply, Error> {
    let new = DeviceName::new(&wish.name).map_err(|why| Error::bad("name", why))?;
    let proof = wish.proof.as_ref();
    let old = change(
        service,
        call,
        (Act::giving("rename_device"), wish.device.as_deref(), proof),
        |record, old| {
            if new != *old && record.devices.iter().any(|device| device.name == new) {
                return Err(Error::DeviceExists);
            }
            let device = record.device_mut(old).ok_or(Error::NoSuchDevice)?;
            device.name = new.clone();
            Ok(())
        },
    )?;
    service.log(
        call,
        call.line("rename_device")
            .with("device", &old)
            .with("new_name", &new),
    );
    Ok(reply(call, &new))
}

/// `Restrict`: replaces a device's restriction: when it is valid, and for which services.
///
/// # Errors
/// [`Error`].
pub(crate) fn restrict(
    service: &Service,
    call: &Call<'_>,
    wish: &Restrict,
) -> Result<DeviceReply, Error> {
    let restriction = Restriction::new(wish.valid_from, wish.valid_until, &wish.services)?;
    let device = change(
        service,
        call,
        (Act::giving("restrict"), wish.device.as_deref(), None),
        |record, name| {
            let others = record.devices.iter().filter(|device| device.name != *name);
            restriction.fits_beside(others.map(|device| &device.restriction))?;
            record
                .device_mut(name)
                .ok_or(Error::NoSuchDevice)?
                .restriction = restriction.clone();
            Ok(())
        },
    )?;
    let services: Vec<&str> = restriction
        .services()
        .iter()
        .map(|name| name.as_str())
        .collect();
    let line = call
        .line("restrict")
        .with("device", &device)
        .with_some("valid_from", restriction.from())
        .with_some("valid_until", restriction.until())
        .with_some(
            "services",
            Some(services.join(",")).filter(|services| !services.is_empty()),
        );
    service.log(call, line);
    Ok(reply(call, &device))
}

/// Finds the device, asks for the proof that self-service needs, and stores what `change` makes of
/// the record.
fn change(
    service: &Service,
    call: &Call<'_>,
    (act, device, proof): (Act, Option<&str>, Option<&SecretText>),
    change: impl Fn(&mut Record, &DeviceName) -> Result<(), Error>,
) -> Result<DeviceName, Error> {
    let wished = device_name(device)?;
    let begin = |record: Option<&Record>| {
        let mut record = record.cloned().ok_or(Error::NoSuchUser)?;
        record.expire(call.moment.now);
        chosen(&record, wished.as_ref())?;
        Ok::<_, Unproven>(record)
    };
    let name = proof::change(service, call, (act, proof), begin, |record, _| {
        let name = chosen(record, wished.as_ref())?;
        change(record, &name)?;
        Ok(name)
    })?;
    // A grace may rest on a code of this device: it ends with the change.
    service.graces.end(call.user);
    Ok(name)
}

fn chosen(record: &Record, wished: Option<&DeviceName>) -> Result<DeviceName, Error> {
    record
        .choose(wished, |_| true)
        .map_err(|NoSuchChoice| Error::NoSuchDevice)
}

/// Removes the device from the record, and keeps its spent codes in a tombstone (replay, if the
/// same key is enrolled again). A key that does not open leaves no tombstone, because it could not
/// be recognised later.
fn bury(record: &mut Record, name: &DeviceName, call: &Call<'_>) -> Result<(), Error> {
    let Some(at) = record
        .devices
        .iter()
        .position(|device| device.name == *name)
    else {
        return Ok(());
    };
    let device = record.devices.remove(at);
    let secrets: &Secrets = &call.settings.secrets;
    match device.key(call.user, secrets) {
        Ok(key) => record
            .bury(&device, &key, (call.user, secrets), call.moment.now)
            .map_err(|CannotMake| Error::StoreUnavailable),
        Err(CannotOpen) => Ok(()),
    }
}

/// Users must not lock themselves out: in self-service an account keeps its last device that opens
/// every service. An administrator may take it away.
fn keep_one(record: &Record, name: &DeviceName, call: &Call<'_>) -> Result<(), Error> {
    let admits_everything =
        |device: &&Device| device.restriction.admits_everything(call.moment.now);
    let others = record
        .active()
        .filter(admits_everything)
        .any(|device| device.name != *name);
    let is_active = record.active().any(|device| device.name == *name);
    if call.caller.role == Role::Own && is_active && !others {
        return Err(Error::bad(
            "device",
            "this is the account's last active device: an administrator can take it away",
        ));
    }
    Ok(())
}

fn reply(call: &Call<'_>, device: &DeviceName) -> DeviceReply {
    DeviceReply {
        user: call.user.as_str().to_owned(),
        device: device.to_string(),
    }
}
