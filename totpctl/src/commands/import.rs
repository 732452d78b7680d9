//! `import`: sends each entry of a file to the daemon, in a call of its own, so that a bad entry
//! does not stop the others; several calls at once.
//!
//! `passlib` reads passlib's lines, `foreign` the formats of the crate `import`, and `homes` the
//! files in the home folders.

mod foreign;
mod homes;
mod passlib;

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::Path;

use ::import::MAX_FILE;
use common::wire::client::ClientError;
use common::wire::protocol::{Error, Import};
use common::wire::text::printable;
use zeroize::Zeroizing;

use super::many::{BATCH, at_once};
use super::{Context, concerns_all, names};
use crate::cli::{ImportCommand, ImportFile, ImportOptions, LabelledFile};
use crate::daemon::Session;
use crate::exit::{Exit, Failure};
use crate::render::moving::{ImportedEntry, Imports, LineFailure, Place};

/// Imports what the command line names.
pub(super) fn run(context: &Context<'_>, command: &ImportCommand) -> Result<Exit, Failure> {
    use ::import::{aegis, andotp, migration, otpauth, table, users_oath};
    let of_labels = |file: &LabelledFile, read: foreign::Reader| {
        let user = foreign::User::Label(file.user.as_deref());
        foreign::import(context, &file.file, user, read)
    };
    let of_accounts = |file: &ImportFile, read: foreign::Reader| {
        foreign::import(context, file, foreign::User::Account, read)
    };
    match command {
        ImportCommand::Passlib { file } => passlib::import(context, &file.path, file.how),
        ImportCommand::GoogleAuthenticator {
            at_login: true,
            how,
            ..
        } => homes::import_at_login(context, *how),
        ImportCommand::GoogleAuthenticator {
            file, user, how, ..
        } => match (file, user) {
            (Some(file), Some(user)) => foreign::google_authenticator(context, file, user, *how),
            _ => homes::import(context, *how),
        },
        ImportCommand::UsersOath {
            file,
            drop_pins: true,
        } => of_accounts(file, |bytes| users_oath::read(bytes, true)),
        ImportCommand::UsersOath { file, .. } => {
            of_accounts(file, |bytes| users_oath::read(bytes, false))
        }
        ImportCommand::Csv { file } => of_accounts(file, table::read),
        ImportCommand::Otpauth { file } => of_labels(file, otpauth::read),
        ImportCommand::Migration { file } => of_labels(file, migration::read),
        ImportCommand::Aegis { file } => of_labels(file, aegis::read),
        ImportCommand::Andotp { file } => of_labels(file, andotp::read),
        ImportCommand::Pskc { file } => foreign::pskc(context, file),
    }
}

/// One entry to import: where it stands, the user as far as it is known, and the call.
struct Candidate {
    place: Place,
    user: Option<String>,
    /// How many scratch codes the entry has.
    scratch_codes: usize,
    /// Whether the other system names every code that it has accepted of late.
    lists_spent: bool,
    call: Result<Import, Failure>,
}

impl Candidate {
    /// Makes the call.
    fn tried(self, session: &Session<'_>, how: ImportOptions) -> Tried {
        let is_first_only = matches!(&self.call, Ok(call) if call.first_only == Some(true));
        let place = self.place.clone();
        Tried {
            outcome: self
                .call
                .and_then(|call| imported(session, how, place, call)),
            place: self.place,
            user: self.user,
            scratch_codes: self.scratch_codes,
            is_first_only,
        }
    }
}

fn imported(
    session: &Session<'_>,
    how: ImportOptions,
    place: Place,
    call: Import,
) -> Result<ImportedEntry, Failure> {
    let call = Import {
        user: names::user(&call.user)?,
        allow_weak: how.allow_weak.then_some(true),
        same_person: how.same_person.said(),
        dry_run: how.dry_run.then_some(true),
        ..call
    };
    let reply = session.call(&call)?;
    Ok(ImportedEntry {
        place,
        user: reply.user,
        device: reply.device,
        imported: reply.imported,
        recovery_codes: reply.recovery_codes,
        dry_run: how.dry_run,
    })
}

/// An import under way: calls the daemon, reports each entry, and counts.
struct Moving<'a> {
    context: &'a Context<'a>,
    how: ImportOptions,
    tally: Imports,
    /// Entries that are sent together. They are of different users: two of one user go in the order
    /// of the file.
    waiting: Vec<Candidate>,
}

/// An entry, and what became of it.
struct Tried {
    place: Place,
    user: Option<String>,
    scratch_codes: usize,
    is_first_only: bool,
    outcome: Result<ImportedEntry, Failure>,
}

impl<'a> Moving<'a> {
    fn new(context: &'a Context<'a>, how: ImportOptions) -> Self {
        let tally = Imports {
            dry_run: how.dry_run,
            ..Imports::default()
        };
        Self {
            context,
            how,
            tally,
            waiting: Vec::new(),
        }
    }

    /// Imports one entry, with others.
    ///
    /// # Errors
    /// What would meet all further entries, too.
    fn entry(&mut self, candidate: Candidate) -> Result<(), Failure> {
        let is_of = |other: &Candidate| other.user.is_some() && other.user == candidate.user;
        if self.waiting.len() >= BATCH || self.waiting.iter().any(is_of) {
            self.send()?;
        }
        self.waiting.push(candidate);
        Ok(())
    }

    /// Sends what waits, and reports all of it, also where one failure meets all others.
    fn send(&mut self) -> Result<(), Failure> {
        let waiting = std::mem::take(&mut self.waiting);
        let (daemon, how) = (&self.context.daemon, self.how);
        let ends = |tried: &Tried| tried.outcome.as_ref().is_err_and(concerns_all);
        let begin = || daemon.session();
        let call = |session: &_, candidate: Candidate| candidate.tried(session, how);
        let mut ended = Ok(());
        for tried in at_once(waiting, begin, call, ends) {
            match self.settle(tried) {
                Err(failure) if ended.is_ok() => ended = Err(failure),
                _ => {}
            }
        }
        if matches!(&ended, Err(failure) if !matches!(failure, Failure::Writing(_))) {
            self.stop();
        }
        ended
    }

    fn settle(&mut self, tried: Tried) -> Result<(), Failure> {
        let Tried {
            place,
            user,
            scratch_codes,
            is_first_only,
            outcome,
        } = tried;
        match outcome {
            Ok(imported) => {
                let is_news = imported.imported || self.tells_all(is_first_only);
                self.report(&imported, is_news)?;
                if imported.imported && scratch_codes > 0 {
                    self.note_scratch_codes(&imported, scratch_codes);
                }
                Ok(())
            }
            Err(Failure::Daemon(ClientError::Refused(Error::DeviceExists))) if is_first_only => {
                let is_news = self.tells_all(is_first_only);
                self.leave(&place, user.as_deref(), is_news);
                Ok(())
            }
            Err(failure) if concerns_all(&failure) => Err(failure),
            Err(failure) => {
                self.tally.failed = self.tally.failed.saturating_add(1);
                self.context
                    .report(&LineFailure::new(Some(place), user, &failure))
            }
        }
    }

    /// A timer runs the import of all homes, and its log would have a line a minute for each user
    /// for which nothing happened.
    fn tells_all(&self, is_first_only: bool) -> bool {
        !is_first_only || self.how.dry_run
    }

    fn report(&mut self, imported: &ImportedEntry, is_news: bool) -> Result<(), Failure> {
        let count = if imported.imported {
            &mut self.tally.imported
        } else {
            &mut self.tally.already_there
        };
        *count = count.saturating_add(1);
        if self.context.output.is_for_programs() {
            return self.context.output.line(imported);
        }
        if is_news {
            self.context.output.note(&imported.sentence());
        }
        Ok(())
    }

    /// Says what becomes of the entry's scratch codes.
    fn note_scratch_codes(&self, imported: &ImportedEntry, count: usize) {
        let user = printable(&imported.user);
        let sentence = match imported.recovery_codes.unwrap_or(0) {
            0 => format!(
                "{count} scratch codes are not taken over; to make recovery codes: totpctl recovery-codes {user}"
            ),
            taken => format!("{taken} scratch codes go on as recovery codes"),
        };
        let sentence = imported.place.of(Some(&imported.user), &sentence);
        self.context.output.note(&sentence);
    }

    /// A user that was enrolled before keeps that device.
    fn leave(&mut self, place: &Place, user: Option<&str>, is_news: bool) {
        self.tally.left = self.tally.left.saturating_add(1);
        if is_news {
            let sentence = place.of(
                user,
                "left as it is: the user was enrolled with another key",
            );
            self.context.output.note(&sentence);
        }
    }

    /// Notes how far the import came; the caller prints the failure itself.
    fn stop(&self) {
        if self.tally.imported > 0 || self.tally.already_there > 0 {
            self.context.output.note(&format!(
                "stopped after {}; to continue, import the same file again",
                self.tally
            ));
        }
    }

    /// Sends what still waits, and prints the summary; with `--json` to standard error.
    fn end(mut self) -> Result<Exit, Failure> {
        self.send()?;
        self.context.output.page(&format!("{}\n", self.tally))?;
        Ok(if self.tally.failed > 0 {
            Exit::Refused
        } else {
            Exit::Done
        })
    }
}

/// All of a file, and at most one byte more than any may have.
pub(super) fn bytes_of(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut bytes = Zeroizing::new(Vec::new());
    let most = u64::try_from(MAX_FILE)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    let read = open(path)?.take(most).read_to_end(&mut bytes);
    read.map_err(|error| unreadable(path, &error))?;
    Ok(bytes)
}

/// The file, or standard input for `-`.
fn open(path: &Path) -> Result<File, Failure> {
    let file = if path == Path::new("-") {
        io::stdin().as_fd().try_clone_to_owned().map(File::from)
    } else {
        File::open(path)
    };
    file.map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::File {
        path: path.to_owned(),
        problem: format!("cannot be read: {error}"),
    }
}
