//! `ticket --users`: a ticket for each user of a list that has neither a device nor an unused
//! ticket. Each is printed once, on a line of JSON.

use std::path::Path;

use ::import::users::Named;
use common::wire::client::ClientError;
use common::wire::protocol::{Error, Show, Ticket};

use super::{List, Tried, at_once, batches, has_account, names, rows, warn_without_account};
use crate::cli::TicketArgs;
use crate::commands::Context;
use crate::commands::many::AT_ONCE;
use crate::commands::recovery::seconds;
use crate::daemon::Session;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::render::lists::{Did, LeftAlone};

/// Issues tickets to the users of a list.
pub(in crate::commands) fn ticket(
    context: &Context<'_>,
    list: &Path,
    wanted: &TicketArgs,
) -> Result<Exit, Failure> {
    let rows = rows(list)?;
    let (daemon, words) = (&context.daemon, ["tickets issued", "needed none"]);
    context.output.will_hold_secrets();
    let mut list = List::new(context, words, rows.len());
    // Small batches: a ticket that was issued and not printed is lost.
    for batch in batches(rows, AT_ONCE) {
        let issue = |session: &_, row| Tried::of(row, |named| issued(session, wanted, named));
        let issued = at_once(batch, || daemon.session(), issue, Tried::ends_all);
        let warn = |tried| warned(context.output, tried);
        let progress = list.progress.clone();
        list.report(progress.aside(|| issued.into_iter().map(warn).collect()))?;
    }
    list.end()
}

/// The ticket of a row, and whether this machine has the account.
fn issued(
    session: &Session<'_>,
    wanted: &TicketArgs,
    named: &Named,
) -> Result<(Did, bool), Failure> {
    let user = names::user(&named.user)?;
    if named.device.is_some() {
        return Err(Failure::BadParameter(NO_DEVICE.to_owned()));
    }
    if let Some(left) = left_alone(session, wanted, &user)? {
        return Ok((Did::nothing(user, left), true));
    }
    let has_account = has_account(&user);
    let valid_for = seconds(wanted.valid_for);
    let reply = session.call(&Ticket { user, valid_for })?;
    Ok((Did::ticket(reply), has_account))
}

/// Why the user needs no ticket. Two runs at once may both see none: then the later ticket is
/// valid, as of two commands about one user.
fn left_alone(
    session: &Session<'_>,
    wanted: &TicketArgs,
    user: &str,
) -> Result<Option<LeftAlone>, Failure> {
    let user = Some(user.to_owned());
    let shown = match session.call(&Show { user }) {
        Err(ClientError::Refused(Error::NoSuchUser)) => return Ok(None),
        answer => answer?.user,
    };
    Ok(if shown.enrolled {
        Some(LeftAlone::Enrolled)
    } else {
        shown
            .ticket_until
            .filter(|_| !wanted.replace)
            .map(|_| LeftAlone::HasTicket)
    })
}

fn warned(output: &Output, tried: Tried<(Did, bool)>) -> Tried<Did> {
    let Tried {
        line,
        user,
        outcome,
    } = tried;
    if let (Ok((_, false)), Some(user)) = (&outcome, &user) {
        warn_without_account(output, line, user);
    }
    Tried {
        line,
        user,
        outcome: outcome.map(|(did, _)| did),
    }
}

const NO_DEVICE: &str = "a ticket is for a user, whose first device gets the name 'default': leave the column 'device' empty";
