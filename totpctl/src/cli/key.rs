//! Arguments, options and help of `key` and its commands: `new`, `open`, `seal`, `uri`, `pretty`,
//! `code`, `match`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::value_parsers::number;
use super::{KeyOptions, PictureOptions};

/// The arguments of `key`.
#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    /// Settings file with the application secrets [default:
    /// $PAM_TOTP_SETTINGS, else /etc/pam-totp/settings.yaml]
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        help_heading = "Options of every key command",
        verbatim_doc_comment
    )]
    pub(crate) settings: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) action: KeyAction,
}

/// The actions of `key`.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyAction {
    /// Make a new key; print its record, key and URI
    #[command(after_help = NEW_EXAMPLES)]
    New(NewKeyArgs),
    /// Open a record: print its key and code parameters
    #[command(after_help = OPEN_EXAMPLES)]
    Open,
    /// Seal a key again, in either format
    #[command(after_help = SEAL_EXAMPLES)]
    Seal(SealArgs),
    /// Print a key as an otpauth:// URI, for authenticators
    #[command(after_help = "The URI holds the key: keep it secret.")]
    Uri(UriArgs),
    /// Print a key in groups, for typing by hand
    Pretty(PrettyArgs),
    /// Print the code of a key
    Code {
        /// Time of the code, in Unix seconds [default: now]
        #[arg(long, value_name = "UNIXTIME", allow_negative_numbers = true, value_parser = number::<i64>)]
        at: Option<i64>,
    },
    /// Check a code: exit code 0 if it is accepted, 1 if not
    #[command(after_help = MATCH_EXAMPLES)]
    Match(MatchArgs),
}

/// The arguments of `key new`. The defaults come from the settings.
#[derive(Debug, Default, Args)]
pub(crate) struct NewKeyArgs {
    /// Format of the sealed key: v2 or passlib [default: v2
    /// with --user, else passlib]
    #[arg(long, hide_possible_values = true, verbatim_doc_comment)]
    pub(crate) format: Option<Format>,
    /// Account name; a key sealed as v2 is bound to it
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,
    /// Device id that v2 binds to: 32 hexadecimal digits
    /// [default: random]
    #[arg(long, value_name = "HEX", verbatim_doc_comment)]
    pub(crate) device: Option<String>,
    #[command(flatten)]
    pub(crate) new_key: KeyOptions,
    #[command(flatten)]
    pub(crate) pictures: PictureOptions,
}

/// The format of a sealed key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// pam-totp's format, bound to user, device and parameters
    V2,
    /// The format of passlib and Yosai, version 1
    Passlib,
}

/// The arguments of `key seal`.
#[derive(Debug, Args)]
pub(crate) struct SealArgs {
    /// Format of the sealed key: v2 or passlib
    #[arg(long, hide_possible_values = true)]
    pub(crate) format: Format,
    /// PBKDF2 rounds of passlib, as a power of two: 0 to 22
    /// [default: encrypt-cost of the settings]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = number::<u32>, verbatim_doc_comment)]
    pub(crate) cost: Option<u32>,
    /// Account name that v2 binds to
    /// [default: the record's, else your own]
    #[arg(long, value_name = "USER", verbatim_doc_comment)]
    pub(crate) user: Option<String>,
    /// Device id that v2 binds to: 32 hexadecimal digits
    /// [default: the record's, else random]
    #[arg(long, value_name = "HEX", verbatim_doc_comment)]
    pub(crate) device: Option<String>,
}

/// The arguments of `key uri`.
#[derive(Debug, Args)]
pub(crate) struct UriArgs {
    /// Account name that the authenticator shows
    /// [default: the record's]
    #[arg(long, value_name = "TEXT", verbatim_doc_comment)]
    pub(crate) label: Option<String>,
    /// Organisation that the authenticator shows; empty for
    /// none [default: the record's, else the settings']
    #[arg(long, value_name = "TEXT", verbatim_doc_comment)]
    pub(crate) issuer: Option<String>,
}

/// The arguments of `key pretty`.
#[derive(Debug, Args)]
pub(crate) struct PrettyArgs {
    /// Print hexadecimal instead of base32
    #[arg(long)]
    pub(crate) hex: bool,
    /// Separator between the groups; may be empty
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "-",
        allow_hyphen_values = true
    )]
    pub(crate) sep: String,
}

/// The arguments of `key match`.
#[derive(Debug, Args)]
pub(crate) struct MatchArgs {
    /// Time of the check, in Unix seconds [default: now]
    #[arg(long, value_name = "UNIXTIME", allow_negative_numbers = true, value_parser = number::<i64>)]
    pub(crate) at: Option<i64>,
    /// Seconds accepted before and after it
    #[arg(long, value_name = "N", default_value_t = 30, allow_negative_numbers = true, value_parser = number::<u64>)]
    pub(crate) window_seconds: u64,
    /// Seconds that the device's clock is fast [default: 0]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, allow_negative_numbers = true, value_parser = number::<i64>)]
    pub(crate) skew_seconds: i64,
    /// Step of the last used code: refuse codes up to it
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = number::<u64>)]
    pub(crate) last_counter: Option<u64>,
    /// The code as the user typed it
    // Any bytes: those that are not UTF-8 are judged as malformed.
    #[arg(long, value_name = "CODE", allow_hyphen_values = true)]
    pub(crate) code: OsString,
}

pub(super) const EXAMPLES: &str = "\
Examples:
  totpctl key new --label alice
  totpctl key open < record.json
  totpctl key seal --format passlib < record.json
  totpctl key uri < record.json
  totpctl key code < uri.txt
  totpctl key match --code 123456 < record.json

Every command but 'new' reads standard input: a record of passlib, a record of
'key new', or an otpauth:// URI. A sealed record needs the application secret
of its tag, from the settings. A URI needs no secret: totpctl then reads
settings only if --settings or $PAM_TOTP_SETTINGS names them.

These commands do not know which codes were used: only the daemon can judge a
login. With --json, every answer is one JSON object. If the input cannot be
read, the exit code is 2.";

const NEW_EXAMPLES: &str = "\
Examples:
  totpctl key new --format passlib --label alice
  totpctl key new --user alice --alg sha256 --digits 8 --png alice.png
  totpctl key new --label alice --qr ascii

totpctl prints one JSON object: record, key, pretty_key, uri. On a terminal, or
with --qr, it prints a page with a QR code instead. Without --label, the label
comes from the settings, filled in with --user or your own account.
--png and --svg create a new file that only its owner can read. The file holds
the key: give it only to the user, and delete it after scanning.";

const OPEN_EXAMPLES: &str = "\
totpctl prints one JSON object: key (base32), alg, digits, period, label, issuer
and changed. changed is true if the key should be sealed again: it is not
sealed, its tag is not the default tag, or its cost is not encrypt-cost.";

const SEAL_EXAMPLES: &str = "\
Examples:
  totpctl key seal --format v2 --user alice < record.json
  totpctl key seal --format passlib --cost 14 < uri.txt

totpctl prints the new record, sealed under the default application secret.";

const MATCH_EXAMPLES: &str = "\
Examples:
  totpctl key match --code 123456 < record.json
  totpctl key match --at 1700000000 --last-counter 56666666 --code 123456 < uri

totpctl prints one JSON object: verdict (accepted, rejected, already_used,
malformed) and, if accepted, counter: the step to give as --last-counter next
time. Other users can see arguments: never give the code of a login here.";

#[cfg(test)]
mod tests {
    use super::super::{Command, parse};
    use super::*;

    fn action(words: &[&str]) -> KeyAction {
        match parse(["totpctl", "key"].iter().chain(words).map(OsString::from))
            .unwrap()
            .command
        {
            Command::Key(key) => key.action,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn numbers_and_codes_may_begin_with_a_hyphen() {
        let words = [
            "match",
            "--at",
            "-31",
            "--skew-seconds",
            "-30",
            "--code",
            "--123-456",
        ];
        let KeyAction::Match(wanted) = action(&words) else {
            panic!()
        };
        assert_eq!(
            (wanted.at, wanted.skew_seconds, wanted.window_seconds),
            (Some(-31), -30, 30)
        );
        assert_eq!(wanted.code, "--123-456");
    }

    #[test]
    fn a_negative_number_is_said_to_be_out_of_range() {
        for words in [
            &["key", "new", "--digits", "-6"][..],
            &["key", "new", "--period", "-1"],
            &["key", "seal", "--format", "passlib", "--cost", "-1"],
            &["key", "match", "--window-seconds", "-1", "--code", "1"],
            &["enroll", "alice", "--digits", "-6"],
            &["enroll", "alice", "--period", "-1"],
        ] {
            let words = ["totpctl"].iter().chain(words).map(OsString::from);
            let said = parse(words).unwrap_err().to_string();
            assert!(said.starts_with("invalid value '-"), "{said}");
        }
    }

    #[test]
    fn the_settings_are_named_before_or_after_the_action() {
        for words in [
            ["totpctl", "key", "--settings", "/s", "open"],
            ["totpctl", "key", "open", "--settings", "/s"],
        ] {
            let Command::Key(key) = parse(words.map(OsString::from)).unwrap().command else {
                panic!()
            };
            assert_eq!(key.settings, Some(PathBuf::from("/s")));
        }
    }

    #[test]
    fn a_separator_may_be_anything() {
        for separator in ["", " ", "-", "--", "·"] {
            let KeyAction::Pretty(wanted) = action(&["pretty", "--sep", separator]) else {
                panic!()
            };
            assert_eq!(wanted.sep, separator);
        }
    }
}
