//! The actions: each asks the daemon, and asks the person for what the daemon needs. Those of `key` ask no daemon.

mod confirm;
mod daemon;
mod devices;
mod drawing;
mod enroll;
mod export;
mod forget;
mod grace;
mod import;
mod key;
mod log;
mod recovery;
mod rename;
mod restrict;
mod resync;
mod show;
mod verify;

use common::client::ClientError;
use common::device::DeviceName;
use common::protocol::{DeviceState, Error, Verdict};
use common::secret::SecretText;
use common::user::UserName;

use crate::cli::{Cli, Command, Export, Import, Target};
use crate::daemon::Daemon;
use crate::exit::{Exit, Failure};
use crate::keyboard::Keyboard;
use crate::screen::Screen;

/// What every action works with.
struct Context<'a> {
    daemon: Daemon,
    keyboard: Keyboard,
    screen: &'a Screen,
}

/// Does what the command line says.
pub(crate) fn run(cli: &Cli, screen: &Screen) -> Result<Exit, Failure> {
    let context = Context { daemon: Daemon::of(cli), keyboard: Keyboard::open()?, screen };
    match &cli.command {
        Command::Enroll(wanted) => enroll::run(&context, wanted),
        Command::Confirm(target) => confirm::run(&context, target),
        Command::Verify(wanted) => verify::run(&context, wanted),
        Command::Show { user } => show::one(&context, user.as_deref()),
        Command::List(list) => show::all(&context, list),
        Command::Why(wanted) => log::why(&context, wanted),
        Command::Log(wanted) => log::log(&context, wanted),
        Command::Disable(part) => devices::set(&context, part, DeviceState::Disabled),
        Command::Enable(part) => devices::set(&context, part, DeviceState::Active),
        Command::Revoke(target) => devices::revoke(&context, target),
        Command::RenameDevice(wanted) => rename::device(&context, wanted),
        Command::RenameUser { user, new } => rename::user(&context, user, new),
        Command::Forget { user, yes } => forget::run(&context, user, *yes),
        Command::Resync(target) => resync::run(&context, target),
        Command::Restrict(wanted) => restrict::run(&context, wanted),
        Command::RecoveryCodes { user } => recovery::recovery_codes(&context, user.as_deref()),
        Command::Bypass(wanted) => recovery::bypass(&context, wanted),
        Command::Ticket(wanted) => recovery::ticket(&context, wanted),
        Command::RevokeGrace { user } => grace::revoke(&context, user.as_deref()),
        Command::Unlock { user } => recovery::unlock(&context, user),
        Command::Import(Import::Passlib { file }) => import::passlib(&context, file),
        Command::Export(Export::Passlib { users }) => export::passlib(&context, users),
        Command::Key(wanted) => key::run(&context, wanted),
        Command::Status => daemon::status(&context),
        Command::Reload => daemon::reload(&context),
        Command::ClockAccept => daemon::clock_accept(&context),
    }
}

impl Context<'_> {
    /// Makes a call for which the daemon may want a proof first. It is asked for only then: administrators need
    /// none, and which caller is one is the daemon's knowledge.
    fn with_proof<R>(&self, call: impl Fn(Option<SecretText>) -> Result<R, ClientError>) -> Result<R, Failure> {
        match call(None) {
            Err(ClientError::Refused(Error::ProofRequired)) => {}
            answer => return Ok(answer?),
        }
        match self.keyboard.ask(PROOF_PROMPT)? {
            Some(proof) => Ok(call(Some(proof))?),
            None => Err(ClientError::Refused(Error::ProofRequired).into()),
        }
    }

    /// Asks for a code, which must come.
    fn code(&self, prompt: &str) -> Result<SecretText, Failure> {
        self.keyboard.ask(prompt)?.ok_or(Failure::NoInput("a code"))
    }
}

impl Target {
    /// The names, if they can be names at all.
    fn names(&self) -> Result<(UserName, Option<DeviceName>), Failure> {
        Ok((UserName::new(&self.user)?, device_name(self.device.as_deref())?))
    }
}

/// A device's name, if one was given and can be one.
fn device_name(given: Option<&str>) -> Result<Option<DeviceName>, Failure> {
    Ok(given.map(DeviceName::new).transpose()?)
}

/// A name as it is sent.
fn sent(name: Option<&DeviceName>) -> Option<String> {
    name.map(|name| name.as_str().to_owned())
}

/// Only where nobody would be refused is it a success.
fn exit_of(verdict: Verdict) -> Exit {
    if matches!(verdict, Verdict::Accepted | Verdict::Exempt) { Exit::Done } else { Exit::Refused }
}

const PROOF_PROMPT: &str = "This needs a code of an active device, a recovery code, or a ticket: ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_before_anything_is_sent() {
        let target = |user: &str, device: Option<&str>| Target { user: user.into(), device: device.map(Into::into) };
        assert!(target("alice", Some("phone")).names().is_ok());
        for (user, device) in [("a/b", None), ("", None), ("alice", Some("my phone"))] {
            let failure = target(user, device).names().unwrap_err();
            assert_eq!(failure.code(), ("bad_parameter", Exit::BadInput));
        }
    }
}
