//! Arguments and help of `export`.

use clap::Subcommand;

/// The formats of `export`.
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
    /// Plain otpauth:// URIs, one device per line (root only)
    #[command(after_help = PLAIN_EXAMPLES)]
    Otpauth {
        /// Account names [default: all users]
        #[arg(value_name = "USER")]
        users: Vec<String>,
    },
    /// Lines of pam_oath's users.oath (root only)
    #[command(after_help = PLAIN_EXAMPLES)]
    UsersOath {
        /// Account names [default: all users]
        #[arg(value_name = "USER")]
        users: Vec<String>,
    },
    /// A user's file of pam_google_authenticator (root only)
    #[command(after_help = PLAIN_EXAMPLES)]
    GoogleAuthenticator {
        /// Account name
        #[arg(value_name = "USER")]
        user: String,
        /// Name of the device, if the user has several
        #[arg(long, value_name = "NAME")]
        device: Option<String>,
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

const PLAIN_EXAMPLES: &str = "\
Examples:
  totpctl export otpauth > uris.txt
  totpctl export users-oath > users.oath
  totpctl export google-authenticator alice > .google_authenticator

The keys are not encrypted: run 'umask 077' first, and delete the file soon.
A device that the other program cannot serve is left out, and named. Used codes
stay used in google-authenticator's file, and counters go on in all formats;
users.oath and URIs have no place for used codes, so stop logins here first,
and wait a minute.";
