//! Arguments and help of `import`: one subcommand a format.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::SamePerson;

/// The formats of `import`.
#[derive(Debug, Subcommand)]
#[command(disable_help_subcommand = true)]
pub(crate) enum ImportCommand {
    /// Records of passlib.totp, one user per line (root only)
    #[command(after_help = PASSLIB_EXAMPLES)]
    Passlib {
        #[command(flatten)]
        file: ImportFile,
    },
    /// Files of pam_google_authenticator, of one user or of all
    #[command(after_help = GOOGLE_AUTHENTICATOR_EXAMPLES)]
    GoogleAuthenticator {
        /// A user's file; '-' for standard input
        #[arg(value_name = "FILE", required_unless_present_any = ["homes", "at_login"])]
        file: Option<PathBuf>,
        /// The user that the file belongs to
        #[arg(long, value_name = "NAME", required_unless_present_any = ["homes", "at_login"])]
        user: Option<String>,
        /// The files in the home folders of all users
        #[arg(long, conflicts_with_all = ["file", "user", "same_person"])]
        homes: bool,
        /// The user that pam-totp-importer.socket names
        #[arg(long, conflicts_with_all = ["file", "user", "homes", "same_person", "dry_run"])]
        at_login: bool,
        #[command(flatten)]
        how: ImportOptions,
    },
    /// A users.oath file of pam_oath
    #[command(after_help = USERS_OATH_EXAMPLES)]
    UsersOath {
        #[command(flatten)]
        file: ImportFile,
        /// Take entries with a PIN, without the PIN
        #[arg(long)]
        drop_pins: bool,
    },
    /// A list of otpauth:// URIs, one per line
    #[command(after_help = LABEL_EXAMPLES)]
    Otpauth {
        #[command(flatten)]
        file: LabelledFile,
    },
    /// otpauth-migration:// URIs, as Google's app exports them
    #[command(after_help = LABEL_EXAMPLES)]
    Migration {
        #[command(flatten)]
        file: LabelledFile,
    },
    /// A PSKC key container (RFC 6030), plain or encrypted
    #[command(after_help = PSKC_EXAMPLES)]
    Pskc {
        #[command(flatten)]
        file: LabelledFile,
    },
    /// The plain JSON export of the app Aegis
    #[command(after_help = LABEL_EXAMPLES)]
    Aegis {
        #[command(flatten)]
        file: LabelledFile,
    },
    /// The plain JSON backup of the app andOTP
    #[command(after_help = LABEL_EXAMPLES)]
    Andotp {
        #[command(flatten)]
        file: LabelledFile,
    },
    /// A table of users and keys
    #[command(after_help = CSV_EXAMPLES)]
    Csv {
        #[command(flatten)]
        file: ImportFile,
    },
}

/// A file to import, and how.
#[derive(Debug, Args)]
pub(crate) struct ImportFile {
    /// The file; '-' for standard input
    #[arg(value_name = "FILE")]
    pub(crate) path: PathBuf,
    #[command(flatten)]
    pub(crate) how: ImportOptions,
}

/// A file whose entries may not say which account they belong to.
#[derive(Debug, Args)]
pub(crate) struct LabelledFile {
    /// The user of a file with one entry [default: its label]
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    #[command(flatten)]
    pub(crate) file: ImportFile,
}

/// What the administrator wants and vouches for.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct ImportOptions {
    /// Show what would happen, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Take keys of fewer than 128 bits as well
    #[arg(long)]
    pub(crate) allow_weak: bool,
    #[command(flatten)]
    pub(crate) same_person: SamePerson,
}

const PASSLIB_EXAMPLES: &str = r#"Examples:
  totpctl import passlib users.jsonl
  totpctl --json import passlib - < users.jsonl

Each line is one record:
  {"user":"alice","record":{"enckey":{…},"type":"totp","v":1}}
'record' may also be a string that holds this JSON, or an otpauth:// URI.
"device":"phone" names the new device [default: default or device-N].

The application secrets that sealed the records must be in the daemon's
settings. An imported device is active at once; the daemon refuses codes that
the device showed before the import. A device that exists already is not
changed, so the same file can be imported again. A bad line does not stop the
others: totpctl reports each bad line by its number, and the exit code is 1."#;

const GOOGLE_AUTHENTICATOR_EXAMPLES: &str = "\
Examples:
  totpctl import google-authenticator --homes --dry-run
  totpctl import google-authenticator --homes
  totpctl import google-authenticator .google_authenticator --user alice

The user goes on with the same phone. Used codes stay used, a counter and a
learned clock skew go on, and the file is left as it is. With the first device
of a user, its scratch codes become recovery codes; each guess at one costs a
guess. Its window and rate limit are not taken over: the daemon has its own.

With --homes, totpctl reads .google_authenticator in the home of each account,
if it is a regular file of that account and private. A user gets a device only
if none was ever enrolled; of a device that exists, only later used codes and
a higher counter are taken over. So it can run every hour during a roll-out.";

const USERS_OATH_EXAMPLES: &str = "\
Examples:
  totpctl import users-oath /etc/users.oath --dry-run
  totpctl import users-oath /etc/users.oath

Stop logins through pam_oath first. The last code and the counter of each
entry are taken over, so that used codes stay used. An entry with a PIN is
refused without --drop-pins, because the daemon asks for no PIN.";

const LABEL_EXAMPLES: &str = "\
Examples:
  totpctl import otpauth uris.txt --dry-run
  totpctl import aegis export.json --user alice

The label of an entry is the account; if this machine has no account of that
name and the label has an '@', the part before it is. '--user' names the
account for a file with one entry. Codes that the device showed before the
import are refused. The same file can be imported again.";

const PSKC_EXAMPLES: &str = "\
Examples:
  totpctl import pskc tokens.xml
  totpctl import pskc token.xml --user alice

If the file is encrypted (AES-128-CBC), totpctl asks for its passphrase, or
for its key as 32 hexadecimal digits. The account of a key is the UID of its
UserId. FreeIPA, and makers of hardware tokens, use this format.";

const CSV_EXAMPLES: &str = "\
Examples:
  totpctl import csv users.csv --dry-run

The first row names the columns: user, key, and if wanted kind (totp or hotp),
alg, digits, period, counter, label, issuer. A key is base32, or an otpauth://
URI. The fields are separated by commas or semicolons. A bad row does not stop
the others: totpctl reports each by its line, and the exit code is 1.";
