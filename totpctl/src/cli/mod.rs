//! The command line: one subcommand for each action, and what it takes. Names are judged later, by `commands`.

mod key;
mod log;
#[cfg(test)]
mod manual;
mod passlib;
mod recovery;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue};
use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use self::key::{Format, Key, KeyAction, Match, New, Pretty, Seal, Uri};
pub(crate) use self::log::{Log, Why};
pub(crate) use self::passlib::{Export, Import};
pub(crate) use self::recovery::{Bypass, Ticket};
use crate::exit::Failure;
use crate::qr::Form;

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

/// Whom to list.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only members of this group
    #[arg(long, value_name = "GROUP")]
    pub(crate) group: Option<String>,
    /// Only who has no active device
    #[arg(long)]
    pub(crate) not_enrolled: bool,
}

const LIST_EXAMPLES: &str = "\
Who is not enrolled yet can be told of a group only, by its list of members:
  totpctl list --not-enrolled --group staff";

/// The actions.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Give a user a new device: shows its QR code and confirms it
    #[command(after_help = ENROLL_EXAMPLES)]
    Enroll(Enroll),
    /// Make a pending device active with the first code it shows
    #[command(after_help = CODE_EXAMPLES)]
    Confirm(Target),
    /// Try a code: a real attempt, which spends the code
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify(Verify),
    /// Show a user's devices
    Show {
        /// Account name [default: your own]
        #[arg(value_name = "USER")]
        user: Option<String>,
    },
    /// List every enrolled user, or who is not enrolled yet
    #[command(after_help = LIST_EXAMPLES)]
    List(List),
    /// Say why a user was refused, and what helps
    #[command(after_help = log::WHY_EXAMPLES)]
    Why(Why),
    /// Show what happened: every verdict, every change
    #[command(after_help = log::LOG_EXAMPLES)]
    Log(Log),
    /// Disable a device, or all: kept, but their codes open nothing
    Disable(Part),
    /// Make a disabled device, or account, active again
    Enable(Part),
    /// Forget a device and its key for good
    Revoke(Target),
    /// Call a device something else
    RenameDevice(RenameDevice),
    /// Learn where a device is whose clock or counter is off
    #[command(after_help = RESYNC_EXAMPLES)]
    Resync(Target),
    /// Say when and for which services a device's codes count
    #[command(after_help = RESTRICT_EXAMPLES)]
    Restrict(Restrict),
    /// Make new recovery codes; all earlier ones end
    #[command(after_help = recovery::CODES_EXAMPLES)]
    RecoveryCodes {
        /// Account name [default: your own]
        #[arg(value_name = "USER")]
        user: Option<String>,
    },
    /// Let an enrolled user in for a while, with a code from here
    #[command(after_help = recovery::BYPASS_EXAMPLES)]
    Bypass(Bypass),
    /// Let a user enrol a first device, with a code from here
    #[command(after_help = recovery::TICKET_EXAMPLES)]
    Ticket(Ticket),
    /// Let no code of before count: the next login asks for one
    RevokeGrace {
        /// Account name [default: your own]
        #[arg(value_name = "USER")]
        user: Option<String>,
    },
    /// Give a user all guesses back
    Unlock {
        /// Account name
        #[arg(value_name = "USER")]
        user: String,
    },
    /// Let a user's devices follow when the account is renamed
    RenameUser {
        /// What the account was called
        #[arg(value_name = "OLD")]
        user: String,
        /// What it is called now
        #[arg(value_name = "NEW")]
        new: String,
    },
    /// Remove all that is known of a user
    #[command(after_help = FORGET)]
    Forget {
        /// Account name
        #[arg(value_name = "USER")]
        user: String,
        /// Do not ask whether that is meant
        #[arg(long)]
        yes: bool,
    },
    /// Take over users from another system
    #[command(subcommand)]
    Import(Import),
    /// Hand users over to another system
    #[command(subcommand)]
    Export(Export),
    /// Show how the daemon is
    Status,
    /// Let the daemon read its settings again
    Reload,
    /// Tell the daemon that the clock was moved for a good reason
    #[command(after_help = CLOCK_HELP)]
    ClockAccept,
    /// Make, open and check keys offline, without the daemon
    #[command(disable_help_subcommand = true, after_help = key::EXAMPLES)]
    Key(Key),
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

/// A user's device, or all that the user has.
#[derive(Debug, Args)]
pub(crate) struct Part {
    #[command(flatten)]
    pub(crate) target: Target,
    /// The whole account, recovery codes and all
    #[arg(long, conflicts_with = "device")]
    pub(crate) all: bool,
}

/// What `rename-device` takes.
#[derive(Debug, Args)]
pub(crate) struct RenameDevice {
    /// Account name
    #[arg(value_name = "USER")]
    pub(crate) user: String,
    /// What the device is called from now on
    #[arg(value_name = "NEW")]
    pub(crate) name: String,
    /// The device, when the user has several
    #[arg(long, value_name = "NAME")]
    pub(crate) device: Option<String>,
}

/// What `restrict` takes.
#[derive(Debug, Args)]
pub(crate) struct Restrict {
    #[command(flatten)]
    pub(crate) target: Target,
    #[command(flatten)]
    pub(crate) bounds: Bounds,
    /// Take all bounds away
    #[arg(long, conflicts_with_all = ["from", "until", "services"])]
    pub(crate) lift: bool,
}

/// When, and for which services, a device counts.
#[derive(Debug, Default, Args)]
pub(crate) struct Bounds {
    /// First day on which its codes count (UTC): 2026-12-01
    #[arg(long, value_name = "DAY")]
    pub(crate) from: Option<String>,
    /// Last day on which they count (UTC)
    #[arg(long, value_name = "DAY")]
    pub(crate) until: Option<String>,
    /// PAM services that the device is for: sudo,su
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) services: Vec<String>,
}

/// What `enroll` takes. What is left out is the daemon's choice, by its settings.
#[derive(Debug, Args)]
pub(crate) struct Enroll {
    /// Account name
    #[arg(value_name = "USER")]
    pub(crate) user: String,
    /// The new device's name [default: default or device-N]
    #[arg(long, value_name = "NAME")]
    pub(crate) device: Option<String>,
    /// totp, by the time (default), or hotp, by a counter
    #[arg(long, hide_possible_values = true)]
    pub(crate) kind: Option<Kind>,
    /// Hash of the new device's codes: sha1, sha256 or sha512
    #[arg(long, hide_possible_values = true)]
    pub(crate) alg: Option<Alg>,
    /// Digits in a code, 6 to 10
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) digits: Option<u8>,
    /// Seconds that a code is shown
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub(crate) period: Option<u32>,
    /// With hotp: number of the next code
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) counter: Option<u64>,
    /// Who the authenticator says the account is with
    #[arg(long, value_name = "TEXT")]
    pub(crate) issuer: Option<String>,
    /// What the authenticator calls the account
    #[arg(long, value_name = "TEXT")]
    pub(crate) label: Option<String>,
    /// Take over a base32 key from standard input: '--key -'
    // A text, so that a key given here by mistake is not repeated in an error message.
    #[arg(long, value_name = "-")]
    pub(crate) key: Option<String>,
    #[command(flatten)]
    pub(crate) bounds: Bounds,
    /// Active at once, without asking for a first code
    #[arg(long)]
    pub(crate) yes: bool,
    /// QR code: utf8, inverse, ansi, ascii or none [default:
    /// utf8 or ascii on a terminal, as the locale says]
    #[arg(long, value_name = "FORM", hide_possible_values = true, verbatim_doc_comment)]
    pub(crate) qr: Option<Form>,
    #[command(flatten)]
    pub(crate) pictures: Pictures,
}

/// Files to draw the QR code in.
#[derive(Debug, Default, Args)]
pub(crate) struct Pictures {
    /// Draw the QR code in a new PNG file; it holds the key
    #[arg(long, value_name = "FILE")]
    pub(crate) png: Option<PathBuf>,
    /// Draw the QR code in a new SVG file; it holds the key
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
}

/// What moves a device from one code to the next.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Kind {
    Totp,
    Hotp,
}

impl Kind {
    /// The word of the wire.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Totp => "totp",
            Self::Hotp => "hotp",
        }
    }
}

/// The hashes of RFC 6238.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Alg {
    Sha1,
    Sha256,
    Sha512,
}

impl Alg {
    /// The word of the wire.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }
}

/// What `verify` takes.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Account name
    #[arg(value_name = "USER")]
    pub(crate) user: String,
    /// The PAM service to try as
    #[arg(long, default_value = "totpctl")]
    pub(crate) service: String,
    /// The remote host to try as
    #[arg(long, value_name = "HOST")]
    pub(crate) rhost: Option<String>,
}

/// Reads the command line.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, Failure> {
    Cli::try_parse_from(arguments).map_err(|error| {
        if is_about_a_code(&error) { Failure::Usage(NO_SECRETS_HERE) } else { Failure::CommandLine(Box::new(error)) }
    })
}

/// Whether `--json` was given, asked before the command line is known to be right.
pub(crate) fn asks_for_json(arguments: impl IntoIterator<Item = OsString>) -> bool {
    arguments.into_iter().take_while(|argument| argument != "--").any(|argument| argument == "--json")
}

/// Whether somebody gave a code as an argument: the one mistake whose text must not be repeated on the screen.
fn is_about_a_code(error: &clap::Error) -> bool {
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else { return false };
    argument.bytes().all(|b| b.is_ascii_digit() || matches!(b, b' ' | b'-')) && argument.contains(char::is_numeric)
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

const ENROLL_EXAMPLES: &str = "\
Examples:
  totpctl enroll alice
  totpctl enroll alice --device phone --issuer 'Example Ltd'
  totpctl enroll alice --key - < key.txt
  totpctl enroll alice --device token --kind hotp --counter 7 --key - < key.txt
  totpctl enroll alice --yes --json
  totpctl enroll alice --png alice.png

Without --yes the device stays pending, and opens nothing, until a code of it
is typed here or given to 'totpctl confirm'. The key is shown this one time.
With --json, a question is only asked when standard input is a terminal.

QR codes: 'utf8' and 'inverse' are half blocks, 'inverse' for dark ink on a
light page; 'ansi' is made of coloured spaces; 'ascii' of plain characters.
A file of --png or --svg is made anew, for its owner only. Whoever sees it has
the key: hand it to its user alone, and delete it once it is scanned.";

const FORGET: &str = "\
The user becomes one who never had a device: where 'nullok' stands, the next
login needs no code. To keep somebody out: totpctl disable USER --all.";

const RESYNC_EXAMPLES: &str = "\
Examples:
  totpctl resync alice
  totpctl resync alice --device token < codes.txt

Two codes in a row, on one line: the one that the device shows and the one
after it. They are used up and open nothing. They are searched for ten minutes
around now, and among the next hundred of a device that counts. A clock that is
off by more than two minutes or so has to be set.";

const RESTRICT_EXAMPLES: &str = "\
Examples:
  totpctl restrict alice --device loan --until 2027-01-31
  totpctl restrict alice --device token --services sudo,su
  totpctl restrict alice --device loan --lift

What is said here takes the place of what was said before. Where a device does
not count, it is as if the user did not have it.";

const CODE_EXAMPLES: &str = "\
Examples:
  totpctl confirm alice --device phone
  totpctl confirm alice < code.txt";

const CLOCK_HELP: &str = "\
After the machine's clock was set, codes that devices may have shown before
are refused for two periods. This ends that at once. Codes that were used
stay used, and no guess comes back. Do not use it after a virtual machine was
put back to a snapshot: the daemon cannot know which codes were used since.";

const VERIFY_EXAMPLES: &str = "\
Examples:
  totpctl verify alice
  totpctl verify alice --service sshd --rhost 192.0.2.1
  totpctl --json verify alice < code.txt

The code is one line; where two consecutive codes are asked for, both stand on
it. Exit code 0 if accepted, 1 if not. A wrong code costs a guess.";

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
    fn a_code_given_as_an_argument_is_refused_and_not_repeated() {
        for line in ["totpctl verify alice 123456", "totpctl confirm alice 123-456"] {
            let failure = parsed(line).unwrap_err();
            assert!(matches!(failure, Failure::Usage(_)), "{line}");
            assert!(!failure.to_string().contains("123"), "{failure}");
        }
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
