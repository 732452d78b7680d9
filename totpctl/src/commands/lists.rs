//! `--users`: commands about many users. Reads the list, acts on its rows several at once, reports
//! each bad row by its line, and sums up.
//!
//! `enroll` and `ticket` have files of their own, because they print keys and codes.

mod enroll;
mod ticket;

use std::collections::HashSet;
use std::path::Path;

use ::import::users::{self, Named, Row};
use common::wire::client::ClientError;
use common::wire::protocol::{DeviceState, Error, Revoke, SetState};
use common::wire::text::printable;
use nix::unistd::User;

pub(super) use self::enroll::{enroll, language_of_sheets};
pub(super) use self::ticket::ticket;
use super::import::bytes_of;
use super::many::{BATCH, at_once};
use super::{Context, concerns_all, names};
use crate::cli::{DisableArgs, RevokeArgs, Subject};
use crate::daemon::Session;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::progress::Progress;
use crate::render::lists::{Did, ListedRow, Tally};
use crate::render::moving::{LineFailure, Place};

/// `disable --users`.
pub(super) fn disable(
    context: &Context<'_>,
    list: &Path,
    wanted: &DisableArgs,
) -> Result<Exit, Failure> {
    let part = &wanted.part;
    let words = ["disabled", "disabled before"];
    each(context, list, words, |session, named| {
        let reply = session.call(&SetState {
            user: Some(names::user(&named.user)?),
            device: device_of(named, part.target.device.as_deref())?.filter(|_| !part.all),
            all: part.all.then_some(true),
            state: DeviceState::Disabled,
            proof: None,
            same_person: None,
        })?;
        Ok(Did::now(reply.user, reply.device))
    })
}

/// `revoke --users`. A device that is gone, or a user that has none, is what was wanted.
pub(super) fn revoke(
    context: &Context<'_>,
    list: &Path,
    wanted: &RevokeArgs,
) -> Result<Exit, Failure> {
    let words = ["revoked", "revoked before"];
    each(context, list, words, |session, named| {
        let user = names::user(&named.user)?;
        let device = device_of(named, wanted.target.device.as_deref())?;
        let device = device.ok_or_else(|| Failure::BadParameter(NO_DEVICE.to_owned()))?;
        let call = Revoke {
            user: Some(user.clone()),
            device: Some(device.clone()),
            proof: None,
        };
        match session.call(&call) {
            Err(ClientError::Refused(Error::NoSuchUser | Error::NoSuchDevice)) => {
                Ok(Did::before(user, Some(device)))
            }
            answer => Ok(answer.map(|reply| Did::now(reply.user, Some(reply.device)))?),
        }
    })
}

/// The device of a row: its own, or that of the command line.
fn device_of(named: &Named, usual: Option<&str>) -> Result<Option<String>, Failure> {
    names::device(named.device.as_deref().or(usual))
}

/// A row, and what became of it.
struct Tried<T> {
    line: u64,
    user: Option<String>,
    outcome: Result<T, Failure>,
}

impl<T> Tried<T> {
    fn of(row: Row, act: impl FnOnce(&Named) -> Result<T, Failure>) -> Self {
        let named = row.named.map_err(Failure::from);
        let user = named.as_ref().ok().map(|named| named.user.clone());
        let outcome = named.and_then(|named| {
            act(&named).map_err(|failure| {
                failure.about(Subject {
                    user: Some(&named.user),
                    device: named.device.as_deref(),
                    is_own: false,
                })
            })
        });
        Self {
            line: row.line,
            user,
            outcome,
        }
    }

    /// Whether its failure would meet all other rows, too.
    fn ends_all(&self) -> bool {
        self.outcome.as_ref().is_err_and(concerns_all)
    }
}

/// Acts on each row of a list.
fn each(
    context: &Context<'_>,
    path: &Path,
    words: [&'static str; 2],
    act: impl Fn(&Session<'_>, &Named) -> Result<Did, Failure> + Sync,
) -> Result<Exit, Failure> {
    let rows = rows(path)?;
    let mut list = List::new(context, words, rows.len());
    let daemon = &context.daemon;
    for batch in batches(rows, BATCH) {
        let act = |session: &_, row| Tried::of(row, |named| act(session, named));
        let done = at_once(batch, || daemon.session(), act, Tried::ends_all);
        list.report(done)?;
    }
    list.end()
}

fn rows(path: &Path) -> Result<Vec<Row>, Failure> {
    Ok(users::read(&bytes_of(path)?)?)
}

/// Rows that are acted on together, at most so many: no two of one user, so that the order of the
/// list holds.
fn batches(rows: Vec<Row>, most: usize) -> Vec<Vec<Row>> {
    let (mut batches, mut batch, mut users) = (Vec::new(), Vec::new(), HashSet::new());
    for row in rows {
        let user = row.named.as_ref().ok().map(|named| named.user.clone());
        let is_there = user.is_some_and(|user| !users.insert(user));
        if is_there || batch.len() >= most {
            batches.push(std::mem::take(&mut batch));
            users.clear();
            users.extend(row.named.as_ref().ok().map(|named| named.user.clone()));
        }
        batch.push(row);
    }
    batches.push(batch);
    batches
}

/// Whether this machine has the account, or its name service does not say.
pub(super) fn has_account(user: &str) -> bool {
    !matches!(User::from_name(user), Ok(None))
}

/// The account may be made later, or be on another machine: no error, but in a long list it is
/// rather a spelling mistake.
pub(super) fn warn_without_account(output: &Output, line: u64, user: &str) {
    let sentence = format!("warning: this machine has no account '{}'", printable(user));
    output.note(&Place::Line(line).of(None, &sentence));
}

/// A list under way.
struct List<'a> {
    context: &'a Context<'a>,
    tally: Tally,
    progress: Progress,
}

impl<'a> List<'a> {
    /// `words` say what is done to a user, and that nothing is left to do: "enrolled", "enrolled
    /// before".
    fn new(context: &'a Context<'a>, words: [&'static str; 2], rows: usize) -> Self {
        Self {
            context,
            tally: Tally::new(words),
            progress: Progress::of(context.output, rows),
        }
    }

    /// Reports and counts rows.
    ///
    /// # Errors
    /// What would meet all further rows, too.
    fn report(&mut self, batch: Vec<Tried<Did>>) -> Result<(), Failure> {
        let (rows, progress) = (batch.len(), self.progress.clone());
        let reported = progress.aside(|| self.rows(batch));
        progress.advance(rows);
        reported
    }

    fn rows(&mut self, batch: Vec<Tried<Did>>) -> Result<(), Failure> {
        let mut ended = Ok(());
        for tried in batch {
            match self.row(tried) {
                Err(failure) if ended.is_ok() => ended = Err(failure),
                _ => {}
            }
        }
        if ended.is_err() {
            let so_far = &self.tally;
            self.context.output.note(&format!(
                "stopped after {so_far}; to continue, run the same list again"
            ));
        }
        ended
    }

    fn row(&mut self, tried: Tried<Did>) -> Result<(), Failure> {
        let ends_all = tried.ends_all();
        let Tried {
            line,
            user,
            outcome,
        } = tried;
        match outcome {
            Err(failure) if ends_all => Err(failure),
            Err(failure) => {
                self.tally.failed = self.tally.failed.saturating_add(1);
                let place = Some(Place::Line(line));
                self.context
                    .report(&LineFailure::new(place, user, &failure))
            }
            Ok(did) => {
                self.tally.count(&did);
                if let Some(left) = did.left_alone() {
                    let place = Place::Line(line);
                    let sentence = place.of(user.as_deref(), left.sentence());
                    self.context.output.note(&sentence);
                }
                if self.context.output.is_for_programs() || did.has_code() {
                    self.context.output.line(&ListedRow { line, did })?;
                }
                Ok(())
            }
        }
    }

    /// Prints the summary, to standard error: standard output may hold keys.
    fn end(self) -> Result<Exit, Failure> {
        self.progress.clear();
        self.context.output.note(&self.tally.to_string());
        Ok(if self.tally.failed > 0 {
            Exit::Refused
        } else {
            Exit::Done
        })
    }
}

const NO_DEVICE: &str = "the row names no device: give '--device', or a column 'device'";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_one_user_are_in_different_batches() {
        let row = |user: &str| Row {
            line: 1,
            named: Ok(Named {
                user: user.to_owned(),
                device: None,
            }),
        };
        let sizes = |users: &[&str]| -> Vec<usize> {
            let rows = users.iter().map(|user| row(user)).collect();
            batches(rows, BATCH).iter().map(Vec::len).collect()
        };
        assert_eq!(sizes(&["a", "b", "a", "a", "b"]), [2, 1, 2]);
        let many: Vec<String> = (0..BATCH + 1).map(|n| n.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(sizes(&many), [BATCH, 1]);
    }
}
