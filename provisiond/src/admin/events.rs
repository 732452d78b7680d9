//! `Events`: streams the remembered log events to administrators and the helpdesk (`totpctl log`,
//! `totpctl why`), and to users their own login attempts.

use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use common::wire::event::Event;
use common::wire::protocol::{Error, Events};

use crate::audit::Wanted;
use crate::identity::caller::Role;
use crate::records::Failure;
use crate::service::Service;
use crate::service::call::Call;
use crate::service::uid_binding::bars_self_service;

/// `Events`: hands each past event to `tell`. With `follow` it hands on new events too, while
/// `stays` allows it. `stays` is asked regularly: it returns false when the caller has left, and an
/// error when the caller has lost the permission.
///
/// Users that ask for themselves get their own account's attempts alone, without `follow`: what a
/// login's prompt has told before, and no change, no other role's name, nothing of a former owner of
/// the name.
///
/// # Errors
/// [`Error::BadParameter`]; [`Error::PermissionDenied`] for a record that is bound to another uid;
/// [`Error::Busy`] for a caller that does not read events in time, and
/// when the daemon stops; the errors of `tell` and `stays`.
pub(crate) fn events<E: From<Error>>(
    service: &Service,
    call: &Call<'_>,
    asked: &Events,
    mut tell: impl FnMut(&Event) -> Result<(), E>,
    stays: impl Fn() -> Result<bool, Error>,
) -> Result<(), E> {
    let wanted = wanted(call, asked)?;
    if call.caller.role == Role::Own {
        return own_attempts(service, call, &wanted, tell);
    }
    // Follow before the past is read, so that no event is missed between the two.
    let followed = (asked.follow == Some(true)).then(|| service.audit.follow());
    // The past includes the events of skew measurements that began before the call.
    service.skews.flush();
    let mut number = 0;
    for event in service.audit.events(&wanted) {
        tell(&event)?;
        number = event.number;
    }
    let Some(followed) = followed else {
        return Ok(());
    };
    let mut looked = Instant::now();
    loop {
        if looked.elapsed() >= LOOK {
            if !stays()? {
                return Ok(());
            }
            looked = Instant::now();
        }
        match followed.recv_timeout(LOOK) {
            Ok(event) if event.number > number && wanted.take(&event) => tell(&event)?,
            Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(Error::busy(LEFT_BEHIND).into()),
        }
    }
}

/// The attempts of the caller's own account.
fn own_attempts<E: From<Error>>(
    service: &Service,
    call: &Call<'_>,
    wanted: &Wanted,
    tell: impl FnMut(&Event) -> Result<(), E>,
) -> Result<(), E> {
    match service.records.look(call.user, &call.settings.secrets) {
        Ok(Some(record)) if bars_self_service(&record, call) => {
            return Err(Error::PermissionDenied.into());
        }
        Ok(_) => {}
        Err(Failure::Damaged(_)) => return Err(Error::RecordDamaged.into()),
        Err(failure) => return Err(service.failure(&failure, call).into()),
    }
    service.skews.flush();
    let all = Wanted {
        since: None,
        limit: usize::MAX,
        ..wanted.clone()
    };
    let events = service.audit.events(&all);
    let mut own: Vec<&Event> = Vec::new();
    for event in &events {
        match event.event.as_str() {
            // What comes before it is another owner's.
            "forget" | "rename_user" => own.clear(),
            "verify" | "device_clock_skew" if wanted.take(event) => own.push(event),
            _ => {}
        }
    }
    let first = own.len().saturating_sub(wanted.limit);
    own.into_iter().skip(first).try_for_each(tell)
}

fn wanted(call: &Call<'_>, asked: &Events) -> Result<Wanted, Error> {
    let limit = asked.limit.unwrap_or(MOST);
    if limit > MOST {
        return Err(Error::bad("limit", format_args!("at most {MOST}")));
    }
    let is_own = call.caller.role == Role::Own;
    if is_own && asked.follow == Some(true) {
        return Err(Error::bad("follow", NOT_FOR_USERS));
    }
    // Log lines name the user by the name of the record.
    let user = (is_own || asked.user.is_some()).then(|| call.user.as_str().to_owned());
    Ok(Wanted {
        user,
        since: asked.since,
        limit: usize::try_from(limit).unwrap_or(usize::MAX),
    })
}

/// The most events of one call.
const MOST: u32 = 10_000;
const NOT_FOR_USERS: &str =
    "only administrators and the helpdesk follow the log: ask without 'follow'";
const LEFT_BEHIND: &str =
    "events were not read in time, or the daemon stops: ask again for those after the last one";
/// How often a caller that follows is checked.
const LOOK: Duration = Duration::from_secs(1);
