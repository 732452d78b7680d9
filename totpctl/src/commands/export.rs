//! `export`: prints the devices of some or all users. passlib's records are here, one per line, in
//! the format of `import passlib`; `plain` has the other formats.

mod plain;

use common::wire::protocol::{Export, List};
use common::wire::text::printable;

use super::show::users;
use super::{Context, concerns_all, names};
use crate::cli::ExportCommand;
use crate::exit::{Exit, Failure};
use crate::render::moving::{ExportedLine, LineFailure};

/// Exports what the command line names.
pub(super) fn run(context: &Context<'_>, command: &ExportCommand) -> Result<Exit, Failure> {
    match command {
        ExportCommand::Passlib { users } => passlib(context, users),
        ExportCommand::Otpauth { users } => plain::lines(context, users, plain::Form::Otpauth),
        ExportCommand::UsersOath { users } => plain::lines(context, users, plain::Form::UsersOath),
        ExportCommand::GoogleAuthenticator { user, device } => {
            plain::file(context, user, device.as_deref())
        }
    }
}

fn passlib(context: &Context<'_>, users: &[String]) -> Result<Exit, Failure> {
    let mut exporting = Exporting::new(context);
    for user in named(context, users)? {
        exporting.count(&user, records(context, &user))?;
    }
    exporting.end()
}

/// An export under way. A user that cannot be exported does not stop the others.
struct Exporting<'a> {
    context: &'a Context<'a>,
    exit: Exit,
    devices: usize,
    failed: usize,
}

impl<'a> Exporting<'a> {
    fn new(context: &'a Context<'a>) -> Self {
        Self {
            context,
            exit: Exit::Done,
            devices: 0,
            failed: 0,
        }
    }

    /// Counts the devices of one user.
    ///
    /// # Errors
    /// What would meet all further users, too.
    fn count(&mut self, user: &str, exported: Result<usize, Failure>) -> Result<(), Failure> {
        match exported {
            Ok(count) => self.devices = self.devices.saturating_add(count),
            Err(failure) if concerns_all(&failure) => return Err(failure),
            Err(failure) => {
                let line = LineFailure::new(None, Some(user.to_owned()), &failure);
                self.context.report(&line)?;
                self.failed = self.failed.saturating_add(1);
                if self.exit == Exit::Done {
                    self.exit = failure.code().1;
                }
            }
        }
        Ok(())
    }

    fn end(&self) -> Result<Exit, Failure> {
        self.context.output.note(&format!(
            "{} exported, {} failed; the records hold keys: keep them private",
            self.devices, self.failed
        ));
        Ok(self.exit)
    }
}

/// The named users, or all.
fn named(context: &Context<'_>, users: &[String]) -> Result<Vec<String>, Failure> {
    if users.is_empty() {
        all_users(context)
    } else {
        checked(users)
    }
}

/// The names of all users, before anything is printed: an incomplete export must not look complete.
fn all_users(context: &Context<'_>) -> Result<Vec<String>, Failure> {
    Ok(users(context, &List::default())?
        .into_iter()
        .map(|user| user.user)
        .collect())
}

fn checked(users: &[String]) -> Result<Vec<String>, Failure> {
    users.iter().map(|user| names::user(user)).collect()
}

/// Prints a user's records. Returns their number.
fn records(context: &Context<'_>, user: &str) -> Result<usize, Failure> {
    let reply = context.daemon.call_slowly(&Export {
        user: user.to_owned(),
        plain: None,
    })?;
    if !reply.records.is_empty() {
        context.output.will_hold_secrets();
    }
    for exported in &reply.records {
        context
            .output
            .line(&ExportedLine::new(&reply.user, exported))?;
    }
    for device in &reply.left_out {
        context.left_out(&reply.user, device, "passlib has no HOTP devices");
    }
    Ok(reply.records.len())
}

impl Context<'_> {
    /// Notes that a device was not exported, and why.
    fn left_out(&self, user: &str, device: &str, why: &str) {
        let (user, device) = (printable(user), printable(device));
        let sentence = format!("{user}: device '{device}' was not exported: {why}");
        self.output.note(&sentence);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_before_anything_is_printed() {
        assert_eq!(
            checked(&["alice".into(), "bob".into()]).unwrap(),
            ["alice", "bob"]
        );
        assert_eq!(
            checked(&["alice".into(), "a/b".into()])
                .unwrap_err()
                .code()
                .1,
            Exit::BadInput
        );
    }
}
