//! `apply`: makes users and their devices what a file says. The whole file is judged before the first
//! change; a user that the daemon refuses does not stop the others.
//!
//! What a file can say is in the crate `import`, what differs from it in `state`.

mod as_file;
pub(crate) mod state;
mod tickets;

use std::collections::HashMap;
use std::path::Path;

use ::import::desired_state::{self, DesiredUser};
use common::wire::client::ClientError;
use common::wire::protocol::{DeviceState, Error, Restrict, Revoke, SetState, Show, User};

use self::state::UserState;
use self::tickets::Tickets;
use super::import::bytes_of;
use super::lists::{has_account, warn_without_account};
use super::many::{BATCH, at_once};
use super::{Context, concerns_all};
use crate::cli::{ApplyArgs, Subject};
use crate::daemon::Session;
use crate::exit::{Exit, Failure};
use crate::progress::Progress;
use crate::render::applied::{Applied, AppliedUser, Change};
use crate::render::moving::{LineFailure, Place, Reason};

/// Applies a file.
pub(super) fn run(context: &Context<'_>, wanted: &ApplyArgs) -> Result<Exit, Failure> {
    let users = read(context, &wanted.file)?;
    let tickets = Tickets::of(wanted, &users)?;
    let progress = Progress::of(context.output, users.len());
    let (daemon, mut accounts) = (&context.daemon, HashMap::new());
    let begin = || daemon.session();
    let mut applied = Applied::new(wanted.check, wanted.diff);
    for batch in users.chunks(BATCH) {
        let looked_at = at_once(batch.iter().collect(), begin, looked_at, Entry::ends_all);
        let planned = looked_at
            .into_iter()
            .map(|entry| entry.of_its_own(&mut accounts));
        let done = at_once(
            planned.collect(),
            begin,
            |session, entry| {
                if wanted.check {
                    entry
                } else {
                    entry.made(session, &tickets)
                }
            },
            Entry::ends_all,
        );
        let kept = tickets.keep();
        progress.aside(|| report(context, &mut applied, done))?;
        kept?;
        progress.advance(batch.len());
    }
    progress.clear();
    context.output.result(&applied)?;
    Ok(if applied.failed > 0 {
        Exit::Refused
    } else {
        Exit::Done
    })
}

/// Reads the file. The first finding is the error, and several are notes as well.
fn read(context: &Context<'_>, path: &Path) -> Result<Vec<DesiredUser>, Failure> {
    let findings = match desired_state::read(&bytes_of(path)?) {
        Ok(users) => return Ok(users),
        Err(findings) => findings,
    };
    let count = findings.len();
    let noted = if count > 1 { NOTES } else { 0 };
    for finding in findings.iter().take(noted) {
        context.output.note(&finding.to_string());
    }
    let first = findings.first().map(ToString::to_string);
    let of = match count {
        0 | 1 => String::new(),
        count => format!(" (the first of {count} mistakes)"),
    };
    Err(Failure::BadRecord(format!(
        "{}{of}; nothing was changed",
        first.unwrap_or_default()
    )))
}

/// A user of the file under way.
struct Entry<'a> {
    desired: &'a DesiredUser,
    /// In the spelling of the user's record, if there is one.
    user: String,
    has_record: bool,
    before: UserState,
    after: UserState,
    /// Changes to make, and once they are made, changes made.
    changes: Vec<Change>,
    outcome: Result<(), Failure>,
}

/// Asks for a user's state, and compares it with the wish.
fn looked_at<'a>(session: &Session<'_>, desired: &'a DesiredUser) -> Entry<'a> {
    let mut entry = Entry {
        desired,
        user: desired.user.as_str().to_owned(),
        has_record: false,
        before: UserState::default(),
        after: UserState::default(),
        changes: Vec::new(),
        outcome: Ok(()),
    };
    let shown = shown(session, &entry.user).map_err(|failure| failure.about(entry.subject(None)));
    let compared = shown.and_then(|shown| entry.compare(shown));
    entry.outcome = compared;
    entry
}

/// `None`: the user has no record.
fn shown(session: &Session<'_>, user: &str) -> Result<Option<User>, Failure> {
    let user = Some(user.to_owned());
    match session.call(&Show { user }) {
        Err(ClientError::Refused(Error::NoSuchUser)) => Ok(None),
        Ok(reply) if reply.user.damaged => Err(ClientError::Refused(Error::RecordDamaged).into()),
        answer => Ok(Some(answer?.user)),
    }
}

impl Entry<'_> {
    fn compare(&mut self, shown: Option<User>) -> Result<(), Failure> {
        self.has_record = shown.is_some();
        if let Some(shown) = &shown {
            self.user.clone_from(&shown.user);
        }
        self.before = UserState::of(shown);
        self.after = self.before.clone();
        let after = self.before.with(self.desired);
        self.after = after.map_err(Failure::BadParameter)?;
        self.changes = self.before.changes_to(&self.after);
        Ok(())
    }

    /// Refuses an account that another entry has under another spelling: the two would change it for
    /// ever.
    fn of_its_own(mut self, accounts: &mut HashMap<String, u64>) -> Self {
        let first = *accounts
            .entry(self.user.clone())
            .or_insert(self.desired.line);
        if first != self.desired.line && self.outcome.is_ok() {
            self.changes.clear();
            let why = format!(
                "this account is on line {first} already, under another spelling: keep one entry"
            );
            self.outcome = Err(Failure::BadParameter(why));
        }
        self
    }

    /// Makes the changes, up to the first that is refused.
    fn made(mut self, session: &Session<'_>, tickets: &Tickets) -> Self {
        let changes = std::mem::take(&mut self.changes);
        for change in changes {
            match make(session, tickets, &self.user, &change) {
                Ok(made) => self.changes.push(made),
                Err(failure) => {
                    self.outcome = Err(failure.about(self.subject(change.device())));
                    break;
                }
            }
        }
        self
    }

    fn subject<'a>(&'a self, device: Option<&'a str>) -> Subject<'a> {
        Subject {
            user: Some(&self.user),
            device,
            is_own: false,
        }
    }

    /// Whether its failure would meet all other users, too.
    fn ends_all(&self) -> bool {
        self.outcome.as_ref().is_err_and(concerns_all)
    }

    fn into_result(self) -> AppliedUser {
        let (to_enroll, to_confirm) = match &self.outcome {
            Ok(()) => self.after.waiting(self.desired),
            Err(_) => (Vec::new(), Vec::new()),
        };
        // After an error the state is known by asking again alone.
        let after = if self.outcome.is_ok() {
            &self.after
        } else {
            &self.before
        };
        let states = [&self.before, after].map(|state| as_file::entry(&self.user, state));
        AppliedUser {
            line: self.desired.line,
            user: self.user,
            changes: self.changes,
            to_enroll,
            to_confirm,
            error: self.outcome.as_ref().err().map(Reason::of),
            states,
        }
    }
}

/// Makes one change.
fn make(
    session: &Session<'_>,
    tickets: &Tickets,
    user: &str,
    change: &Change,
) -> Result<Change, Failure> {
    let user = user.to_owned();
    let state = |device: &Option<String>, state| SetState {
        user: Some(user.clone()),
        device: device.clone(),
        all: device.is_none().then_some(true),
        state,
        proof: None,
        same_person: None,
    };
    match change {
        Change::Disabled { device } => drop(session.call(&state(device, DeviceState::Disabled))?),
        Change::Enabled { device } => drop(session.call(&state(device, DeviceState::Active))?),
        Change::Revoked { device } => drop(session.call(&Revoke {
            user: Some(user),
            device: Some(device.clone()),
            proof: None,
        })?),
        Change::Restricted {
            device,
            valid_from,
            valid_until,
            services,
        } => drop(session.call(&Restrict {
            user: Some(user),
            device: Some(device.clone()),
            valid_from: *valid_from,
            valid_until: *valid_until,
            services: services.clone(),
        })?),
        Change::TicketIssued { .. } => {
            let until = Some(tickets.issue(session, &user)?);
            return Ok(Change::TicketIssued { until });
        }
    }
    Ok(change.clone())
}

/// Notes what was refused, and counts.
///
/// # Errors
/// What would meet all further users, too.
fn report(
    context: &Context<'_>,
    applied: &mut Applied,
    done: Vec<Entry<'_>>,
) -> Result<(), Failure> {
    let mut ended = Ok(());
    for entry in done {
        let line = entry.desired.line;
        if !entry.has_record && entry.outcome.is_ok() && !has_account(&entry.user) {
            warn_without_account(context.output, line, &entry.user);
        }
        if entry.ends_all() {
            if ended.is_ok() {
                ended = entry.outcome;
            }
            continue;
        }
        if let Err(failure) = &entry.outcome {
            let place = Some(Place::Line(line));
            let failed = LineFailure::new(place, Some(entry.user.clone()), failure);
            context.output.note(&failed.sentence());
        }
        applied.add(entry.into_result());
    }
    if ended.is_err() {
        let so_far = applied.summary();
        context.output.note(&format!(
            "stopped after {so_far}; to continue, apply the same file again"
        ));
    }
    ended
}

/// Findings that are noted: a file of another kind may have thousands.
const NOTES: usize = 20;
