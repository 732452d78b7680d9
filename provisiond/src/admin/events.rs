//! `Events`: streams the remembered log events to administrators and the helpdesk (`totpctl log`,
//! `totpctl why`).

use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use common::wire::event::Event;
use common::wire::protocol::{Error, Events};

use crate::audit::Wanted;
use crate::service::Service;
use crate::service::call::Call;

/// `Events`: hands each past event to `tell`. With `follow` it hands on new events too, while
/// `stays` allows it. `stays` is asked regularly: it returns false when the caller has left, and an
/// error when the caller has lost the permission.
///
/// # Errors
/// [`Error::BadParameter`]; [`Error::Busy`] for a caller that does not read events in time, and
/// when the daemon stops; the errors of `tell` and `stays`.
pub(crate) fn events<E: From<Error>>(
    service: &Service,
    call: &Call<'_>,
    asked: &Events,
    mut tell: impl FnMut(&Event) -> Result<(), E>,
    stays: impl Fn() -> Result<bool, Error>,
) -> Result<(), E> {
    let wanted = wanted(call, asked)?;
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

fn wanted(call: &Call<'_>, asked: &Events) -> Result<Wanted, Error> {
    let limit = asked.limit.unwrap_or(MOST);
    if limit > MOST {
        return Err(Error::bad("limit", format_args!("at most {MOST}")));
    }
    // Log lines name the user by the name of the record.
    let user = asked.user.as_ref().map(|_| call.user.as_str().to_owned());
    Ok(Wanted {
        user,
        since: asked.since,
        limit: usize::try_from(limit).unwrap_or(usize::MAX),
    })
}

/// The most events of one call.
const MOST: u32 = 10_000;
const LEFT_BEHIND: &str =
    "events were not read in time, or the daemon stops: ask again for those after the last one";
/// How often a caller that follows is checked.
const LOOK: Duration = Duration::from_secs(1);
