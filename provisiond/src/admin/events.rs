//! `Events`: what the log remembers, for those who administer.

use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use common::wire::event::Event;
use common::wire::protocol::{Error, Events};

use crate::audit::Wanted;
use crate::service::Service;
use crate::service::call::Call;

/// `Events`: hands each to `tell`. Who follows is told new ones for as long as `stays` says so, which is asked now and
/// then, and says why not, or that they have left.
///
/// # Errors
/// [`Error::BadParameter`]; [`Error::Busy`] for who does not take events in time, and at the daemon's end. What
/// `tell` and `stays` say.
pub(crate) fn events<E: From<Error>>(
    service: &Service,
    call: &Call<'_>,
    asked: &Events,
    mut tell: impl FnMut(&Event) -> Result<(), E>,
    stays: impl Fn() -> Result<bool, Error>,
) -> Result<(), E> {
    let wanted = wanted(call, asked)?;
    // Before the past is read, so that nothing falls between the two.
    let followed = (asked.follow == Some(true)).then(|| service.audit.follow());
    // What happened before the call is to be among it.
    service.skews.flush();
    let mut number = 0;
    for event in service.audit.events(&wanted) {
        tell(&event)?;
        number = event.number;
    }
    let Some(followed) = followed else { return Ok(()) };
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
    // The name as the daemon knows it, which is that of its lines.
    let user = asked.user.as_ref().map(|_| call.user.as_str().to_owned());
    Ok(Wanted { user, since: asked.since, limit: usize::try_from(limit).unwrap_or(usize::MAX) })
}

/// Events that one call brings at most.
const MOST: u32 = 10_000;
const LEFT_BEHIND: &str = "events were not read in time, or the daemon ends: ask again from where they stop";
/// How often somebody who follows is looked at.
const LOOK: Duration = Duration::from_secs(1);
