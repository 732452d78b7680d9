//! Error messages of totpctl, exit codes, and the error names in JSON: one enum and one table from
//! it to both.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use common::config::ConfigError;
use common::enckey::{CannotOpen, CannotSeal};
use common::lineage::record::BadRecord;
use common::names::device::BadDeviceName;
use common::names::user::BadUserName;
use common::otpauth::BadLabel;
use common::secret::BadKey;
use common::wire::client::ClientError;
use common::wire::protocol::Error;
use common::wire::text::printable;

use crate::cli::Subject;
use crate::refusals;
use crate::render::confirm_command;

/// The exit codes; those above 63 are those of sysexits.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Done = 0,
    Refused = 1,
    BadInput = 2,
    Unreachable = 3,
    NotPermitted = 4,
    NotFound = 5,
    StoreFailed = 70,
    BadSettings = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command failed. `Display` is the sentence that the user reads.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The daemon refused the call, or did not answer.
    #[error(transparent)]
    Daemon(#[from] ClientError),
    /// The daemon refused the call, and [`refusals`] has a sentence with the user's name.
    #[error("{sentence}")]
    Refused {
        /// The daemon's error.
        error: Error,
        /// The sentence with the names.
        sentence: String,
    },
    /// `reload`: the daemon's settings have an error.
    #[error("the daemon keeps its old settings: {0}")]
    BadSettings(String),
    /// `key`: totpctl cannot read the settings.
    #[error(transparent)]
    Settings(#[from] ConfigError),
    /// A record or URI that is malformed or cannot be opened.
    #[error("{0}")]
    BadRecord(String),
    /// A key cannot be sealed.
    #[error(transparent)]
    Seal(#[from] CannotSeal),
    /// A file cannot be read or made.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The reason and the next step.
        problem: String,
    },
    /// `setup`: what is in its way, and the next step.
    #[error("{0}")]
    SetUp(String),
    /// `backup`, `restore` and `migrate`: what provisiond said, and its exit code.
    #[error("{0}")]
    Backup(String, Exit),
    /// A command that only root may run.
    #[error("{0} is for root only: run it with sudo")]
    RootOnly(&'static str),
    /// An invalid name, key, day or number.
    #[error("{0}")]
    BadParameter(String),
    /// Options that clap accepts, but that do not fit together.
    #[error("{0}")]
    Usage(&'static str),
    /// Clap's error, or the text of --help or --version.
    #[error("{}", first_line(.0))]
    CommandLine(Box<clap::Error>),
    /// Standard input ended before the line that totpctl needs.
    #[error("standard input ended before {0} was read: type it, or send it as one line")]
    NoInput(&'static str),
    /// Standard input ended before the first code of a new device.
    #[error(
        "standard input ended before the first code was read: {}'s device '{}' stays pending and opens no login; to confirm it: {}",
        printable(user), printable(device), confirm_command(user, &printable(device))
    )]
    Unconfirmed {
        /// The device's user.
        user: String,
        /// The device's name.
        device: String,
    },
    /// Standard input cannot be read, or a line is too long.
    #[error("cannot read standard input: {0}")]
    Reading(io::Error),
    /// Standard output cannot be written.
    #[error("cannot write standard output: {0}")]
    Writing(io::Error),
}

impl Failure {
    /// Adds the names of the user and device to a refusal of the daemon, if there is a sentence for
    /// it.
    pub(crate) fn about(self, subject: Subject<'_>) -> Self {
        match self {
            Self::Daemon(ClientError::Refused(error)) => match refusals::refusal(&error, subject) {
                Some(sentence) => Self::Refused { error, sentence },
                None => Self::Daemon(error.into()),
            },
            other => other,
        }
    }

    /// The error name in JSON, and the exit code.
    pub(crate) fn code(&self) -> (&'static str, Exit) {
        match self {
            Self::Daemon(ClientError::Refused(error)) | Self::Refused { error, .. } => {
                refusal(error)
            }
            Self::Daemon(ClientError::Unreachable { .. }) => ("unreachable", Exit::Unreachable),
            Self::Daemon(ClientError::WrongServer { .. }) => ("wrong_server", Exit::Unreachable),
            Self::Daemon(ClientError::Deadline) => ("deadline", Exit::Unreachable),
            Self::Daemon(ClientError::Closed | ClientError::Unread) => {
                ("closed", Exit::Unreachable)
            }
            Self::Daemon(ClientError::Protocol(_)) => ("protocol", Exit::Unreachable),
            Self::BadSettings(_) | Self::Settings(_) => ("bad_settings", Exit::BadSettings),
            Self::Seal(CannotSeal::WeakSecret) => ("bad_settings", Exit::BadSettings),
            Self::Seal(CannotSeal::Cost) => ("bad_parameter", Exit::BadInput),
            Self::Seal(CannotSeal::NoRandomness | CannotSeal::Cipher) => {
                ("cannot_seal", Exit::Refused)
            }
            Self::BadRecord(_) => ("bad_record", Exit::BadInput),
            Self::File { .. } => ("file", Exit::BadInput),
            Self::SetUp(_) => ("set_up", Exit::Refused),
            Self::Backup(_, exit) => ("backup", *exit),
            Self::RootOnly(_) => ("permission_denied", Exit::NotPermitted),
            Self::BadParameter(_) => ("bad_parameter", Exit::BadInput),
            Self::Usage(_) => ("usage", Exit::BadInput),
            Self::CommandLine(error) if !error.use_stderr() => ("help", Exit::Done),
            Self::CommandLine(_) => ("usage", Exit::BadInput),
            Self::NoInput(_) | Self::Unconfirmed { .. } => ("no_input", Exit::BadInput),
            Self::Reading(_) => ("input", Exit::BadInput),
            Self::Writing(_) => ("output", Exit::Refused),
        }
    }
}

/// The same for the daemon's errors. Names and numbers are frozen once released.
fn refusal(error: &Error) -> (&'static str, Exit) {
    match error {
        Error::PermissionDenied => ("permission_denied", Exit::NotPermitted),
        Error::NoSuchUser => ("no_such_user", Exit::NotFound),
        Error::UserExists => ("user_exists", Exit::Refused),
        Error::NoSuchDevice => ("no_such_device", Exit::NotFound),
        Error::DeviceExists => ("device_exists", Exit::Refused),
        Error::NotPending => ("not_pending", Exit::Refused),
        Error::ProofRequired { .. } => ("proof_required", Exit::Refused),
        Error::BadParameter { .. } => ("bad_parameter", Exit::BadInput),
        Error::RecordDamaged => ("record_damaged", Exit::StoreFailed),
        Error::StoreUnavailable => ("store_unavailable", Exit::StoreFailed),
        Error::StoreIncomplete => ("store_incomplete", Exit::StoreFailed),
        Error::Busy { .. } => ("busy", Exit::Unreachable),
        Error::TooLarge => ("too_large", Exit::BadInput),
        Error::NotOnARelay => ("not_on_a_relay", Exit::Refused),
        Error::Varlink(_) => ("protocol", Exit::Unreachable),
    }
}

impl From<BadUserName> for Failure {
    fn from(bad: BadUserName) -> Self {
        Self::BadParameter(bad.to_string())
    }
}

impl From<BadDeviceName> for Failure {
    fn from(bad: BadDeviceName) -> Self {
        Self::BadParameter(bad.to_string())
    }
}

impl From<BadKey> for Failure {
    fn from(bad: BadKey) -> Self {
        Self::BadParameter(bad.to_string())
    }
}

impl From<BadLabel> for Failure {
    fn from(bad: BadLabel) -> Self {
        Self::BadParameter(bad.to_string())
    }
}

impl From<BadRecord> for Failure {
    fn from(bad: BadRecord) -> Self {
        Self::BadRecord(bad.to_string())
    }
}

impl From<import::BadFile> for Failure {
    fn from(bad: import::BadFile) -> Self {
        Self::BadRecord(bad.to_string())
    }
}

impl From<import::Problem> for Failure {
    fn from(bad: import::Problem) -> Self {
        Self::BadRecord(bad.to_string())
    }
}

impl From<CannotOpen> for Failure {
    fn from(bad: CannotOpen) -> Self {
        Self::BadRecord(bad.to_string())
    }
}

/// The first line of clap's error without "error: ", and the list below it, if it has one.
fn first_line(error: &clap::Error) -> String {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand
    ) {
        return "the command is missing: '--help' lists all commands".to_owned();
    }
    let text = error.render().to_string();
    let mut lines = text.lines();
    let line = lines.next().unwrap_or_default();
    let line = line.strip_prefix("error: ").unwrap_or(line);
    let listed: Vec<&str> = lines
        .take_while(|line| line.starts_with("  "))
        .map(str::trim)
        .collect();
    if line.ends_with(':') {
        format!("{line} {}", listed.join(", "))
    } else {
        line.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use common::wire::protocol::Ask;

    use super::*;

    #[test]
    fn every_refusal_of_the_daemon_has_a_name_and_an_exit_code() {
        for (error, name, exit) in [
            (Error::PermissionDenied, "permission_denied", 4),
            (Error::NoSuchUser, "no_such_user", 5),
            (Error::NoSuchDevice, "no_such_device", 5),
            (Error::DeviceExists, "device_exists", 1),
            (Error::NotPending, "not_pending", 1),
            (
                Error::ProofRequired { ask: Ask::OneCode },
                "proof_required",
                1,
            ),
            (Error::bad("digits", "6 to 10"), "bad_parameter", 2),
            (Error::RecordDamaged, "record_damaged", 70),
            (Error::StoreUnavailable, "store_unavailable", 70),
            (Error::StoreIncomplete, "store_incomplete", 70),
            (Error::busy("wait"), "busy", 3),
            (Error::TooLarge, "too_large", 2),
            (Error::NotOnARelay, "not_on_a_relay", 1),
            (
                Error::Varlink("org.varlink.service.MethodNotFound".into()),
                "protocol",
                3,
            ),
        ] {
            let (found, code) = Failure::from(ClientError::from(error)).code();
            assert_eq!((found, code as u8), (name, exit));
        }
    }

    #[test]
    fn a_daemon_that_cannot_be_asked_is_exit_code_3() {
        for error in [
            ClientError::Unreachable {
                path: "/s".into(),
                errno: nix::errno::Errno::ENOENT,
            },
            ClientError::WrongServer {
                found: 1000,
                expected: 0,
            },
            ClientError::Deadline,
            ClientError::Closed,
            ClientError::Unread,
            ClientError::Protocol("nonsense".into()),
        ] {
            assert_eq!(Failure::from(error).code().1, Exit::Unreachable);
        }
    }

    #[test]
    fn who_was_not_confirmed_hears_how_it_goes_on() {
        let failure = Failure::Unconfirmed {
            user: "al ice".into(),
            device: "phone".into(),
        };
        assert_eq!(failure.code(), ("no_input", Exit::BadInput));
        assert_eq!(
            failure.to_string(),
            "standard input ended before the first code was read: al ice's device 'phone' stays pending and opens no login; \
             to confirm it: totpctl confirm 'al ice' --device phone"
        );
    }

    #[test]
    fn what_cannot_be_read_is_exit_code_2_and_settings_are_78() {
        for (failure, name, exit) in [
            (Failure::from(BadRecord::NoKey), "bad_record", 2),
            (Failure::from(CannotOpen), "bad_record", 2),
            (Failure::from(BadLabel), "bad_parameter", 2),
            (Failure::from(CannotSeal::Cost), "bad_parameter", 2),
            (Failure::from(CannotSeal::WeakSecret), "bad_settings", 78),
            (
                Failure::File {
                    path: "/x".into(),
                    problem: "exists".into(),
                },
                "file",
                2,
            ),
        ] {
            let (found, code) = failure.code();
            assert_eq!((found, code as u8), (name, exit));
        }
    }

    #[test]
    fn the_help_that_was_asked_for_is_no_failure() {
        let asked = |words: &[&str]| {
            crate::cli::parse(words.iter().map(std::ffi::OsString::from)).unwrap_err()
        };
        assert_eq!(asked(&["totpctl", "--help"]).code().1, Exit::Done);
        assert_eq!(asked(&["totpctl"]).code(), ("usage", Exit::BadInput));
        let failure = asked(&["totpctl", "lst"]);
        assert_eq!(
            (failure.code(), failure.to_string().as_str()),
            (("usage", Exit::BadInput), "unrecognized subcommand 'lst'")
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        let missing = |words: &[&str]| {
            crate::cli::parse(words.iter().map(std::ffi::OsString::from))
                .unwrap_err()
                .to_string()
        };
        let said = "the following required arguments were not provided: ";
        assert_eq!(
            missing(&["totpctl", "key", "match"]),
            format!("{said}--code <CODE>")
        );
        assert_eq!(
            missing(&["totpctl", "import", "passlib"]),
            format!("{said}<FILE>")
        );
    }
}
