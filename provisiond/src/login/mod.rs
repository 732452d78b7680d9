//! The two calls of a login: `Challenge` (what the prompt asks for) and `Verify` (the attempt and
//! its verdict).
//!
//! ```text
//! both        moving_in (a user without a record may bring a file of another system)
//! Challenge   reported → exemption (is a code needed?) → policy::ask; the same work for every name
//! Verify      reported → exemption → judge (durable from here on) → effects (counters, lines, grace, skew; the reply)
//! ```

mod decoy;
mod effects;
mod exemption;
mod first_login;
mod judge;
mod moving_in;
pub(crate) mod offline;
mod outcome;
mod quarantine;
mod reported;
mod rules;
mod without_ticket;

use common::answer::{Answer, is_of_sshd};
use common::names::user::UserName;
use common::wire::protocol::{Ask, Challenge, ChallengeReply, Error, Verdict, Verify, VerifyReply};

use self::reported::Trusted;
use self::rules::Demand;
use crate::identity::caller::Role;
use crate::policy;
use crate::record::Record;
use crate::records::{Failure, Found};
use crate::service::Service;
use crate::service::call::Call;
use crate::service::uid_binding::has_other_uid;

/// `Verify`: judges an attempt. When this returns, what the attempt spent or charged is durable.
///
/// # Errors
/// [`Error::StoreUnavailable`].
pub(crate) fn verify(
    service: &Service,
    call: &Call<'_>,
    attempt: &Verify,
) -> Result<VerifyReply, Error> {
    moving_in::bring(service, call);
    let login = Trusted::of(call, attempt.into());
    let (answer, is_hidden) = (Answer::parse(&attempt.codes), is_of_sshd(&attempt.codes));
    let looked = looked_at(service, call);
    if (attempt.codes.is_empty() || answer.is_some())
        && let Ok(own) = &looked.own
        && let Some(rule) = exemption::rule(service, &login, own.record())
    {
        return Ok(unneeded(service, &login, rule, answer));
    }
    let offer = first_login::offer(service, &login, &attempt.codes);
    let mut outcome = judge::durably(service, &login, (answer.as_ref(), &offer), looked)?;
    if is_hidden {
        outcome.outcome.counted.was_hidden();
    }
    let reply = effects::settle(
        service,
        &login,
        outcome,
        (answer, !attempt.codes.is_empty()),
    );
    let lets_in = matches!(reply.verdict, Verdict::Accepted | Verdict::Exempt);
    Ok(VerifyReply {
        quarantine: (!lets_in)
            .then(|| quarantine::of_this_machine(call))
            .flatten(),
        ..reply
    })
}

/// The reply where no code is needed. A right code of a device that came all the same is spent. Of
/// any other answer the caller is told whether it was accepted before, as the module may have cut it
/// off a password.
fn unneeded(
    service: &Service,
    login: &Trusted<'_>,
    rule: &str,
    answer: Option<Answer>,
) -> VerifyReply {
    let user = login.call.user;
    let known = answer
        .as_ref()
        .is_some_and(|answer| service.accepted.know_text(user, answer));
    let judged = answer
        .as_ref()
        .and_then(|answer| judge::unneeded(service, login, answer, known));
    match judged {
        Some(right) if right.outcome.told.verdict == Verdict::Accepted => {
            effects::settle(service, login, right, (answer, true))
        }
        used => exemption::let_by(service, login, rule, (used, known)),
    }
}

/// `Challenge`: says what the prompt must ask for.
///
/// # Errors
/// [`Error::StoreUnavailable`]. If the record is damaged, the user is asked for a code like any
/// other.
pub(crate) fn challenge(
    service: &Service,
    call: &Call<'_>,
    about: &Challenge,
) -> Result<ChallengeReply, Error> {
    moving_in::bring(service, call);
    let login = Trusted::of(call, about.into());
    let Looked { own, decoy } = looked_at(service, call);
    let decoy = decoy_of(service, call, decoy);
    let record = match own {
        Ok(own) => own.into_record(),
        Err(Failure::Damaged(_)) => return Ok(asked(call, Ask::OneCode, true, Vec::new())),
        Err(failure) => return Err(service.failure(&failure, call)),
    };
    let now = login.circumstances(service);
    let renamed = service.is_renamed(record.as_ref(), call);
    let enrolled = renamed
        || record.as_ref().is_some_and(Record::is_somebodys)
        || call.may_be_enrolled(record.as_ref()).is_some();
    let first = if enrolled {
        None
    } else {
        first_login::asked_for(&login, record.as_ref(), &now)
    };
    let demand = exemption::demand(service, &login, record.as_ref());
    let usable = |record: &Record| {
        record.has_usable(call.moment.now, login.service) && !has_other_uid(record, call)
    };
    let (own, decoy) = (record.filter(usable), decoy.as_ref());
    let judged_by = own.as_ref().or(decoy);
    let ask = match (demand, first) {
        (Demand::Code | Demand::Refusal, Some(ask)) => ask,
        (Demand::Code, None) => policy::ask(judged_by, &now),
        (Demand::Nothing(_), _) | (Demand::Refusal, None) => Ask::Nothing,
    };
    let lengths = judged_by.map(|record| record.lengths_of_codes(call.moment.now, login.service));
    let digits = lengths.filter(|_| own.is_some());
    Ok(asked(call, ask, enrolled, digits.unwrap_or_default()))
}

/// The records that an attempt may be judged by.
struct Looked {
    own: Result<Found, Failure>,
    /// The decoy's name, and its record. `None`: the application secret is not fit for one.
    decoy: Option<LookedDecoy>,
}

type LookedDecoy = (UserName, Result<Found, Failure>);

/// Looks at the user's record and at the decoy of the name. Both are looked at for every name: the
/// time must not tell which of them counts.
fn looked_at(service: &Service, call: &Call<'_>) -> Looked {
    let (records, secrets) = (&service.records, &call.settings.secrets);
    match decoy::name_for(call.user, secrets) {
        Some(name) => {
            let [own, decoy] = records.find_both([call.user, &name], secrets);
            let decoy = Some((name, decoy));
            Looked { own, decoy }
        }
        None => Looked {
            own: records.find(call.user, secrets),
            decoy: None,
        },
    }
}

/// The decoy of the user's name, made or not. `None` only if it is damaged, or the store does not
/// work.
fn decoy_of(service: &Service, call: &Call<'_>, looked: Option<LookedDecoy>) -> Option<Record> {
    let (_, found) = looked?;
    let stand_in = || service.records.decoys_stand_in(&call.settings.secrets);
    found.ok()?.into_record().or_else(stand_in)
}

/// The reply. Only processes of root, and users about themselves, are told whether the user is
/// enrolled, and only root how long the codes are: an attacker could enumerate users by it. For a
/// user without a usable device, the length is that of a new device's codes.
fn asked(call: &Call<'_>, ask: Ask, enrolled: bool, mut digits: Vec<u8>) -> ChallengeReply {
    let is_root = call.caller.peer.is_root();
    let account = call.named.account();
    let is_own = call.caller.role != Role::Relay
        && account.is_some_and(|account| account.uid == call.caller.peer.uid);
    if digits.is_empty() {
        digits.push(call.settings.new_device.parameters.digits);
    }
    ChallengeReply {
        ask,
        enrolled: (is_root || is_own).then_some(enrolled),
        digits: is_root.then_some(digits),
        quarantine: quarantine::of_this_machine(call),
    }
}
