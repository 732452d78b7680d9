//! Recovery: new recovery codes, bypass, ticket, and unlock (guesses given back). Their limits
//! stand at the end: longest validity, most uses.
//!
//! A code is shown once, after the record is durable.

use std::time::Duration;

use common::config::roles::SelfService;
use common::issued::IssuedCode;
use common::secret::{Key, SecretText};
use common::wire::protocol::{
    Bypass, Error, NewRecoveryCodes, RecoveryCodesReply, Ticket, TimedCodeReply, UnlockReply,
};

use crate::enrolment::proof;
use crate::identity::caller::Role;
use crate::record::budget::Pool;
use crate::record::codes::Codes;
use crate::record::{CannotMake, Record};
use crate::service::Service;
use crate::service::call::Call;
use crate::service::change::change;
use crate::service::uid_binding::{Act, new_record};

/// `NewRecoveryCodes`: replaces all recovery codes.
///
/// # Errors
/// [`Error`].
pub(crate) fn new_recovery_codes(
    service: &Service,
    call: &Call<'_>,
    wish: &NewRecoveryCodes,
) -> Result<RecoveryCodesReply, Error> {
    if call.settings.recovery.codes == 0 {
        return Err(Error::bad(
            "user",
            "the settings switch recovery codes off ('recovery.codes' is 0)",
        ));
    }
    let begin = |record: Option<&Record>| {
        record
            .filter(|record| record.enrolled)
            .cloned()
            .ok_or(Error::NoSuchUser)
    };
    let act = Act::giving_to("new_recovery_codes", wish.same_person);
    let act = (act, wish.proof.as_ref());
    let recovery_codes = proof::change(service, call, act, begin, |record, _| renew(record, call))?;
    // A grace may rest on one of the replaced codes: it ends with them.
    service.graces.end(call.user);
    service.log(
        call,
        call.line("new_recovery_codes")
            .with("codes", recovery_codes.len())
            .warning(),
    );
    Ok(RecoveryCodesReply {
        user: call.user.as_str().to_owned(),
        recovery_codes,
    })
}

/// `Bypass`: issues a code that opens a few logins within a limited time.
///
/// # Errors
/// [`Error`].
pub(crate) fn bypass(
    service: &Service,
    call: &Call<'_>,
    wish: &Bypass,
) -> Result<TimedCodeReply, Error> {
    let valid_for = span(
        wish.valid_for,
        USUAL_BYPASS,
        MAX_BYPASS,
        "a bypass is good for 1 second to 24 hours",
    )?;
    let uses = wish.uses.unwrap_or(1);
    if !(1..=MAX_USES).contains(&uses) {
        return Err(Error::bad(
            "uses",
            format!("a bypass opens 1 to {MAX_USES} logins"),
        ));
    }
    let reply = give(
        service,
        call,
        ("bypass", valid_for),
        |record, codes, key| {
            if record.disabled {
                return Err(account_disabled());
            }
            if !record.enrolled {
                return Err(Error::bad(
                    "user",
                    "the user was never enrolled: 'totpctl ticket' lets them enrol",
                ));
            }
            codes
                .give_bypass(key, uses, valid_for, &call.moment)
                .map_err(|CannotMake| Error::StoreUnavailable)
        },
    )?;
    service.log(
        call,
        call.line("bypass")
            .with("until", reply.until)
            .with("uses", uses)
            .warning(),
    );
    Ok(reply)
}

/// `Ticket`: issues a code with which a never enrolled user may enrol a first device.
///
/// # Errors
/// [`Error`].
pub(crate) fn ticket(
    service: &Service,
    call: &Call<'_>,
    wish: &Ticket,
) -> Result<TimedCodeReply, Error> {
    let valid_for = span(
        wish.valid_for,
        USUAL_TICKET,
        MAX_TICKET,
        "a ticket is good for 1 second to 7 days",
    )?;
    if call.settings.self_service == SelfService::Off && !call.settings.enroll_at_login.with_ticket
    {
        return Err(Error::bad(
            "user",
            "the settings switch off self-service ('policy.self-service' is off)",
        ));
    }
    let reply = give(
        service,
        call,
        ("ticket", valid_for),
        |record, codes, key| {
            if record.disabled {
                return Err(account_disabled());
            }
            if record.enrolled {
                return Err(Error::bad(
                    "user",
                    "the user was enrolled before: 'totpctl bypass' lets them in",
                ));
            }
            codes
                .give_ticket(key, valid_for, &call.moment)
                .map_err(|CannotMake| Error::StoreUnavailable)
        },
    )?;
    service.log(
        call,
        call.line("ticket").with("until", reply.until).warning(),
    );
    Ok(reply)
}

/// `Unlock`: gives all guesses of the account back, and forgets the wrong pairs of codes.
///
/// # Errors
/// [`Error`].
pub(crate) fn unlock(service: &Service, call: &Call<'_>) -> Result<UnlockReply, Error> {
    change(service, call, Act::giving("unlock"), |record| {
        Ok((Some(unlocked(record, call)?), ()))
    })?;
    service.refunds.forget(call.user);
    service.log(call, call.line("unlock").warning());
    Ok(UnlockReply {
        user: call.user.as_str().to_owned(),
    })
}

/// Issues the timed code that `new` makes, and returns it after the record is durable.
fn give(
    service: &Service,
    call: &Call<'_>,
    (event, valid_for): (&'static str, Duration),
    new: impl Fn(&Record, &mut Codes, &Key) -> Result<SecretText, Error>,
) -> Result<TimedCodeReply, Error> {
    let code = change(service, call, Act::giving(event), |record| {
        let mut record = record.cloned().map_or_else(|| new_record(call), Ok)?;
        let code = with_codes(&mut record, call, &new)?;
        Ok((Some(record), code))
    })?;
    let until = call.moment.now.saturating_add(valid_for.as_secs());
    Ok(TimedCodeReply {
        user: call.user.as_str().to_owned(),
        code,
        until,
    })
}

/// Refuses to issue a code that could not be used, because the account is disabled.
fn account_disabled() -> Error {
    Error::bad(
        "user",
        "the account is disabled: run 'totpctl enable --all' first",
    )
}

/// New recovery codes, if the user has none left and the settings allow them.
pub(crate) fn first_codes(record: &mut Record, call: &Call<'_>) -> Result<Vec<SecretText>, Error> {
    match record.recovery_codes_left(&call.moment) {
        0 if call.settings.recovery.codes > 0 => renew(record, call),
        _ => Ok(Vec::new()),
    }
}

fn renew(record: &mut Record, call: &Call<'_>) -> Result<Vec<SecretText>, Error> {
    record.scratch_codes = false;
    with_codes(record, call, |_, codes, key| {
        let renewed = codes.renew(key, &call.settings.recovery, &call.moment);
        renewed.map_err(|CannotMake| Error::StoreUnavailable)
    })
}

/// Makes scratch codes of another system the user's recovery codes.
pub(super) fn take_over(
    record: &mut Record,
    scratch_codes: &[IssuedCode],
    call: &Call<'_>,
) -> Result<(), Error> {
    record.scratch_codes = true;
    with_codes(record, call, |_, codes, key| {
        let taken = codes.take_over(key, scratch_codes, &call.settings.recovery, &call.moment);
        taken.map_err(|CannotMake| Error::StoreUnavailable)
    })
}

/// Forgets the scratch codes that the other system has seen used since.
pub(super) fn keep_only(
    record: &mut Record,
    scratch_codes: &[IssuedCode],
    call: &Call<'_>,
) -> Result<(), Error> {
    with_codes(record, call, |_, codes, key| {
        codes.keep_only(key, scratch_codes);
        Ok(())
    })
}

fn with_codes<T>(
    record: &mut Record,
    call: &Call<'_>,
    change: impl FnOnce(&Record, &mut Codes, &Key) -> Result<T, Error>,
) -> Result<T, Error> {
    let opened = Codes::to_extend(record.codes.as_ref(), call.user, &call.settings.secrets);
    let (mut codes, key) = opened.map_err(|CannotMake| Error::StoreUnavailable)?;
    let done = change(record, &mut codes, &key)?;
    record.codes = Some(codes);
    Ok(done)
}

/// The record with full pools. The helpdesk may do so once a day for each account. The day is
/// counted in trusted seconds, so that a clock that was set does not shorten it.
fn unlocked(record: Option<&Record>, call: &Call<'_>) -> Result<Record, Error> {
    let record = record.ok_or(Error::NoSuchUser)?;
    let moment = &call.moment;
    let helpdesk = call.caller.role == Role::Helpdesk;
    let within_the_day = record
        .unlocked
        .is_some_and(|tick| moment.tick < tick.saturating_add(DAY));
    if helpdesk && within_the_day {
        return Err(Error::bad(
            "user",
            "the guesses were given back within the last day: an administrator can do it again",
        ));
    }
    let pool = Pool::full(moment);
    let unlocked = if helpdesk {
        Some(moment.tick)
    } else {
        record.unlocked
    };
    Ok(Record {
        known: pool,
        unknown: pool,
        unlocked,
        ..record.clone()
    })
}

fn span(wished: Option<u64>, usual: u64, longest: u64, why: &str) -> Result<Duration, Error> {
    let seconds = wished.unwrap_or(usual);
    if !(1..=longest).contains(&seconds) {
        return Err(Error::bad("valid_for", why));
    }
    Ok(Duration::from_secs(seconds))
}

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;
const USUAL_BYPASS: u64 = 2 * HOUR;
const MAX_BYPASS: u64 = DAY;
const MAX_USES: u8 = 3;
const USUAL_TICKET: u64 = 7 * DAY;
const MAX_TICKET: u64 = 7 * DAY;
