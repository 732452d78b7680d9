//! `Export`: the user's devices with their keys, as passlib's records or plain. Root only; logged.

use common::config::Settings;
use common::names::device::Kind;
use common::names::user::UserName;
use common::wire::protocol::{Error, Export, ExportReply, ExportedKey, ForeignKey};

use crate::enrolment::passlib;
use crate::record::Device;
use crate::service::Service;
use crate::service::call::Call;

/// `Export`: the user's confirmed devices. Names those that passlib's form leaves out.
///
/// # Errors
/// [`Error`].
pub(crate) fn export(
    service: &Service,
    call: &Call<'_>,
    wish: &Export,
) -> Result<ExportReply, Error> {
    let record = service.records.look(call.user, &call.settings.secrets);
    let record = record
        .map_err(|failure| service.failure(&failure, call))?
        .ok_or(Error::NoSuchUser)?;
    let confirmed = record.devices.iter().filter(|device| !device.is_pending());
    let devices: Vec<&Device> = confirmed.collect();
    let reply = if wish.plain == Some(true) {
        plain(&devices, call)
    } else {
        as_passlib(&devices, call)
    };
    let reply = reply.inspect_err(|error| service.log_refused_change("export", call, error))?;
    let exported = reply.records.len().saturating_add(reply.keys.len());
    service.log(
        call,
        call.line("export").with("devices", exported).warning(),
    );
    Ok(reply)
}

fn as_passlib(devices: &[&Device], call: &Call<'_>) -> Result<ExportReply, Error> {
    let (known, unknown): (Vec<_>, Vec<_>) =
        devices.iter().partition(|device| device.kind == Kind::Totp);
    let records = known
        .into_iter()
        .map(|device| passlib::exported(device, call.user, &call.settings));
    Ok(ExportReply {
        user: call.user.as_str().to_owned(),
        records: records.collect::<Result<_, _>>()?,
        left_out: unknown
            .into_iter()
            .map(|device| device.name.to_string())
            .collect(),
        keys: Vec::new(),
    })
}

fn plain(devices: &[&Device], call: &Call<'_>) -> Result<ExportReply, Error> {
    let keys = devices
        .iter()
        .map(|device| opened(device, call.user, call.moment.now, &call.settings));
    Ok(ExportReply {
        user: call.user.as_str().to_owned(),
        records: Vec::new(),
        left_out: Vec::new(),
        keys: keys.collect::<Result<_, _>>()?,
    })
}

/// A device's key, and what is spent of it around the present step.
fn opened(
    device: &Device,
    user: &UserName,
    now: u64,
    settings: &Settings,
) -> Result<ExportedKey, Error> {
    let key = device
        .key(user, &settings.secrets)
        .map_err(|_| Error::RecordDamaged)?;
    let is_totp = device.kind == Kind::Totp;
    let earliest = device.parameters.step_at(now).saturating_sub(AROUND);
    let text =
        |label: Option<&common::otpauth::Label>| label.map(|label| label.as_str().to_owned());
    Ok(ExportedKey {
        device: device.name.to_string(),
        key: ForeignKey {
            key: key.to_base32(),
            kind: device.kind,
            alg: Some(device.parameters.alg.to_string()),
            digits: Some(device.parameters.digits),
            period: is_totp.then_some(device.parameters.period),
            counter: (!is_totp).then_some(device.spent.floor()),
            label: text(device.label.as_ref()),
            issuer: text(device.issuer.as_ref()),
            spent: is_totp.then(|| device.spent.since(earliest)),
            skew: is_totp.then(|| device.drift.steps()),
            spent_is_whole: None,
        },
    })
}

/// Steps before the present one in which other systems accept codes: the widest usual window, and a
/// device's skew.
const AROUND: u64 = 20;
