//! The two sides of a login: the application that runs it, and the daemon that judges it.

#![forbid(unsafe_code)]

use common::secret::SecretText;
use common::wire::client::ClientError;
use common::wire::protocol::{Challenge, ChallengeReply, Verify, VerifyReply};
use pamsm::LogLvl;

/// The application that runs the login, as PAM shows it to a module.
pub trait Application {
    /// The name of the account, byte for byte; libpam asks for it if the application left it open. `None`: it could
    /// not be had.
    fn user(&mut self) -> Option<Vec<u8>>;
    /// The name as it stands now. Nobody is asked.
    fn user_now(&self) -> Option<Vec<u8>>;
    /// Where the login comes from. All of it is strangers' text, already cut to a decent length.
    fn origin(&self) -> Origin;
    /// Asks the person, and shows what is typed if `echo`. `None`: the conversation failed.
    fn ask(&mut self, prompt: &str, echo: bool) -> Option<SecretText>;
    /// The password that a module before us or the application left (`PAM_AUTHTOK`), if there is one.
    fn password(&self) -> Option<SecretText>;
    /// Leaves a password for the modules after us. `None`: it could not be left.
    fn leave_password(&mut self, password: &SecretText) -> Option<()>;
    /// Says something to the person, unless the application wants silence.
    fn tell(&mut self, sentence: &str);
    /// Writes a line to the system's log.
    fn log(&self, level: LogLvl, line: &str);
}

/// The daemon. Each call is a connection of its own with its own deadline.
pub trait Daemon {
    /// What to ask the person for.
    ///
    /// # Errors
    /// Why there is no reply.
    fn challenge(&mut self, call: &Challenge) -> Result<ChallengeReply, ClientError>;
    /// The attempt.
    ///
    /// # Errors
    /// Why there is no reply.
    fn verify(&mut self, call: &Verify) -> Result<VerifyReply, ClientError>;
}

/// Where a login comes from, as PAM's items tell it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// `PAM_SERVICE`.
    pub service: String,
    /// `PAM_RHOST`.
    pub rhost: Option<String>,
    /// `PAM_TTY`.
    pub tty: Option<String>,
}
