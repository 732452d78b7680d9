//! `log` and `why`: reads the daemon's events, and prints them or explains a user's login attempts.

use common::config::values::span::Span;
use common::wire::protocol::{Events, EventsReply};

use super::{Context, names};
use crate::cli::{LogArgs, WhyArgs};
use crate::exit::{Exit, Failure};
use crate::render::{Attempts, Render};
use crate::table::now;

/// `log`: prints events as they arrive, one per line.
pub(super) fn log(context: &Context<'_>, wanted: &LogArgs) -> Result<Exit, Failure> {
    let user = wanted.user.as_deref().map(names::user).transpose()?;
    let since = wanted.since.map(ago);
    let call = Events {
        user,
        since,
        limit: wanted.lines,
        follow: wanted.follow.then_some(true),
    };
    let show = |reply: EventsReply| match reply.event {
        Some(event) if context.output.is_for_programs() => context.output.line(&event),
        Some(event) => context.output.page(&event.people()),
        None => Ok(()),
    };
    if wanted.follow {
        context.daemon.follow(&call, show)?;
    } else {
        context
            .daemon
            .call_more(&call)?
            .into_iter()
            .try_for_each(show)?;
    }
    Ok(Exit::Done)
}

/// `why`: prints the last attempts of a user, and why they were refused.
pub(super) fn why(context: &Context<'_>, wanted: &WhyArgs) -> Result<Exit, Failure> {
    let user = wanted.user.name()?.unwrap_or_default();
    let events = context.events_about(&user)?;
    let most = usize::try_from(wanted.lines).unwrap_or(usize::MAX);
    context
        .output
        .result(&Attempts::among(&events, &user, most))?;
    Ok(Exit::Done)
}

/// The time that is `span` before now, in Unix seconds.
fn ago(Span(span): Span) -> u64 {
    now().saturating_sub(span.as_secs())
}
