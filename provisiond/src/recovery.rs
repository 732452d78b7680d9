//! The ways back in, and the way in for the first time: recovery codes, a bypass, a ticket, and guesses given back. What
//! is told here is told once, when it is durable.

use std::time::Duration;

use common::config::Settings;
use common::protocol::{Bypass, Error, NewRecoveryCodes, RecoveryCodesReply, Ticket, TimedCodeReply, UnlockReply};
use common::roles::SelfService;
use common::secret::{Key, SecretText};
use common::user::UserName;

use crate::caller::Role;
use crate::codes::Codes;
use crate::proof::{Proven, prove};
use crate::record::{CannotMake, Record};
use crate::records::Decision;
use crate::service::{Call, Service};
use crate::throttle::{Moment, Pool};

impl Service {
    /// `NewRecoveryCodes`: all recovery codes anew.
    ///
    /// # Errors
    /// [`Error`].
    pub fn new_recovery_codes(&self, call: &Call<'_>, wish: &NewRecoveryCodes) -> Result<RecoveryCodesReply, Error> {
        let (settings, moment) = (self.settings(), self.moment());
        if settings.recovery.codes == 0 {
            return Err(Error::bad("user", "the settings give nobody recovery codes ('recovery.codes' is 0)"));
        }
        self.may_try(call)?;
        let renewed = self.records.change(call.access(&settings), |record| {
            let Some(record) = record.filter(|record| record.enrolled) else {
                return Decision { next: None, outcome: Proven::refused(Error::NoSuchUser) };
            };
            prove(record.clone(), call, wish.proof.as_ref(), &settings, &moment, |record, _| {
                renew(record, call.user, &settings, &moment)
            })
        });
        let renewed = renewed.map_err(|failure| self.failure(&failure, call))?;
        let recovery_codes = self.proven("new_recovery_codes", call, renewed)?;
        // A code that was accepted before does not outlive the sheet that it stood on.
        self.graces.end(call.user);
        self.log(call, call.line("new_recovery_codes").with("codes", recovery_codes.len()).warning());
        Ok(RecoveryCodesReply { user: call.user.as_str().to_owned(), recovery_codes })
    }

    /// `Bypass`: a code that lets in a few times, for a while.
    ///
    /// # Errors
    /// [`Error`].
    pub fn bypass(&self, call: &Call<'_>, wish: &Bypass) -> Result<TimedCodeReply, Error> {
        let valid_for = span(wish.valid_for, USUAL_BYPASS, MAX_BYPASS, "a bypass is good for 1 second to 24 hours")?;
        let uses = wish.uses.unwrap_or(1);
        if !(1..=MAX_USES).contains(&uses) {
            return Err(Error::bad("uses", format!("a bypass opens 1 to {MAX_USES} logins")));
        }
        let reply = self.give("bypass", call, valid_for, |record, codes, key, moment| {
            if record.disabled {
                return Err(shut());
            }
            if !record.enrolled {
                return Err(Error::bad(
                    "user",
                    "nobody of that name was ever enrolled: 'totpctl ticket' lets them enrol",
                ));
            }
            codes.give_bypass(key, uses, valid_for, moment).map_err(|CannotMake| Error::StoreUnavailable)
        })?;
        self.log(call, call.line("bypass").with("until", reply.until).with("uses", uses).warning());
        Ok(reply)
    }

    /// `Ticket`: somebody who was never enrolled may enrol their first device.
    ///
    /// # Errors
    /// [`Error`].
    pub fn ticket(&self, call: &Call<'_>, wish: &Ticket) -> Result<TimedCodeReply, Error> {
        let valid_for = span(wish.valid_for, USUAL_TICKET, MAX_TICKET, "a ticket is good for 1 second to 7 days")?;
        let settings = self.settings();
        if settings.self_service == SelfService::Off && !settings.enroll_at_login {
            return Err(Error::bad("user", "the settings let nobody enrol themselves ('policy.self-service' is off)"));
        }
        let elsewhere = self.elsewhere(call, None, &settings);
        let reply = self.give("ticket", call, valid_for, |record, codes, key, moment| {
            if record.disabled {
                return Err(shut());
            }
            if record.enrolled || elsewhere.somebodys {
                return Err(Error::bad("user", "the user was enrolled before: 'totpctl bypass' lets them in"));
            }
            codes.give_ticket(key, valid_for, moment).map_err(|CannotMake| Error::StoreUnavailable)
        })?;
        self.log(call, call.line("ticket").with("until", reply.until).warning());
        Ok(reply)
    }

    /// `Unlock`: all guesses are given back, and the wrong pairs forgotten.
    ///
    /// # Errors
    /// [`Error`].
    pub fn unlock(&self, call: &Call<'_>) -> Result<UnlockReply, Error> {
        let (settings, moment) = (self.settings(), self.moment());
        let unlocked = self.records.change(call.access(&settings), |record| match unlocked(record, call, &moment) {
            Ok(next) => Decision { next: Some(next), outcome: Ok(()) },
            Err(error) => Decision { next: None, outcome: Err(error) },
        });
        let unlocked = unlocked.map_err(|failure| self.failure(&failure, call))?;
        unlocked.inspect_err(|error| self.log_refused("unlock", call, error))?;
        self.refunds.forget(call.user);
        self.log(call, call.line("unlock").warning());
        Ok(UnlockReply { user: call.user.as_str().to_owned() })
    }

    /// Gives a code that is good for a while. What `new` says is told once the record has it.
    fn give(
        &self,
        event: &'static str,
        call: &Call<'_>,
        valid_for: Duration,
        new: impl Fn(&Record, &mut Codes, &Key, &Moment) -> Result<SecretText, Error>,
    ) -> Result<TimedCodeReply, Error> {
        let (settings, moment) = (self.settings(), self.moment());
        let given = self.records.change(call.access(&settings), |record| {
            let mut record = record.cloned().unwrap_or_else(|| Record::new(&moment));
            let given =
                with_codes(&mut record, call.user, &settings, |record, codes, key| new(record, codes, key, &moment));
            Decision { next: given.is_ok().then_some(record), outcome: given }
        });
        let given = given.map_err(|failure| self.failure(&failure, call))?;
        let code = given.inspect_err(|error| self.log_refused(event, call, error))?;
        let until = moment.now.saturating_add(valid_for.as_secs());
        Ok(TimedCodeReply { user: call.user.as_str().to_owned(), code, until })
    }
}

/// Why no code is given that could not be used.
fn shut() -> Error {
    Error::bad("user", "the account is disabled, and nothing opens it: 'totpctl enable --all' does first")
}

/// New recovery codes for a user who has none, if the settings give any.
pub(crate) fn first_codes(
    record: &mut Record,
    user: &UserName,
    settings: &Settings,
    moment: &Moment,
) -> Result<Vec<SecretText>, Error> {
    match record.recovery_codes_left(moment) {
        0 if settings.recovery.codes > 0 => renew(record, user, settings, moment),
        _ => Ok(Vec::new()),
    }
}

fn renew(record: &mut Record, user: &UserName, settings: &Settings, moment: &Moment) -> Result<Vec<SecretText>, Error> {
    with_codes(record, user, settings, |_, codes, key| {
        codes.renew(key, &settings.recovery, moment).map_err(|CannotMake| Error::StoreUnavailable)
    })
}

fn with_codes<T>(
    record: &mut Record,
    user: &UserName,
    settings: &Settings,
    change: impl FnOnce(&Record, &mut Codes, &Key) -> Result<T, Error>,
) -> Result<T, Error> {
    let opened = Codes::to_extend(record.codes.as_ref(), user, &settings.secrets);
    let (mut codes, key) = opened.map_err(|CannotMake| Error::StoreUnavailable)?;
    let done = change(record, &mut codes, &key)?;
    record.codes = Some(codes);
    Ok(done)
}

/// The helpdesk gives guesses back once a day. The day is one that was seen to pass, so no clock makes it shorter.
fn unlocked(record: Option<&Record>, call: &Call<'_>, moment: &Moment) -> Result<Record, Error> {
    let record = record.ok_or(Error::NoSuchUser)?;
    let helpdesk = call.caller.role == Role::Helpdesk;
    if helpdesk && record.unlocked.is_some_and(|tick| moment.tick < tick.saturating_add(DAY)) {
        return Err(Error::bad(
            "user",
            "the guesses were given back within the last day: an administrator can do it again",
        ));
    }
    let pool = Pool::full(moment);
    let unlocked = if helpdesk { Some(moment.tick) } else { record.unlocked };
    Ok(Record { known: pool, unknown: pool, unlocked, ..record.clone() })
}

fn span(wished: Option<u64>, usual: u64, longest: u64, why: &str) -> Result<Duration, Error> {
    let seconds = wished.unwrap_or(usual);
    let possible = (1..=longest).contains(&seconds);
    possible.then(|| Duration::from_secs(seconds)).ok_or_else(|| Error::bad("valid_for", why))
}

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;
const USUAL_BYPASS: u64 = 2 * HOUR;
const MAX_BYPASS: u64 = DAY;
const MAX_USES: u8 = 3;
const USUAL_TICKET: u64 = 7 * DAY;
const MAX_TICKET: u64 = 7 * DAY;
