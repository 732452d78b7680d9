//! Arguments and help of `import passlib` and `export passlib`.

use std::path::PathBuf;

use clap::Subcommand;

use super::SamePerson;

/// The arguments of `import`.
#[derive(Debug, Subcommand)]
#[command(disable_help_subcommand = true)]
pub(crate) enum ImportCommand {
    /// Records of passlib.totp, one user per line (root only)
    #[command(after_help = IMPORT_EXAMPLES)]
    Passlib {
        /// Lines of {"user":…,"record":…}; '-' for standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Take keys of fewer than 128 bits as well
        #[arg(long)]
        allow_weak: bool,
        #[command(flatten)]
        same_person: SamePerson,
    },
}

/// The arguments of `export`.
#[derive(Debug, Subcommand)]
#[command(disable_help_subcommand = true)]
pub(crate) enum ExportCommand {
    /// Records of passlib.totp, one device per line (root only)
    #[command(after_help = EXPORT_EXAMPLES)]
    Passlib {
        /// Account names [default: all users]
        #[arg(value_name = "USER")]
        users: Vec<String>,
    },
}

const IMPORT_EXAMPLES: &str = r#"Examples:
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

const EXPORT_EXAMPLES: &str = r#"Examples:
  totpctl export passlib > users.jsonl
  totpctl export passlib alice bob

totpctl prints one line for each device that is not pending, in the format of
'import passlib': {"user":"alice","record":"…"}, with "device" unless the
device's name is 'default'. Keys are sealed under the default application
secret. passlib's format cannot detect alterations: keep the file private, and
delete it soon."#;
