//! The command line of `import` and `export`: users that come from another system, and go back to it.

use std::path::PathBuf;

use clap::Subcommand;

/// Where users come from.
#[derive(Debug, Subcommand)]
#[command(disable_help_subcommand = true)]
pub(crate) enum Import {
    /// Records of passlib.totp, one user a line (root only)
    #[command(after_help = IMPORT_EXAMPLES)]
    Passlib {
        /// Lines of {"user":…,"record":…}; '-' for standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// Where users go.
#[derive(Debug, Subcommand)]
#[command(disable_help_subcommand = true)]
pub(crate) enum Export {
    /// Records of passlib.totp, one device a line (root only)
    #[command(after_help = EXPORT_EXAMPLES)]
    Passlib {
        /// Account names [default: everybody]
        #[arg(value_name = "USER")]
        users: Vec<String>,
    },
}

const IMPORT_EXAMPLES: &str = r#"Examples:
  totpctl import passlib users.jsonl
  totpctl --json import passlib - < users.jsonl

A line is one record:
  {"user":"alice","record":{"enckey":{…},"type":"totp","v":1}}
'record' may also be a text that holds that JSON, or an otpauth:// URI.
"device":"phone" names the new device [default: default or device-N].

The application secrets that sealed the records must be in the daemon's
settings. A device is active at once; a code that was shown before is not
taken. What is there already stays as it is, so the same file can be given
again. A bad line does not stop the others: each is reported by its number,
and the exit code is 1."#;

const EXPORT_EXAMPLES: &str = r#"Examples:
  totpctl export passlib > users.jsonl
  totpctl export passlib alice bob

Prints a line for each device that is not pending, as 'import passlib' takes
it: {"user":"alice","record":"…"}, with "device" unless that is 'default'.
Keys are sealed under the default application secret, in a form that does not
notice when it is altered: keep the file to yourself, and delete it soon."#;
