//! What `enroll` takes.

use clap::Args;
use common::names::device::Kind;

use super::devices::Bounds;
use super::words::{kinds, number};
use super::{NewKey, Pictures};

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
    #[arg(long, value_parser = kinds(), hide_possible_values = true)]
    pub(crate) kind: Option<Kind>,
    #[command(flatten)]
    pub(crate) new_key: NewKey,
    /// With hotp: number of the next code
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = number::<u64>)]
    pub(crate) counter: Option<u64>,
    /// Take over a base32 key from standard input: '--key -'
    // A text, so that a key given here by mistake is not repeated in an error message.
    #[arg(long, value_name = "-")]
    pub(crate) key: Option<String>,
    #[command(flatten)]
    pub(crate) bounds: Bounds,
    /// Active at once, without asking for a first code
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) pictures: Pictures,
}

pub(super) const EXAMPLES: &str = "\
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
