//! `import`: sends each entry of a file to the daemon, in a call of its own, so that a bad entry
//! does not stop the others.
//!
//! `passlib` reads passlib's lines, `foreign` the formats of the crate `import`, and `homes` the
//! files in the home folders.

mod foreign;
mod homes;
mod passlib;

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use common::wire::client::ClientError;
use common::wire::protocol::{Error, Import};
use common::wire::text::printable;

use super::{Context, concerns_all, names};
use crate::cli::{ImportCommand, ImportFile, ImportOptions, LabelledFile};
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
    call: Result<Import, Failure>,
}

/// An import under way: calls the daemon, reports each entry, and counts.
struct Moving<'a> {
    context: &'a Context<'a>,
    how: ImportOptions,
    tally: Imports,
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
        }
    }

    /// Imports one entry.
    ///
    /// # Errors
    /// What would meet all further entries, too.
    fn entry(&mut self, candidate: Candidate) -> Result<(), Failure> {
        let Candidate {
            place,
            user,
            scratch_codes,
            call,
        } = candidate;
        let is_first_only = matches!(&call, Ok(call) if call.first_only == Some(true));
        match call.and_then(|call| self.imported(place.clone(), call)) {
            Ok(imported) => {
                self.report(&imported)?;
                if imported.imported && scratch_codes > 0 {
                    self.note_scratch_codes(&imported, scratch_codes);
                }
                Ok(())
            }
            Err(Failure::Daemon(ClientError::Refused(Error::DeviceExists))) if is_first_only => {
                self.leave(&place, user.as_deref());
                Ok(())
            }
            Err(failure) if concerns_all(&failure) => {
                self.stop();
                Err(failure)
            }
            Err(failure) => {
                self.tally.failed = self.tally.failed.saturating_add(1);
                self.context
                    .report(&LineFailure::new(Some(place), user, &failure))
            }
        }
    }

    fn imported(&self, place: Place, call: Import) -> Result<ImportedEntry, Failure> {
        let call = Import {
            user: names::user(&call.user)?,
            allow_weak: self.how.allow_weak.then_some(true),
            same_person: self.how.same_person.said(),
            dry_run: self.how.dry_run.then_some(true),
            ..call
        };
        let reply = self.context.daemon.call(&call)?;
        Ok(ImportedEntry {
            place,
            user: reply.user,
            device: reply.device,
            imported: reply.imported,
            recovery_codes: reply.recovery_codes,
            dry_run: self.how.dry_run,
        })
    }

    fn report(&mut self, imported: &ImportedEntry) -> Result<(), Failure> {
        let count = if imported.imported {
            &mut self.tally.imported
        } else {
            &mut self.tally.already_there
        };
        *count = count.saturating_add(1);
        if self.context.output.is_for_programs() {
            return self.context.output.line(imported);
        }
        self.context.output.note(&imported.sentence());
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
    fn leave(&mut self, place: &Place, user: Option<&str>) {
        self.tally.left = self.tally.left.saturating_add(1);
        let sentence = place.of(
            user,
            "left as it is: the user was enrolled with another key",
        );
        self.context.output.note(&sentence);
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

    /// Prints the summary; with `--json` to standard error.
    fn end(&self) -> Result<Exit, Failure> {
        self.context.output.page(&format!("{}\n", self.tally))?;
        Ok(if self.tally.failed > 0 {
            Exit::Refused
        } else {
            Exit::Done
        })
    }
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
