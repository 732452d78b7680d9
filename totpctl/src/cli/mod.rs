//! The command line: one subcommand for each action, and what it takes. Names are judged later, by `commands`.

mod codes;
mod devices;
mod enroll;
mod key;
mod log;
#[cfg(test)]
mod manual;
mod new_key;
mod passlib;
mod pictures;
mod recovery;
mod subject;
mod users;
mod words;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue};
use clap::{Args, Parser, Subcommand};
use common::issued::IssuedCode;
use common::secret;

pub(crate) use self::codes::Verify;
pub(crate) use self::devices::{Bounds, Part, RenameDevice, Restrict};
pub(crate) use self::enroll::Enroll;
pub(crate) use self::key::{Format, Key, KeyAction, Match, New, Pretty, Seal, Uri};
pub(crate) use self::log::{Log, Why};
pub(crate) use self::new_key::NewKey;
pub(crate) use self::passlib::{Export, Import};
pub(crate) use self::pictures::Pictures;
pub(crate) use self::recovery::{Bypass, Ticket};
pub(crate) use self::subject::Subject;
pub(crate) use self::users::{Forget, List, RenameUser};
use crate::exit::Failure;

/// Enrols authenticators for logins, and shows and changes what is enrolled.
#[derive(Debug, Parser)]
#[command(name = "totpctl", version, after_help = EXAMPLES, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// Socket of the daemon [default: in /run/pam-totp,
    /// login.sock for root and provisiond.sock for others]
    #[arg(long, global = true, value_name = "PATH", help_heading = GLOBAL, verbatim_doc_comment)]
    pub(crate) socket: Option<PathBuf>,
    /// The uid that must listen there, for private daemons.
    #[arg(long, global = true, value_name = "UID", default_value_t = 0, hide = true)]
    pub(crate) server_uid: u32,
    /// Answer with one JSON object on standard output
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The actions.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Give a user a new device: shows its QR code and confirms it
    #[command(after_help = enroll::EXAMPLES)]
    Enroll(Enroll),
    /// Make a pending device active with the first code it shows
    #[command(after_help = codes::CONFIRM_EXAMPLES)]
    Confirm(Target),
    /// Try a code: a real attempt, which spends the code
    #[command(after_help = codes::VERIFY_EXAMPLES)]
    Verify(Verify),
    /// Show a user's devices
    #[command(after_help = users::SHOW_EXAMPLES)]
    Show(Own),
    /// List every user who has a record, or who is not enrolled yet
    #[command(after_help = users::LIST_EXAMPLES)]
    List(List),
    /// Say why a user was refused, and what helps
    #[command(after_help = log::WHY_EXAMPLES)]
    Why(Why),
    /// Show what happened: every verdict, every change
    #[command(after_help = log::LOG_EXAMPLES)]
    Log(Log),
    /// Disable a device, or all: kept, but their codes open nothing
    #[command(after_help = devices::DISABLE_EXAMPLES)]
    Disable(Part),
    /// Make a disabled device, or account, active again
    #[command(after_help = devices::ENABLE_EXAMPLES)]
    Enable(Part),
    /// Forget a device and its key for good
    #[command(after_help = devices::REVOKE_EXAMPLES)]
    Revoke(Target),
    /// Call a device something else
    #[command(after_help = devices::RENAME_EXAMPLES)]
    RenameDevice(RenameDevice),
    /// Learn where a device is whose clock or counter is off
    #[command(after_help = codes::RESYNC_EXAMPLES)]
    Resync(Target),
    /// Say when and for which services a device's codes count
    #[command(after_help = devices::RESTRICT_EXAMPLES)]
    Restrict(Restrict),
    /// Make new recovery codes; all earlier ones end
    #[command(after_help = recovery::CODES_EXAMPLES)]
    RecoveryCodes(Own),
    /// Let an enrolled user in for a while, with a code from here
    #[command(after_help = recovery::BYPASS_EXAMPLES)]
    Bypass(Bypass),
    /// Let a user enrol a first device, with a code from here
    #[command(after_help = recovery::TICKET_EXAMPLES)]
    Ticket(Ticket),
    /// End the grace period: the next login asks for a code
    #[command(after_help = users::GRACE_EXAMPLES)]
    RevokeGrace(Own),
    /// Give a user all guesses back
    #[command(after_help = users::UNLOCK_EXAMPLES)]
    Unlock {
        /// Account name
        #[arg(value_name = "USER")]
        user: String,
    },
    /// Let a user's devices follow when the account is renamed
    #[command(after_help = users::RENAME_EXAMPLES)]
    RenameUser(RenameUser),
    /// Remove all that is known of a user
    #[command(after_help = users::FORGET)]
    Forget(Forget),
    /// Take over users from another system
    #[command(subcommand)]
    Import(Import),
    /// Hand users over to another system
    #[command(subcommand)]
    Export(Export),
    /// Show how the daemon is
    #[command(after_help = STATUS_EXAMPLES)]
    Status,
    /// Let the daemon read its settings again
    #[command(after_help = RELOAD_EXAMPLES)]
    Reload,
    /// Tell the daemon that the clock was moved for a good reason
    #[command(after_help = CLOCK_HELP)]
    ClockAccept,
    /// Make, open and check keys offline, without the daemon
    #[command(disable_help_subcommand = true, after_help = key::EXAMPLES)]
    Key(Key),
}

/// A user, or whoever runs this.
#[derive(Debug, Args)]
pub(crate) struct Own {
    /// Account name [default: your own]
    #[arg(value_name = "USER")]
    pub(crate) user: Option<String>,
}

/// A user's device.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// Account name
    #[arg(value_name = "USER")]
    pub(crate) user: String,
    /// The device, when the user has several
    #[arg(long, value_name = "NAME")]
    pub(crate) device: Option<String>,
}

/// Reads the command line.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, Failure> {
    Cli::try_parse_from(arguments).map_err(|error| {
        if is_about_a_secret(&error) { Failure::Usage(NO_SECRETS_HERE) } else { Failure::CommandLine(Box::new(error)) }
    })
}

/// Whether `--json` was given, asked before the command line is known to be right.
pub(crate) fn asks_for_json(arguments: impl IntoIterator<Item = OsString>) -> bool {
    arguments.into_iter().take_while(|argument| argument != "--").any(|argument| argument == "--json")
}

/// Whether somebody gave a code or a key as an argument: the one mistake whose text must not be repeated on the screen.
fn is_about_a_secret(error: &clap::Error) -> bool {
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else { return false };
    let digits = |b: u8| b.is_ascii_digit() || matches!(b, b' ' | b'-');
    let is_code = argument.bytes().all(digits) && argument.contains(char::is_numeric);
    // An option that nobody knows is none, however long its name.
    let is_option = argument.starts_with("--");
    is_code || !is_option && (IssuedCode::parse(argument).is_some() || secret::Key::from_base32(argument).is_ok())
}

/// Why codes and keys are no arguments.
pub(crate) const NO_SECRETS_HERE: &str = "codes and keys are read from the terminal or standard input, never from \
    arguments, which other users and the shell's history can see; leave it out ('--key -' for a key)";

const GLOBAL: &str = "With every action";

const EXAMPLES: &str = "\
Examples:
  totpctl enroll alice              show a QR code, ask for its first code
  totpctl show alice                what alice has, and when it was used
  totpctl verify alice              try a code
  totpctl why alice                 why alice was refused
  totpctl revoke alice --device old
  totpctl --json list
  totpctl import passlib users.jsonl
  totpctl key open < record.json    offline: what a stored record holds

Codes and keys are read from the terminal or standard input, never from
arguments ('key match --code' excepted).
Exit codes: 0 done, 1 refused or rejected, 2 bad usage or input, 3 daemon
unreachable, 4 not permitted, 5 not found, 70 store failed, 78 bad settings.";

const STATUS_EXAMPLES: &str = "\
Examples:
  totpctl status
  totpctl --json status

For administrators. Where it cannot be reached: systemctl status provisiond.";

const RELOAD_EXAMPLES: &str = "\
Examples:
  totpctl reload

For administrators. A file with an error changes nothing: the exit code is 78.
The store and systemd's credentials change with a restart only.";

const CLOCK_HELP: &str = "\
Examples:
  totpctl clock-accept

After the machine's clock was set, codes that devices may have shown before
are refused for two periods. This ends that at once. Codes that were used
stay used, and no guess comes back. Do not use it after a virtual machine was
put back to a snapshot: the daemon cannot know which codes were used since.";

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
        for line in ["totpctl --json --socket /s show alice", "totpctl show alice --json --socket /s"] {
            let cli = parsed(line).unwrap();
            assert_eq!((cli.json, cli.socket), (true, Some(PathBuf::from("/s"))), "{line}");
        }
    }

    #[test]
    fn a_code_or_a_key_given_as_an_argument_is_refused_and_not_repeated() {
        for secret in ["123456", "123-456", "abcd-efgh", "ABCD-efgh-ijkl-mnop", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"] {
            let failure = parsed(&format!("totpctl verify alice {secret}")).unwrap_err();
            assert!(matches!(failure, Failure::Usage(_)), "{secret}");
            assert!(!failure.to_string().contains(secret), "{failure}");
        }
        assert!(matches!(parsed("totpctl verify alice --identity").unwrap_err(), Failure::CommandLine(_)));
        assert!(matches!(parsed("totpctl verify alice bob").unwrap_err(), Failure::CommandLine(_)));
        assert!(matches!(parsed("totpctl verify alice --code").unwrap_err(), Failure::CommandLine(_)));
    }

    #[test]
    fn json_is_noticed_even_on_a_bad_command_line() {
        let asks = |line: &str| asks_for_json(line.split_whitespace().map(OsString::from));
        assert!(asks("totpctl --json nonsense"));
        assert!(!asks("totpctl show -- --json"));
    }
}
