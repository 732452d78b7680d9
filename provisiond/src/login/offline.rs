//! `OfflineCopy`: what a login host may keep of a user for the time in which it reaches no verifier, and
//! the codes that were used at a host in such a time.
//!
//! The reply holds no key and no code. It tells the host which of its users have a device: the rule of
//! the host permits that (`offline-copy`).

use std::sync::Arc;

use common::names::device::Kind;
use common::pairs::{ITERATIONS, Place, first_steps, hash};
use common::secret::Key;
use common::wire::protocol::{Error, OfflineCopy, OfflineCopyReply, OfflineDevice, SpentOffline};
use data_encoding::{BASE64, HEXLOWER};

use super::judge::barred;
use crate::clock;
use crate::policy::offline::{fit, steps};
use crate::policy::shown;
use crate::record::offline::MOST_PAIRS;
use crate::record::{Device, Record};
use crate::records::Decision;
use crate::service::Service;
use crate::service::call::Call;

/// Marks the codes as spent that the host has accepted alone, and says what it may keep now.
///
/// # Errors
/// [`Error::Busy`], [`Error::BadParameter`], and what a record that cannot be read or changed brings.
pub(crate) fn offline_copy(
    service: &Service,
    call: &Call<'_>,
    wish: &OfflineCopy,
) -> Result<OfflineCopyReply, Error> {
    let spent = wish.spent.iter().flatten().map(Spent::read);
    let spent = spent.collect::<Result<Vec<_>, _>>()?;
    if !spent.is_empty() {
        mark(service, call, &spent)?;
    }
    let found = service
        .records
        .look(call.user, &call.settings.secrets)
        .map_err(|failure| service.failure(&failure, call))?;
    let record = found.filter(|record| may_be_kept(service, record, call));
    let Some(record) = record else {
        return Ok(OfflineCopyReply::default());
    };
    match wish.pairs == Some(true) {
        true => with_pairs(service, call, &record),
        false => Ok(reply(call, &record, |_| Some((0, String::new())))),
    }
}

/// Whether a host may keep anything of the user: the record is the account's, by the name that the host
/// says. A host knows no other spelling, and would keep one device under two names.
fn may_be_kept(service: &Service, record: &Record, call: &Call<'_>) -> bool {
    call.named.said() == call.user
        && barred(service, Some(record), call).is_none()
        && clock::can_be(call.moment.now)
}

/// A code that was used at a host.
struct Spent {
    device: [u8; 16],
    step: u64,
}

impl Spent {
    fn read(told: &SpentOffline) -> Result<Self, Error> {
        let id = HEXLOWER.decode(told.device.as_bytes()).ok();
        let device = id.and_then(|id| id.try_into().ok());
        Ok(Self {
            device: device.ok_or_else(|| Error::bad("spent", "a device's id has 32 digits"))?,
            step: told.step,
        })
    }
}

/// Spends the codes, and those before them. Nothing that was spent becomes unspent.
fn mark(service: &Service, call: &Call<'_>, spent: &[Spent]) -> Result<(), Error> {
    let changed = service.records.change(call.access(), |record| {
        let mut next = record.cloned();
        let devices = next.iter_mut().flat_map(|record| &mut record.devices);
        let mut outcome = Ok(Vec::new());
        for device in devices.filter(|device| device.kind == Kind::Totp) {
            let used = spent.iter().find(|spent| spent.device == device.id);
            let latest = latest(device, call);
            match used {
                Some(spent) if spent.step > latest => outcome = Err(Error::bad("spent", AHEAD)),
                Some(spent) if spent.step > device.spent.latest(latest) => {
                    device.spend(&[spent.step]);
                    outcome = outcome.map(|names| [names, vec![device.name.clone()]].concat());
                }
                _ => {}
            }
        }
        let is_changed = outcome.as_ref().is_ok_and(|names| !names.is_empty());
        Decision {
            next: next.filter(|_| is_changed),
            outcome,
        }
    });
    let names = changed.map_err(|failure| service.failure(&failure, call))?;
    for name in names? {
        let line = call.line("spent_offline").with("device", name);
        service.log(call, line.warning());
    }
    Ok(())
}

/// The latest step of which a host can accept a code now.
fn latest(device: &Device, call: &Call<'_>) -> u64 {
    let window = call.settings.policy.window.max(1);
    shown(device, call.moment.now).saturating_add(window)
}

/// The reply with the hashes of all pairs of the next hours. One copy is made at a time.
fn with_pairs(
    service: &Service,
    call: &Call<'_>,
    record: &Record,
) -> Result<OfflineCopyReply, Error> {
    let none = fit(record).next().is_none();
    let host = call.caller.host.as_ref().filter(|_| !none);
    let Some(host) = host else {
        return Ok(OfflineCopyReply::default());
    };
    let copies = &service.offline_copies;
    let _turn = copies
        .begin(&Arc::clone(&host.name), call.user)
        .ok_or_else(|| Error::busy(ONE_AT_A_TIME))?;
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|_| Error::busy(NO_RANDOMNESS))?;
    let share = MOST_PAIRS.checked_div(fit(record).count()).unwrap_or(0);
    let copy = reply(call, record, |device| {
        let key = device.key(call.user, &call.settings.secrets).ok()?;
        hashes(device, &key, (&salt, share), call)
    });
    service.log(call, call.line("offline_copy"));
    Ok(OfflineCopyReply {
        salt: HEXLOWER.encode(&salt),
        ..copy
    })
}

/// The reply about the devices for which `pairs` has something to say.
fn reply(
    call: &Call<'_>,
    record: &Record,
    pairs: impl Fn(&Device) -> Option<(u64, String)>,
) -> OfflineCopyReply {
    let devices = fit(record).filter_map(|device| {
        let (first, pairs) = pairs(device)?;
        Some(OfflineDevice {
            device: HEXLOWER.encode(&device.id),
            digits: device.parameters.digits,
            period: device.parameters.period,
            drift: device.drift.steps(),
            floor: device.spent.latest(latest(device, call)),
            first,
            pairs,
        })
    });
    let host = call.caller.host.as_ref();
    OfflineCopyReply {
        salt: String::new(),
        iterations: ITERATIONS,
        services: host.map_or_else(Vec::new, |host| host.rule.services.clone()),
        devices: devices.collect(),
    }
}

/// The step of the first pair, and the hashes from there on, `most` of them.
fn hashes(
    device: &Device,
    key: &Key,
    (salt, most): (&[u8; 16], usize),
    call: &Call<'_>,
) -> Option<(u64, String)> {
    let parameters = device.parameters;
    let window = steps(device, call.settings.policy.window, &call.moment);
    let mut begins = first_steps(*window.start(), *window.end())
        .take(most)
        .peekable();
    let first = *begins.peek()?;
    let hashes = begins.map(|step| {
        let place = Place {
            salt,
            device: &device.id,
            step,
        };
        let [one, two] = [step, step.saturating_add(1)].map(|at| parameters.code_at(key, at));
        hash([one.as_str(), two.as_str()], &place, ITERATIONS)
    });
    let hashes: Vec<_> = hashes.collect();
    Some((first, BASE64.encode(hashes.as_flattened())))
}

const ONE_AT_A_TIME: &str =
    "another offline copy is being made, or this host has had one of that user within half an hour";
const NO_RANDOMNESS: &str = "the system gave no random bytes: try again in a moment";
const AHEAD: &str =
    "a code of a later time was used at that host: check the clocks of both machines";
