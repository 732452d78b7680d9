//! Who enrols at the prompt of a login: their ticket makes a first device, and its first code confirms it and lets them in.
//!
//! Only where the settings and the service file both want it. The connection may break in between: the device stays pending,
//! and opens the next login just the same. Its codes are judged and charged like those of any device.

use common::answer::Answer;
use common::config::Settings;
use common::device::DeviceName;
use common::protocol::{Ask, Enroll, Enrolment, Error, Verdict, Verify};
use common::spare::SpareCode;

use crate::aftermath::with_origin;
use crate::bound::bind;
use crate::clock::mark::Doubted;
use crate::codes::{Finding, Purpose};
use crate::exemption::Told;
use crate::judging::{Case, Outcome};
use crate::new_device::NewDevice;
use crate::policy::{self, Circumstances, Judged};
use crate::record::{Record, State};
use crate::records::Decision;
use crate::service::{Call, Service};
use crate::source::Source;
use crate::spare;
use crate::throttle::Moment;

/// What has become of a first device at a login.
pub(crate) enum FirstDevice {
    /// It was made, and is shown to its owner.
    Made(Enrolment),
    /// Its first code has opened the login.
    Confirmed(DeviceName),
}

impl Service {
    /// Whether people enrol at the prompt of this login, and this may be somebody who never did.
    pub(crate) fn enrols(&self, call: &Call<'_>, told: Told<'_>, settings: &Settings) -> bool {
        wanted(call, told, settings) && !call.named.is_unknown() && !self.elsewhere(call, None, settings).somebodys
    }

    /// Logs what an enrolment by other ways would, and where it came from.
    pub(crate) fn log_first_device(&self, call: &Call<'_>, attempt: &Verify, first: &FirstDevice) {
        let line = match first {
            FirstDevice::Made(enrolment) => {
                call.line("enroll").with("device", &enrolment.device).with("state", "pending")
            }
            FirstDevice::Confirmed(device) => {
                call.line("confirm").with("device", device).with("verdict", Verdict::Accepted.word())
            }
        };
        self.log(call, with_origin(line, call, attempt));
    }
}

/// Whether the settings and the service file want people to enrol at the prompt.
pub(crate) fn wanted(call: &Call<'_>, told: Told<'_>, settings: &Settings) -> bool {
    settings.enroll_at_login && told.wants_enrolment(call.caller)
}

/// What somebody who was never enrolled is asked for. `None`: there is neither a ticket nor a pending device to ask for.
pub(crate) fn ask(record: &Record, now: &Circumstances<'_>) -> Option<Ask> {
    if record.is_somebodys() {
        return None;
    }
    let ticket = record.codes.as_ref().and_then(|codes| codes.ticket_until(&now.moment));
    let pending = || Some(with_pending(record, now.moment.now)).filter(|record| is_usable(record, now));
    ticket.map(|_| Ask::Ticket).or_else(|| pending().map(|record| policy::ask(Some(&record), now)))
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
pub(crate) fn judge(record: &Record, call: &Call<'_>, case: &Case<'_>) -> Option<Decision<Outcome>> {
    if record.is_somebodys() {
        return None;
    }
    match case.answer.and_then(Answer::spare) {
        Some(code) => by_ticket(record, call, code, case),
        None => by_first_code(record, call, case),
    }
}

/// The ticket is used up by the device that it brings, in the same commit.
fn by_ticket(record: &Record, call: &Call<'_>, code: &SpareCode, case: &Case<'_>) -> Option<Decision<Outcome>> {
    let &Case { settings, now, .. } = case;
    // Nobody is let in by it, so that it makes no source a known one.
    let nowhere = Circumstances { source: Source::Untold, ..*now };
    let case = &Case { refund: 0, now: &nowhere, ..*case };
    let (judged, reason) = spare::judge(record, (code, Purpose::FirstDevice), case);
    let refused = |verdict, reason| Decision { next: None, outcome: Outcome::without_record(verdict, reason) };
    let Judged { verdict, finding, next, .. } = judged;
    let Some(mut next) = next.filter(|_| verdict == Verdict::Accepted) else {
        return match (verdict, finding) {
            (Verdict::Refused, Some(Finding::Doubtful)) => Some(refused(verdict, Some("ticket_before_roll_back"))),
            (Verdict::Refused, _) => Some(refused(verdict, reason)),
            (_, Some(Finding::Expired)) => Some(refused(Verdict::NotEnrolled, Some("ticket_expired"))),
            _ => None,
        };
    };
    let Ok(enrolment) = new_device(&mut next, call, settings, &now.moment) else {
        return Some(refused(Verdict::Refused, Some("device_not_made")));
    };
    let outcome = Outcome {
        judged: Judged { finding, ..Judged::unlooked(Verdict::NotEnrolled) },
        wrong: None,
        ask: policy::ask(Some(&with_pending(&next, now.moment.now)), now),
        first_device: Some(FirstDevice::Made(enrolment)),
        ..Outcome::without_record(Verdict::NotEnrolled, None)
    };
    Some(Decision { next: Some(next), outcome })
}

fn new_device(record: &mut Record, call: &Call<'_>, settings: &Settings, moment: &Moment) -> Result<Enrolment, Error> {
    let new = NewDevice::plan(call, &Enroll::default(), settings, moment)?;
    let name = new.add_to(record, call.user, settings, moment)?;
    Ok(new.enrolment(&name))
}

/// A code of a pending device is judged like that of an active one, and makes it active if it is right.
fn by_first_code(record: &Record, call: &Call<'_>, case: &Case<'_>) -> Option<Decision<Outcome>> {
    // It has opened nothing that a clock which was set could make open again.
    let doubt = case.now.moment.doubt.filter(|doubt| doubt.of == Doubted::Store);
    let now = &Circumstances { moment: Moment { doubt, ..case.now.moment }, ..*case.now };
    let candidate = Some(with_pending(record, now.moment.now)).filter(|record| is_usable(record, now))?;
    let Decision { next, outcome } = Outcome::of(&candidate, &Case { now, ..*case });
    let confirmed = outcome.judged.device.clone().filter(|_| outcome.judged.verdict == Verdict::Accepted);
    let next = next.map(|mut next| {
        for (device, before) in next.devices.iter_mut().zip(&record.devices) {
            // One that nobody has ever shown to have is not disabled, either.
            if confirmed.as_ref() != Some(&device.name) {
                device.state = before.state;
            }
        }
        if confirmed.is_some() {
            next.enrolled = true;
            bind(&mut next, call);
        }
        next
    });
    let judged = Judged { disabled: Vec::new(), ..outcome.judged };
    let ask = next.as_ref().and_then(|next| ask(next, now)).unwrap_or(outcome.ask);
    let first_device = confirmed.map(FirstDevice::Confirmed);
    Some(Decision { next, outcome: Outcome { judged, ask, first_device, ..outcome } })
}

fn is_usable(record: &Record, now: &Circumstances<'_>) -> bool {
    record.has_usable(now.moment.now, now.service)
}
