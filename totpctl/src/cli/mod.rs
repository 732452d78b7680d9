//! The command line: the list of commands, the options of every command, general help; refuses
//! codes in arguments.
//!
//! Each command's own arguments and help are in the file of its group. `commands` checks names
//! later.

mod apply;
mod backup;
mod codes;
mod completions;
mod devices;
mod doctor;
mod enroll;
mod export;
#[cfg(feature = "fleet")]
mod fleet;
mod import;
mod key;
mod key_options;
mod log;
#[cfg(test)]
mod manual;
mod metrics;
mod migrate;
mod picture_options;
mod recovery;
mod rotate;
mod setup;
mod store;
mod subject;
mod try_login;
mod users;
mod value_parsers;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue};
use clap::{Args, Parser, Subcommand};
use common::issued::IssuedCode;
use common::lineage::uri::SCHEME;
use common::secret;

pub(crate) use self::apply::ApplyArgs;
pub(crate) use self::backup::{BackupArgs, DaemonSettings, RestoreArgs};
pub(crate) use self::codes::{ConfirmArgs, NO_SERVICE, VerifyArgs};
pub(crate) use self::completions::CompletionsArgs;
pub(crate) use self::devices::{
    DisableArgs, EnableArgs, RenameDeviceArgs, RestrictArgs, RestrictionArgs, RevokeArgs, StateArgs,
};
pub(crate) use self::doctor::DoctorArgs;
pub(crate) use self::enroll::EnrollArgs;
pub(crate) use self::export::ExportCommand;
#[cfg(feature = "fleet")]
pub(crate) use self::fleet::{
    AddHostArgs, AddVerifierArgs, FleetCommand, HostCommand, InitArgs, ListFleetArgs,
    NewCertificate, RevokeHostArgs, VerifierCommand,
};
pub(crate) use self::import::{ImportCommand, ImportFile, ImportOptions, LabelledFile};
pub(crate) use self::key::{
    Format, KeyAction, KeyArgs, MatchArgs, NewKeyArgs, PrettyArgs, SealArgs, UriArgs,
};
pub(crate) use self::key_options::KeyOptions;
pub(crate) use self::log::{LogArgs, WhyArgs};
pub(crate) use self::metrics::MetricsArgs;
pub(crate) use self::migrate::MigrateArgs;
pub(crate) use self::picture_options::PictureOptions;
pub(crate) use self::recovery::{BypassArgs, RecoveryArgs, TicketArgs};
pub(crate) use self::rotate::RotateArgs;
pub(crate) use self::setup::{Mode, SetupArgs, Target};
pub(crate) use self::store::StoreCommand;
pub(crate) use self::subject::Subject;
pub(crate) use self::try_login::TryArgs;
pub(crate) use self::users::{ForgetArgs, GcArgs, ListArgs, RenameUserArgs};
use crate::exit::Failure;

/// Enrol authenticators for logins; show and change enrolled users.
#[derive(Debug, Parser)]
#[command(name = "totpctl", version, after_help = EXAMPLES, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// Socket of the daemon [default: in /run/pam-totp,
    /// login.sock for root and provisiond.sock for other users]
    #[arg(long, global = true, value_name = "PATH", help_heading = GLOBAL, verbatim_doc_comment)]
    pub(crate) socket: Option<PathBuf>,
    /// The uid that must listen on the socket, for private daemons.
    #[arg(
        long,
        global = true,
        value_name = "UID",
        default_value_t = 0,
        hide = true
    )]
    pub(crate) server_uid: u32,
    /// Print one JSON object on standard output
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Enrol a new device: print its QR code, ask for its first code
    #[command(after_help = enroll::EXAMPLES)]
    Enroll(EnrollArgs),
    /// Activate a pending device with its first code
    #[command(after_help = codes::CONFIRM_EXAMPLES)]
    Confirm(ConfirmArgs),
    /// Try a code: a real login attempt, which spends the code
    #[command(after_help = codes::VERIFY_EXAMPLES)]
    Verify(VerifyArgs),
    /// Play a login through PAM: without a code, then with one
    #[command(after_help = try_login::EXAMPLES)]
    Try(TryArgs),
    /// Show a user's devices
    #[command(after_help = users::SHOW_EXAMPLES)]
    Show(OptionalUser),
    /// List users with a record, or users without an active device
    #[command(after_help = users::LIST_EXAMPLES)]
    List(ListArgs),
    /// Explain why a user's logins were refused, and what to do
    #[command(after_help = log::WHY_EXAMPLES)]
    Why(WhyArgs),
    /// Show the event log: every verdict and every change
    #[command(after_help = log::LOG_EXAMPLES)]
    Log(LogArgs),
    /// Disable a device or the account; it can be enabled again
    #[command(after_help = devices::DISABLE_EXAMPLES)]
    Disable(DisableArgs),
    /// Enable a disabled device or account again
    #[command(after_help = devices::ENABLE_EXAMPLES)]
    Enable(EnableArgs),
    /// Delete a device and its key permanently
    #[command(after_help = devices::REVOKE_EXAMPLES)]
    Revoke(RevokeArgs),
    /// Rename a device
    #[command(after_help = devices::RENAME_EXAMPLES)]
    RenameDevice(RenameDeviceArgs),
    /// Resynchronise a device whose clock or counter is off
    #[command(after_help = codes::RESYNC_EXAMPLES)]
    Resync(DeviceTarget),
    /// Restrict a device to certain days and PAM services
    #[command(after_help = devices::RESTRICT_EXAMPLES)]
    Restrict(RestrictArgs),
    /// Make new recovery codes; the old ones become invalid
    #[command(after_help = recovery::CODES_EXAMPLES)]
    RecoveryCodes(RecoveryArgs),
    /// Issue a temporary login code for an enrolled user
    #[command(after_help = recovery::BYPASS_EXAMPLES)]
    Bypass(BypassArgs),
    /// Issue a code with which a user enrols a first device
    #[command(after_help = recovery::TICKET_EXAMPLES)]
    Ticket(TicketArgs),
    /// End a grace period: the next login asks for a code
    #[command(after_help = users::GRACE_EXAMPLES)]
    RevokeGrace(OptionalUser),
    /// Restore a user's guesses: one code is enough again
    #[command(after_help = users::UNLOCK_EXAMPLES)]
    Unlock {
        /// Account name
        #[arg(value_name = "USER")]
        user: String,
    },
    /// Move a user's record to the account's new name
    #[command(after_help = users::RENAME_EXAMPLES)]
    RenameUser(RenameUserArgs),
    /// Delete a user's record with all devices and codes
    #[command(after_help = users::FORGET)]
    Forget(ForgetArgs),
    /// Find users that have no account any more, and disable them
    #[command(after_help = users::GC_EXAMPLES)]
    Gc(GcArgs),
    /// Make users and devices what a YAML file says
    #[command(after_help = apply::EXAMPLES)]
    Apply(ApplyArgs),
    /// Import users from another system
    #[command(subcommand)]
    Import(ImportCommand),
    /// Export users to another system
    #[command(subcommand)]
    Export(ExportCommand),
    /// Make sshd, sudo, su or login ask for codes
    #[command(after_help = setup::EXAMPLES)]
    Setup(SetupArgs),
    /// Show the state of the daemon
    #[command(after_help = STATUS_EXAMPLES)]
    Status(StatusArgs),
    /// Print the daemon's metrics for Prometheus
    #[command(after_help = metrics::EXAMPLES)]
    Metrics(MetricsArgs),
    /// Find logins without a code, and lock-outs, in PAM and sshd
    #[command(after_help = doctor::EXAMPLES)]
    Doctor(DoctorArgs),
    /// Seal all keys under a new application secret
    #[command(after_help = rotate::EXAMPLES)]
    Rotate(RotateArgs),
    /// Make the daemon read its settings again
    #[command(after_help = RELOAD_EXAMPLES)]
    Reload,
    /// Accept the machine's clock as right
    #[command(after_help = CLOCK_HELP)]
    ClockAccept,
    /// Decide about a store from which users may be missing
    #[command(subcommand)]
    Store(StoreCommand),
    /// Write a backup of the store, or check one (root only)
    #[command(after_help = backup::BACKUP_EXAMPLES)]
    Backup(BackupArgs),
    /// Put a backup in the place of the store (root only)
    #[command(after_help = backup::RESTORE_EXAMPLES)]
    Restore(RestoreArgs),
    /// Move all records to another store (root only)
    #[command(after_help = migrate::EXAMPLES)]
    Migrate(MigrateArgs),
    /// Make and revoke the certificates of a fleet's machines
    #[cfg(feature = "fleet")]
    #[command(subcommand, after_help = fleet::EXAMPLES)]
    Fleet(FleetCommand),
    /// Make, open and check keys offline, without the daemon
    #[command(disable_help_subcommand = true, after_help = key::EXAMPLES)]
    Key(KeyArgs),
    /// Print the script with which a shell completes arguments
    #[command(after_help = completions::EXAMPLES)]
    Completions(CompletionsArgs),
}

/// A user. Where none is named, `commands` fills in the caller's account.
#[derive(Debug, Default, Args)]
pub(crate) struct OptionalUser {
    /// Account name [default: your own; root names one]
    #[arg(value_name = "USER")]
    pub(crate) user: Option<String>,
    /// The name was filled in.
    #[arg(skip)]
    pub(crate) is_own: bool,
}

/// A user's device.
#[derive(Debug, Args)]
pub(crate) struct DeviceTarget {
    #[command(flatten)]
    pub(crate) user: OptionalUser,
    /// Name of the device, if the user has several
    #[arg(long, value_name = "NAME")]
    pub(crate) device: Option<String>,
}

/// Users in a file, in place of one on the command line.
#[derive(Debug, Default, Args)]
pub(crate) struct UserList {
    /// Many users: a CSV file with the column user, and if
    /// wanted device, or JSON lines; '-': standard input
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "user",
        verbatim_doc_comment
    )]
    pub(crate) users: Option<PathBuf>,
}

/// The decision that only an administrator can make: whose account it is.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct SamePerson {
    /// The account has another uid now, of the same person
    #[arg(long)]
    same_person: bool,
}

impl SamePerson {
    /// As it is sent: left out unless it was said.
    pub(crate) fn said(self) -> Option<bool> {
        self.same_person.then_some(true)
    }
}

/// Parses the command line.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, Failure> {
    Cli::try_parse_from(arguments).map_err(|error| {
        if is_about_a_secret(&error) {
            Failure::Usage(NO_SECRETS_HERE)
        } else {
            Failure::CommandLine(Box::new(error))
        }
    })
}

/// Whether `--json` was given. Asked before the command line is parsed, because its errors are JSON
/// too.
pub(crate) fn asks_for_json(arguments: impl IntoIterator<Item = OsString>) -> bool {
    arguments
        .into_iter()
        .take_while(|argument| argument != "--")
        .any(|argument| argument == "--json")
}

/// Whether the user gave a code or a key as an argument: the one mistake that totpctl must not
/// repeat on the terminal.
fn is_about_a_secret(error: &clap::Error) -> bool {
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else {
        return false;
    };
    let digits = |b: u8| b.is_ascii_digit() || matches!(b, b' ' | b'-');
    let is_code = argument.bytes().all(digits) && argument.contains(char::is_numeric);
    // An unknown option is no key, however long its name.
    let is_option = argument.starts_with("--");
    is_code
        || argument.starts_with(SCHEME)
        || !is_option
            && (IssuedCode::parse(argument).is_some() || secret::Key::from_base32(argument).is_ok())
}

/// The refusal of codes and keys in arguments.
pub(crate) const NO_SECRETS_HERE: &str = "totpctl reads codes and keys from the terminal or standard input, never \
    from arguments, which other users and the shell's history can see: leave the code or key out ('--key -' for a key)";

const GLOBAL: &str = "Options of every command";

const EXAMPLES: &str = "\
Examples:
  totpctl enroll alice              show a QR code, ask for its first code
  totpctl setup sshd                make logins ask for codes
  totpctl show alice                alice's devices and their last use
  totpctl verify alice              try a code
  totpctl try alice --service sshd  try a login through PAM
  totpctl why alice                 why alice's logins were refused
  totpctl revoke alice --device old
  totpctl --json list
  totpctl import users-oath /etc/users.oath
  totpctl key open < record.json    offline: show what a record holds

totpctl reads codes and keys from the terminal or standard input, never from
arguments (exception: 'key match --code').
Exit codes: 0 done, 1 refused or rejected, 2 bad usage or input, 3 daemon
unreachable, 4 not permitted, 5 not found, 70 store failed, 78 bad settings.";

/// The arguments of `status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Show the fleet, as this verifier knows it
    #[arg(long)]
    pub(crate) fleet: bool,
}

const STATUS_EXAMPLES: &str = "\
Examples:
  totpctl status
  totpctl --json status
  totpctl status --fleet

With --fleet, for monitoring: exit code 1 if a verifier is silent, its clock is
more than five seconds off, or its version or secrets are others than here.

For administrators only. If the daemon does not answer:
  systemctl status provisiond
To check PAM, sshd and the machine as well: totpctl doctor";

const RELOAD_EXAMPLES: &str = "\
Examples:
  totpctl reload

For administrators only. If the settings have an error, the daemon keeps the
old ones and the exit code is 78. A change of the store or of systemd's
credentials needs a restart of the daemon.";

const CLOCK_HELP: &str = "\
Examples:
  totpctl clock-accept

After the machine was started, or its clock set, the daemon refuses codes that
devices may have shown before. This command ends the quarantine that
'totpctl status' shows, unless an older store is its cause. Used codes stay
used, and no guesses are restored. Do not run it after a virtual machine or a
disk was restored from a snapshot: the daemon cannot know which codes were used
since then.";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parsed(line: &str) -> Result<Cli, Failure> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_help_text_fits_80_columns() {
        let mut whole = Cli::command();
        whole.build();
        let mut commands = vec![whole];
        while let Some(mut command) = commands.pop() {
            commands.extend(command.get_subcommands().cloned());
            for help in [command.render_help(), command.render_long_help()] {
                for line in help.to_string().lines() {
                    assert!(line.chars().count() <= 80, "{line:?}");
                }
            }
        }
    }

    #[test]
    fn the_global_options_go_before_and_after_the_action() {
        for line in [
            "totpctl --json --socket /s show alice",
            "totpctl show alice --json --socket /s",
        ] {
            let cli = parsed(line).unwrap();
            assert_eq!(
                (cli.json, cli.socket),
                (true, Some(PathBuf::from("/s"))),
                "{line}"
            );
        }
    }

    #[test]
    fn a_code_or_a_key_given_as_an_argument_is_refused_and_not_repeated() {
        for secret in [
            "123456",
            "123-456",
            "abcd-efgh",
            "otpauth://totp/alice?secret=GEZDGNBVGY3TQOJQ",
            "ABCD-efgh-ijkl-mnop",
            "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
        ] {
            let failure = parsed(&format!("totpctl verify alice {secret}")).unwrap_err();
            assert!(matches!(failure, Failure::Usage(_)), "{secret}");
            assert!(!failure.to_string().contains(secret), "{failure}");
        }
        assert!(matches!(
            parsed("totpctl verify alice --identity").unwrap_err(),
            Failure::CommandLine(_)
        ));
        assert!(matches!(
            parsed("totpctl verify alice bob").unwrap_err(),
            Failure::CommandLine(_)
        ));
        assert!(matches!(
            parsed("totpctl verify alice --code").unwrap_err(),
            Failure::CommandLine(_)
        ));
    }

    #[test]
    fn what_is_for_a_list_or_for_one_user_is_refused_with_the_other() {
        for line in [
            "totpctl enroll alice --keys k",
            "totpctl enroll --keys k",
            "totpctl enroll alice --users l",
            "totpctl enroll --users l --yes",
            "totpctl enroll --users l --key -",
            "totpctl enroll --users l --kind hotp",
            "totpctl revoke alice --users l",
            "totpctl disable alice --users l",
            "totpctl ticket",
            "totpctl ticket alice --users l",
            "totpctl ticket alice --replace",
        ] {
            let failure = parsed(line).unwrap_err();
            assert!(matches!(failure, Failure::CommandLine(_)), "{line}");
        }
        parsed("totpctl enroll --users l --keys k --device phone").unwrap();
    }

    #[test]
    fn json_is_noticed_even_on_a_bad_command_line() {
        let asks = |line: &str| asks_for_json(line.split_whitespace().map(OsString::from));
        assert!(asks("totpctl --json nonsense"));
        assert!(!asks("totpctl show -- --json"));
    }
}
