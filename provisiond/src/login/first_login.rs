//! Enrolment at the login prompt: the user's ticket, or a permission to go without one
//! (`without_ticket.rs`), makes a first device, and the device's first code confirms it and lets the
//! user in.
//!
//! Only where the settings (`enroll-at-login`) and the service file (`enroll`) both want it. If the
//! connection breaks in between, the device stays pending and opens the next login. Its codes are
//! judged and charged like those of any device.

use common::answer::Answer;
use common::issued::IssuedCode;
use common::names::device::DeviceName;
use common::secret::SecretText;
use common::wire::protocol::{Ask, Enroll, Enrolment, Error, Verdict};

use super::outcome::AttemptOutcome;
use super::reported::Trusted;
use super::without_ticket::{self, Permit};
use crate::enrolment::new_device::{NewDevice, PENDING_OWN};
use crate::in_memory::repeats::Repeats;
use crate::policy::attempt::Case;
use crate::policy::quarantine::of_first_codes;
use crate::policy::{self, Circumstances, Judged, issued};
use crate::record::codes::{Finding, Purpose};
use crate::record::source::Source;
use crate::record::{Record, State};
use crate::records::Decision;
use crate::service::Service;
use crate::service::call::Call;
use crate::service::uid_binding::{bind_if_answered, new_record};

/// What a login did to a first device.
pub(super) enum FirstDevice {
    /// The attempt made it, with a ticket or by that permission, and the reply shows its key to the
    /// user.
    Made(Enrolment, Option<Permit>),
    /// Its first code opened the login.
    Confirmed(DeviceName),
}

/// How a never-enrolled user can enrol with this attempt.
pub(super) struct Offer {
    /// Users enrol at the prompt of this login, and this user may have no device yet.
    is_open: bool,
    /// The attempt holds no code, and asks for a device without a ticket.
    begins: Option<Permit>,
}

impl Offer {
    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }
}

/// What the settings and the service file offer to the user of this attempt.
pub(super) fn offer(service: &Service, login: &Trusted<'_>, codes: &[SecretText]) -> Offer {
    let call = login.call;
    let is_open = is_wanted(login) && !call.named.is_unknown();
    let is_blank = |code: &SecretText| code.expose().trim().is_empty();
    let begins = if is_open && codes.iter().all(is_blank) {
        // An unreadable record proves nothing about the user.
        let record = service.records.look(call.user, &call.settings.secrets);
        record
            .ok()
            .and_then(|record| without_ticket::permit(login, record.as_ref()))
    } else {
        None
    };
    Offer { is_open, begins }
}

/// What Challenge asks a never enrolled user for. `None`: what every user is asked for.
pub(super) fn asked_for(
    login: &Trusted<'_>,
    record: Option<&Record>,
    now: &Circumstances<'_>,
) -> Option<Ask> {
    if !is_wanted(login) {
        return None;
    }
    match without_ticket::permit(login, record) {
        Some(_) => Some(
            record
                .and_then(|record| pending_ask(record, now))
                .unwrap_or(Ask::FirstDevice),
        ),
        None => ask(record?, now),
    }
}

/// Writes the same log lines as `Enroll` and `Confirm`, and the source of the login.
pub(super) fn log(service: &Service, login: &Trusted<'_>, first: &FirstDevice) {
    let call = login.call;
    let line = match first {
        FirstDevice::Made(enrolment, permit) => {
            let line = call
                .line("enroll")
                .with("device", &enrolment.device)
                .with("state", "pending");
            match permit {
                Some(Permit { group }) => line.with("without_ticket", group).warning(),
                None => line,
            }
        }
        FirstDevice::Confirmed(device) => call
            .line("confirm")
            .with("device", device)
            .with("verdict", Verdict::Accepted.word()),
    };
    service.log(call, login.located(line));
}

/// Whether the settings and the service file want users to enrol at the prompt.
fn is_wanted(login: &Trusted<'_>) -> bool {
    login.call.settings.enroll_at_login.with_ticket && login.wants_enrolment()
}

/// What a never enrolled user is asked for. `None`: the record has neither a ticket nor a pending
/// device.
pub(super) fn ask(record: &Record, now: &Circumstances<'_>) -> Option<Ask> {
    if record.is_somebodys() {
        return None;
    }
    let ticket = record
        .codes
        .as_ref()
        .and_then(|codes| codes.ticket_until(&now.moment));
    if ticket.is_some() {
        return Some(Ask::Ticket);
    }
    pending_ask(record, now)
}

/// The same for the codes of a pending device alone.
fn pending_ask(record: &Record, now: &Circumstances<'_>) -> Option<Ask> {
    let candidate = with_pending(record, now.moment.now);
    is_usable(&candidate, now).then(|| policy::ask(Some(&candidate), now))
}

/// The record as if its pending devices were active.
fn with_pending(record: &Record, now: u64) -> Record {
    let mut record = record.clone();
    for device in &mut record.devices {
        if matches!(device.state, State::Pending { expires } if expires > now) {
            device.state = State::Active;
        }
    }
    record
}

/// Judges an attempt by the record of a never enrolled user. `None`: there is neither a permission,
/// a ticket nor a pending device to judge by.
pub(super) fn judge(
    record: Option<&Record>,
    login: &Trusted<'_>,
    case: &Case<'_>,
    (repeats, offer): (&Repeats, &Offer),
) -> Option<Decision<AttemptOutcome>> {
    if !offer.is_open || record.is_some_and(Record::is_somebodys) {
        return None;
    }
    let is_shut = record.is_some_and(|record| record.disabled);
    if let Some(permit) = offer.begins.as_ref().filter(|_| !is_shut) {
        return Some(by_permit(record, login.call, permit, case.now));
    }
    let record = record?;
    match case.answer.and_then(Answer::issued) {
        Some(code) => by_ticket(record, login.call, code, case),
        None => by_first_code(record, login.call, case, repeats),
    }
}

/// A right ticket makes the device. The ticket is used up and the device stored in one commit.
fn by_ticket(
    record: &Record,
    call: &Call<'_>,
    code: &IssuedCode,
    case: &Case<'_>,
) -> Option<Decision<AttemptOutcome>> {
    let now = case.now;
    // A ticket lets no user in, so it must not make the source a known one.
    let nowhere = Circumstances {
        source: Source::Untold,
        ..*now
    };
    let case = &Case {
        refund: 0,
        now: &nowhere,
        ..*case
    };
    let (judged, reason) = issued::judge(record, (code, Purpose::FirstDevice), case);
    let refused = |verdict, reason| Decision {
        next: None,
        outcome: AttemptOutcome::without_record(verdict, reason),
    };
    let Judged {
        verdict,
        finding,
        next,
        ..
    } = judged;
    let Some(mut next) = next.filter(|_| verdict == Verdict::Accepted) else {
        return match (verdict, finding) {
            (Verdict::Refused, Some(Finding::Doubtful)) => {
                Some(refused(verdict, Some("ticket_before_roll_back")))
            }
            (Verdict::Refused, _) => Some(refused(verdict, reason)),
            (_, Some(Finding::Expired)) => {
                Some(refused(Verdict::NotEnrolled, Some("ticket_expired")))
            }
            _ => None,
        };
    };
    let new = NewDevice::plan(call, &Enroll::default());
    let Ok(enrolment) = new.and_then(|new| added(&new, &mut next, call)) else {
        return Some(refused(Verdict::Refused, Some(NOT_MADE)));
    };
    let mut decision = made(next, now, FirstDevice::Made(enrolment, None));
    decision.outcome.counted.finding = finding;
    Some(decision)
}

/// A permission makes the device, in the place of a pending one. It stays pending for as long as
/// one that a user makes alone: the user can make another.
fn by_permit(
    record: Option<&Record>,
    call: &Call<'_>,
    permit: &Permit,
    now: &Circumstances<'_>,
) -> Decision<AttemptOutcome> {
    let enrolled = || {
        let mut next = record.cloned().map_or_else(|| new_record(call), Ok)?;
        let mut new = NewDevice::plan(call, &Enroll::default())?;
        let expires = now.moment.now.saturating_add(PENDING_OWN);
        new.state = State::Pending { expires };
        let enrolment = added(&new, &mut next, call)?;
        Ok::<_, Error>((next, enrolment))
    };
    match enrolled() {
        Ok((next, enrolment)) => {
            let first = FirstDevice::Made(enrolment, Some(permit.clone()));
            made(next, now, first)
        }
        Err(_) => Decision {
            next: None,
            outcome: AttemptOutcome::without_record(Verdict::Refused, Some(NOT_MADE)),
        },
    }
}

fn added(new: &NewDevice, record: &mut Record, call: &Call<'_>) -> Result<Enrolment, Error> {
    let added = new.add_to(record, call)?;
    Ok(new.enrolment(&added))
}

/// The user is not in yet: the next prompt asks for the first code.
fn made(next: Record, now: &Circumstances<'_>, first: FirstDevice) -> Decision<AttemptOutcome> {
    let mut outcome = AttemptOutcome::without_record(Verdict::NotEnrolled, None);
    outcome.told.ask = policy::ask(Some(&with_pending(&next, now.moment.now)), now);
    outcome.told.first_device = Some(first);
    outcome.counted.wrong = None;
    Decision {
        next: Some(next),
        outcome,
    }
}

/// The reason in the log where a device could not be made.
const NOT_MADE: &str = "device_not_made";

/// A code of a pending device is judged like that of an active one, and makes it active if it is
/// right.
fn by_first_code(
    record: &Record,
    call: &Call<'_>,
    case: &Case<'_>,
    repeats: &Repeats,
) -> Option<Decision<AttemptOutcome>> {
    let candidate = with_pending(record, case.now.moment.now);
    // The device has opened nothing yet, so a clock that was set back revives no code of it. A
    // store or a disk that was put back may.
    let now = &Circumstances {
        moment: of_first_codes(candidate.devices.iter(), &case.now.moment),
        ..*case.now
    };
    if !is_usable(&candidate, now) {
        return None;
    }
    let Decision { next, mut outcome } =
        AttemptOutcome::of(&candidate, &Case { now, ..*case }, (repeats, call.user));
    let is_right = outcome.told.verdict == Verdict::Accepted;
    let confirmed = if is_right {
        outcome.told.device.clone()
    } else {
        None
    };
    let next = next.map(|mut next| {
        for (device, before) in next.devices.iter_mut().zip(&record.devices) {
            // Only the confirmed device changes its state. A pending device is never disabled by
            // wrong codes.
            if confirmed.as_ref() != Some(&device.name) {
                device.state = before.state;
            }
        }
        if confirmed.is_some() {
            next.enrolled = true;
            bind_if_answered(&mut next, call);
        }
        next
    });
    outcome.counted.disabled.clear();
    if let Some(ask) = next.as_ref().and_then(|next| ask(next, now)) {
        outcome.told.ask = ask;
    }
    outcome.told.first_device = confirmed.map(FirstDevice::Confirmed);
    Some(Decision { next, outcome })
}

fn is_usable(record: &Record, now: &Circumstances<'_>) -> bool {
    record.has_usable(now.moment.now, now.service)
}
