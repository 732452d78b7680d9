//! Runs the commands: dispatch to one file per command; asking for a proof; its prompts.
//!
//! Each command calls the daemon and asks the user for codes. `key` calls no daemon.

pub(crate) mod apply;
mod backup;
mod completions;
mod confirm;
mod daemon;
mod devices;
mod doctor;
mod drawing;
mod enroll;
mod export;
#[cfg(feature = "fleet")]
mod fleet;
mod forget;
mod gc;
mod grace;
mod import;
mod key;
mod lists;
mod log;
mod many;
mod metrics;
mod migrate;
mod names;
mod recovery;
mod rename;
mod restrict;
mod resync;
mod rotate;
mod show;
mod try_login;
mod verify;

use common::secret::SecretText;
use common::wire::client::ClientError;
use common::wire::event::Event;
use common::wire::protocol::{Ask, Error, Events, Verdict};
use common::wire::text::printable;
use nix::unistd::geteuid;

use crate::cli::{Cli, Command, StoreCommand};
use crate::daemon::Daemon;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::prompt::Prompt;
use crate::render::moving::LineFailure;
use crate::setup;

/// What every command works with.
pub(crate) struct Context<'a> {
    pub(crate) daemon: Daemon,
    pub(crate) prompt: Prompt,
    pub(crate) output: &'a Output,
}

/// Runs the command of the command line.
pub(crate) fn run(mut cli: Cli, output: &Output) -> Result<Exit, Failure> {
    names::fill_in(&mut cli.command)?;
    let context = Context {
        daemon: Daemon::of(&cli),
        prompt: Prompt::open()?,
        output,
    };
    act(&context, &cli.command).map_err(|failure| failure.about(cli.command.subject()))
}

fn act(context: &Context<'_>, command: &Command) -> Result<Exit, Failure> {
    match command {
        Command::Enroll(wanted) => enroll::run(context, wanted),
        Command::Confirm(wanted) => confirm::run(context, wanted),
        Command::Verify(wanted) => verify::run(context, wanted),
        Command::Try(wanted) => try_login::run(context, wanted),
        Command::Show(user) => show::one(context, user),
        Command::List(list) => show::all(context, list),
        Command::Why(wanted) => log::why(context, wanted),
        Command::Log(wanted) => log::log(context, wanted),
        Command::Disable(wanted) => devices::disable(context, wanted),
        Command::Enable(wanted) => devices::enable(context, wanted),
        Command::Revoke(wanted) => devices::revoke(context, wanted),
        Command::RenameDevice(wanted) => rename::device(context, wanted),
        Command::RenameUser(wanted) => rename::user(context, wanted),
        Command::Forget(wanted) => forget::run(context, wanted),
        Command::Gc(wanted) => gc::run(context, wanted),
        Command::Resync(target) => resync::run(context, target),
        Command::Restrict(wanted) => restrict::run(context, wanted),
        Command::RecoveryCodes(wanted) => recovery::recovery_codes(context, wanted),
        Command::Bypass(wanted) => recovery::bypass(context, wanted),
        Command::Ticket(wanted) => recovery::ticket(context, wanted),
        Command::RevokeGrace(user) => grace::revoke(context, user),
        Command::Unlock { user } => recovery::unlock(context, user),
        Command::Apply(wanted) => apply::run(context, wanted),
        Command::Import(wanted) => import::run(context, wanted),
        Command::Export(wanted) => export::run(context, wanted),
        Command::Key(wanted) => key::run(context, wanted),
        Command::Setup(wanted) => setup::run(context, wanted),
        Command::Completions(wanted) => completions::run(context, wanted),
        Command::Status(wanted) => daemon::status(context, wanted),
        Command::Metrics(wanted) => metrics::run(context, wanted),
        Command::Doctor(wanted) => doctor::run(context, wanted),
        Command::Rotate(wanted) => rotate::run(context, wanted),
        Command::Backup(wanted) => backup::backup(context, wanted),
        Command::Restore(wanted) => backup::restore(context, wanted),
        Command::Migrate(wanted) => migrate::run(context, wanted),
        #[cfg(feature = "fleet")]
        Command::Fleet(wanted) => fleet::run(context, wanted),
        Command::Reload => daemon::reload(context),
        Command::ClockAccept => daemon::clock_accept(context),
        Command::Store(StoreCommand::AcceptLoss) => daemon::store_accept_loss(context),
    }
}

impl Context<'_> {
    /// Makes a call for which the daemon may want a proof. The user is asked only then:
    /// administrators need none, and only the daemon knows which callers are administrators.
    fn with_proof<R>(
        &self,
        call: impl Fn(Option<SecretText>) -> Result<R, ClientError>,
    ) -> Result<R, Failure> {
        let ask = match call(None) {
            Err(ClientError::Refused(Error::ProofRequired { ask })) => ask,
            answer => return Ok(answer?),
        };
        Ok(call(Some(self.proof(proof_prompt(ask), ask)?))?)
    }

    /// Asks for a proof; fails at the end of standard input.
    fn proof(&self, prompt: &str, ask: Ask) -> Result<SecretText, Failure> {
        self.prompt
            .ask(prompt)?
            .ok_or_else(|| ClientError::Refused(Error::ProofRequired { ask }).into())
    }

    /// Asks for a code; fails at the end of standard input.
    fn code(&self, prompt: &str) -> Result<SecretText, Failure> {
        self.prompt.ask(prompt)?.ok_or(Failure::NoInput("a code"))
    }

    /// The number of the daemon's last event.
    pub(crate) fn last_event(&self) -> Result<u64, Failure> {
        let last = self.events(&Events {
            limit: Some(1),
            ..Events::default()
        })?;
        Ok(last
            .iter()
            .map(|event| event.number)
            .max()
            .unwrap_or_default())
    }

    /// The daemon's events about a user.
    pub(crate) fn events_about(&self, user: &str) -> Result<Vec<Event>, Failure> {
        self.events(&Events {
            user: Some(user.to_owned()),
            ..Events::default()
        })
    }

    fn events(&self, wanted: &Events) -> Result<Vec<Event>, Failure> {
        let replies = self.daemon.call_more(wanted)?;
        Ok(replies
            .into_iter()
            .filter_map(|reply| reply.event)
            .collect())
    }

    /// Warns about a name without an account. It is no error: the account may be made later, or on
    /// another machine.
    fn warn_without_account(&self, user: &str) {
        if let Ok(None) = nix::unistd::User::from_name(user) {
            self.output.note(&format!(
                "warning: this machine has no account '{}'",
                printable(user)
            ));
        }
    }

    /// Reports the failure of one line or user among many: as a note, and to a program as a line of
    /// JSON.
    fn report(&self, failed: &LineFailure) -> Result<(), Failure> {
        self.output.note(&failed.sentence());
        if self.output.is_for_programs() {
            self.output.line(failed)
        } else {
            Ok(())
        }
    }
}

/// Refuses a command to users that are not root.
pub(crate) fn expect_root(command: &'static str) -> Result<(), Failure> {
    match geteuid().is_root() {
        true => Ok(()),
        false => Err(Failure::RootOnly(command)),
    }
}

/// Whether the failure of one line or user would meet all others too.
fn concerns_all(failure: &Failure) -> bool {
    match failure {
        Failure::Daemon(ClientError::Refused(error)) | Failure::Refused { error, .. } => {
            matches!(
                error,
                Error::PermissionDenied
                    | Error::StoreUnavailable
                    | Error::StoreIncomplete
                    | Error::Varlink(_)
            )
        }
        Failure::BadParameter(_) | Failure::BadRecord(_) => false,
        _ => true,
    }
}

/// Success only if a login would not be refused.
fn exit_of(verdict: Verdict) -> Exit {
    if matches!(verdict, Verdict::Accepted | Verdict::Exempt) {
        Exit::Done
    } else {
        Exit::Refused
    }
}

fn proof_prompt(ask: Ask) -> &'static str {
    match ask {
        Ask::OneCode | Ask::Ticket | Ask::FirstDevice | Ask::Nothing => {
            "As proof, type a code of an active device, a recovery code or a ticket: "
        }
        Ask::TwoCodes => {
            "As proof, type two consecutive codes of an active device on one line, or a recovery code: "
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Subject;

    #[test]
    fn only_what_concerns_all_stops_the_others() {
        for error in [
            Error::PermissionDenied,
            Error::StoreUnavailable,
            Error::StoreIncomplete,
        ] {
            assert!(concerns_all(&ClientError::from(error).into()));
        }
        assert!(concerns_all(&ClientError::Deadline.into()));
        for error in [
            Error::bad("record", "no"),
            Error::NoSuchUser,
            Error::DeviceExists,
            Error::RecordDamaged,
            Error::busy("wait"),
        ] {
            assert!(!concerns_all(&ClientError::from(error.clone()).into()));
            let of_alice = Subject {
                user: Some("alice"),
                ..Subject::default()
            };
            let named = Failure::from(ClientError::from(error)).about(of_alice);
            assert!(!concerns_all(&named), "{named}");
        }
        assert!(!concerns_all(&Failure::BadParameter("no name".into())));
    }
}
