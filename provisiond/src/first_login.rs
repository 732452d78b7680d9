//! Who enrols at the prompt of a login: their ticket makes a first device, and its first code confirms it and lets them in.
//!
//! Only where the settings and the service file both want it. The connection may break in between: the device stays pending,
//! and opens the next login just the same. Its codes are judged and charged like those of any device.

use common::answer::Answer;
use common::config::Settings;
use common::protocol::{Ask, Enroll, Enrolment, Error, Verdict};
use common::spare::SpareCode;

use crate::bound::bind;
use crate::codes::{Codes, Purpose};
use crate::exemption::Told;
use crate::judging::Outcome;
use crate::new_device::NewDevice;
use crate::policy::{Circumstances, Judged};
use crate::record::{Record, State};
use crate::records::Decision;
use crate::service::{Call, Service};
use crate::source::Source;
use crate::spare;
use crate::throttle::{Moment, Units};

/// What has become of a first device at a login.
pub(crate) enum FirstDevice {
    /// It was made, and is shown to its owner.
    Made(Enrolment),
    /// Its first code has opened the login.
    Confirmed,
}

impl Service {
    /// Whether people enrol at the prompt of this login, and this may be somebody who never did.
    pub(crate) fn enrols(&self, call: &Call<'_>, told: Told<'_>, settings: &Settings) -> bool {
        let wanted = settings.enroll_at_login && told.enrols(call.caller);
        wanted && !call.named.is_unknown() && !self.elsewhere(call, None, settings).somebodys
    }

    /// Whether there still is a ticket to ask for.
    pub(crate) fn holds_ticket(&self, call: &Call<'_>, settings: &Settings, now: &Circumstances<'_>) -> bool {
        let record = self.records.look(call.user, &settings.secrets);
        record.is_ok_and(|record| record.is_some_and(|record| has_ticket(&record, &now.moment)))
    }

    /// Logs what an enrolment by other ways would.
    pub(crate) fn log_first_device(&self, call: &Call<'_>, first: Option<&FirstDevice>, device: Option<&str>) {
        match (first, device) {
            (Some(FirstDevice::Made(enrolment)), _) => {
                self.log(call, call.line("enroll").with("device", &enrolment.device).with("state", "pending"));
            }
            (Some(FirstDevice::Confirmed), Some(device)) => {
                self.log(call, call.line("confirm").with("device", device).with("verdict", Verdict::Accepted.word()));
            }
            _ => {}
        }
    }
}

/// Whether the record is that of somebody who may enrol a first device.
pub(crate) fn awaits_first_device(record: &Record) -> bool {
    !record.is_somebodys()
}

/// Whether there is a ticket to ask for.
pub(crate) fn has_ticket(record: &Record, moment: &Moment) -> bool {
    awaits_first_device(record)
        && record.codes.as_ref().is_some_and(|codes: &Codes| codes.ticket_until(moment).is_some())
}

/// The record as if its pending devices were active.
pub(crate) fn with_pending(record: &Record, now: u64) -> Record {
    let mut record = record.clone();
    for device in &mut record.devices {
        if matches!(device.state, State::Pending { expires } if expires > now) {
            device.state = State::Active;
        }
    }
    record
}

/// Judges an attempt by the record of somebody who was never enrolled. `None`: there is neither a ticket nor a pending device
/// to judge it by.
pub(crate) fn judge(
    record: &Record,
    call: &Call<'_>,
    answer: Option<&Answer>,
    refund: Units,
    settings: &Settings,
    now: &Circumstances<'_>,
) -> Option<Decision<Outcome>> {
    match answer.and_then(Answer::spare) {
        Some(code) => by_ticket(record, call, code, settings, now),
        None => by_first_code(record, call, answer, refund, settings, now),
    }
}

/// The ticket is used up by the device that it brings, in the same commit.
fn by_ticket(
    record: &Record,
    call: &Call<'_>,
    code: &SpareCode,
    settings: &Settings,
    now: &Circumstances<'_>,
) -> Option<Decision<Outcome>> {
    // Nobody is let in by it, so that it makes no source a known one.
    let nowhere = Circumstances { source: Source::Untold, ..*now };
    let tried = (code, Purpose::FirstDevice);
    let (judged, _) = spare::judge(record, call.user, tried, Units::default(), settings, &nowhere);
    let refused =
        |reason| Decision { next: None, outcome: Outcome::without_record(Verdict::NotEnrolled, Some(reason)) };
    let (Verdict::Accepted, Some(mut next)) = (judged.verdict, judged.next) else {
        return judged.finding.and_then(spare::reason).map(refused);
    };
    let Ok(enrolment) = new_device(&mut next, call, settings, &now.moment) else {
        return Some(refused("device_not_made"));
    };
    let judged = Judged { finding: judged.finding, ..Judged::unlooked(Verdict::NotEnrolled) };
    let bare = Outcome::without_record(Verdict::NotEnrolled, None);
    let first_device = Some(FirstDevice::Made(enrolment));
    Some(Decision {
        next: Some(next),
        outcome: Outcome { judged, wrong: None, ask: Ask::OneCode, first_device, ..bare },
    })
}

fn new_device(record: &mut Record, call: &Call<'_>, settings: &Settings, moment: &Moment) -> Result<Enrolment, Error> {
    let new = NewDevice::plan(call, &Enroll::default(), settings, moment)?;
    let name = new.add_to(record, call.user, settings, moment)?;
    Ok(new.enrolment(&name))
}

/// A code of a pending device is judged like that of an active one, and makes it active if it is right.
fn by_first_code(
    record: &Record,
    call: &Call<'_>,
    answer: Option<&Answer>,
    refund: Units,
    settings: &Settings,
    now: &Circumstances<'_>,
) -> Option<Decision<Outcome>> {
    let candidate = with_pending(record, now.moment.now);
    if !candidate.has_usable(now.moment.now, now.service) {
        return None;
    }
    let Decision { next, outcome } = Outcome::of(&candidate, call.user, answer, refund, settings, now);
    let confirmed = outcome.judged.device.as_ref().filter(|_| outcome.judged.verdict == Verdict::Accepted);
    let next = next.map(|mut next| {
        for device in &mut next.devices {
            let before = record.devices.iter().find(|before| before.name == device.name).map(|before| before.state);
            if device.state == State::Active && confirmed != Some(&device.name) {
                device.state = before.unwrap_or(device.state);
            }
        }
        if confirmed.is_some() {
            next.enrolled = true;
            bind(&mut next, call);
        }
        next
    });
    let first_device = confirmed.is_some().then_some(FirstDevice::Confirmed);
    Some(Decision { next, outcome: Outcome { first_device, ..outcome } })
}
