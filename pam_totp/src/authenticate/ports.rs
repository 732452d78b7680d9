//! The traits through which the flow of a login reaches the outside: the application (PAM), and the
//! daemon (provisiond).

#![forbid(unsafe_code)]

use common::secret::SecretText;
use common::wire::client::ClientError;
use common::wire::protocol::{Challenge, ChallengeReply, Verify, VerifyReply};
use pamsm::LogLvl;

/// The application that runs the login, as PAM shows it to a module.
pub trait Application {
    /// The name of the account, byte for byte; libpam asks the user for it if the application did
    /// not set it. `None`: libpam has none.
    fn user(&mut self) -> Option<Vec<u8>>;
    /// The name as it stands now. libpam does not ask for it.
    fn user_now(&self) -> Option<Vec<u8>>;
    /// Where the login comes from. An attacker can choose these texts; they are already cut to a
    /// bounded length.
    fn origin(&self) -> Origin;
    /// Asks the user, and shows the typed text if `echo`. `None`: the conversation failed.
    fn ask(&mut self, prompt: &str, echo: bool) -> Option<SecretText>;
    /// The password that an earlier module or the application left (`PAM_AUTHTOK`), if there is
    /// one.
    fn password(&self) -> Option<SecretText>;
    /// Leaves a password for the modules after this one. `None`: libpam refused it.
    fn leave_password(&mut self, password: &SecretText) -> Option<()>;
    /// Shows the user a sentence, unless the application wants silence.
    fn tell(&mut self, sentence: &str);
    /// Writes a line to the system's log.
    fn log(&self, level: LogLvl, line: &str);
}

/// The daemon. Each call has its own connection and its own deadline.
pub trait Daemon {
    /// What to ask the user for.
    ///
    /// # Errors
    /// The reason why there is no reply.
    fn challenge(&mut self, call: &Challenge) -> Result<ChallengeReply, ClientError>;
    /// The attempt.
    ///
    /// # Errors
    /// The reason why there is no reply.
    fn verify(&mut self, call: &Verify) -> Result<VerifyReply, ClientError>;
}

/// Where a login comes from, according to PAM's items.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// `PAM_SERVICE`.
    pub service: String,
    /// `PAM_RHOST`.
    pub rhost: Option<String>,
    /// `PAM_TTY`.
    pub tty: Option<String>,
}
