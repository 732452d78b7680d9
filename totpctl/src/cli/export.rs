//! Arguments and help of `export`.

use clap::Subcommand;

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

const EXPORT_EXAMPLES: &str = r#"Examples:
  totpctl export passlib > users.jsonl
  totpctl export passlib alice bob

totpctl prints one line for each device that is not pending, in the format of
'import passlib': {"user":"alice","record":"…"}, with "device" unless the
device's name is 'default'. Keys are sealed under the default application
secret. passlib's format cannot detect alterations: keep the file private, and
delete it soon."#;
