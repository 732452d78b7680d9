//! `--users`: commands about many users. Reads the list, acts on its rows several at once, reports
//! each bad row by its line, and sums up.
//!
//! `enroll` has a file of its own, because it prints keys.

mod enroll;

use std::collections::HashSet;
use std::path::Path;

use ::import::users::{self, Named, Row};
use common::wire::client::ClientError;
use common::wire::protocol::{DeviceState, Error, Revoke, SetState};

pub(super) use self::enroll::enroll;
use super::import::bytes_of;
use super::many::{BATCH, at_once};
use super::{Context, concerns_all, names};
use crate::cli::{DisableArgs, RevokeArgs, Subject};
use crate::daemon::Daemon;
use crate::exit::{Exit, Failure};
use crate::render::lists::{Did, ListedRow, Tally};
use crate::render::moving::{LineFailure, Place};

/// `disable --users`.
pub(super) fn disable(
    context: &Context<'_>,
    list: &Path,
    wanted: &DisableArgs,
) -> Result<Exit, Failure> {
    let part = &wanted.part;
    each(context, list, "disabled", |daemon, named| {
        let reply = daemon.call(&SetState {
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
    each(context, list, "revoked", |daemon, named| {
        let user = names::user(&named.user)?;
        let device = device_of(named, wanted.target.device.as_deref())?;
        let device = device.ok_or_else(|| Failure::BadParameter(NO_DEVICE.to_owned()))?;
        let call = Revoke {
            user: Some(user.clone()),
            device: Some(device.clone()),
            proof: None,
        };
        match daemon.call(&call) {
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
    done: &'static str,
    act: impl Fn(&Daemon, &Named) -> Result<Did, Failure> + Sync,
) -> Result<Exit, Failure> {
    let mut list = List::new(context, done);
    let daemon = &context.daemon;
    for batch in batches(rows(path)?) {
        let act = |row| Tried::of(row, |named| act(daemon, named));
        list.report(at_once(batch, act, Tried::ends_all))?;
    }
    list.end()
}

fn rows(path: &Path) -> Result<Vec<Row>, Failure> {
    Ok(users::read(&bytes_of(path)?)?)
}

/// Rows that are acted on together: no two of one user, so that the order of the list holds.
fn batches(rows: Vec<Row>) -> Vec<Vec<Row>> {
    let (mut batches, mut batch, mut users) = (Vec::new(), Vec::new(), HashSet::new());
    for row in rows {
        let user = row.named.as_ref().ok().map(|named| named.user.clone());
        let is_there = user.is_some_and(|user| !users.insert(user));
        if is_there || batch.len() >= BATCH {
            batches.push(std::mem::take(&mut batch));
            users.clear();
            users.extend(row.named.as_ref().ok().map(|named| named.user.clone()));
        }
        batch.push(row);
    }
    batches.push(batch);
    batches
}

/// A list under way.
struct List<'a> {
    context: &'a Context<'a>,
    tally: Tally,
}

impl<'a> List<'a> {
    fn new(context: &'a Context<'a>, done: &'static str) -> Self {
        let tally = Tally::new(done);
        Self { context, tally }
    }

    /// Reports and counts rows.
    ///
    /// # Errors
    /// What would meet all further rows, too.
    fn report(&mut self, batch: Vec<Tried<Did>>) -> Result<(), Failure> {
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
                if self.context.output.is_for_programs() {
                    self.context.output.line(&ListedRow { line, did })?;
                }
                Ok(())
            }
        }
    }

    /// Prints the summary, to standard error: standard output may hold keys.
    fn end(&self) -> Result<Exit, Failure> {
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
            batches(rows).iter().map(Vec::len).collect()
        };
        assert_eq!(sizes(&["a", "b", "a", "a", "b"]), [2, 1, 2]);
        let many: Vec<String> = (0..BATCH + 1).map(|n| n.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(sizes(&many), [BATCH, 1]);
    }
}
