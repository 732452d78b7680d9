//! Arguments, options and help of `enroll`.

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use common::names::device::Kind;

use super::devices::RestrictionArgs;
use super::value_parsers::{kinds, number};
use super::{KeyOptions, OptionalUser, PictureOptions, SamePerson, UserList};
use crate::sheet::Language;

/// The arguments of `enroll`. The defaults are the daemon's, by its settings.
#[derive(Debug, Args)]
#[command(mut_arg("users", |users| users.conflicts_with_all(OF_ONE_DEVICE)))]
#[command(group(ArgGroup::new("pages").args(["sheet", "sheets"])))]
pub(crate) struct EnrollArgs {
    #[command(flatten)]
    pub(crate) user: OptionalUser,
    /// Name of the new device [default: default or device-N]
    #[arg(long, value_name = "NAME")]
    pub(crate) device: Option<String>,
    /// totp (time-based, default) or hotp (counter-based)
    #[arg(long, value_parser = kinds(), hide_possible_values = true)]
    pub(crate) kind: Option<Kind>,
    #[command(flatten)]
    pub(crate) new_key: KeyOptions,
    /// With hotp: counter of the next code
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = number::<u64>)]
    pub(crate) counter: Option<u64>,
    /// Key or otpauth:// URI on standard input: '--key -'
    // Any text: clap must not repeat a key in an error message that a user gives here by mistake.
    #[arg(long, value_name = "-")]
    pub(crate) key: Option<String>,
    /// With --key: take a key of fewer than 128 bits as well
    #[arg(long, requires = "key")]
    pub(crate) allow_weak: bool,
    #[command(flatten)]
    pub(crate) bounds: RestrictionArgs,
    /// Activate at once, without asking for a first code
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) same_person: SamePerson,
    #[command(flatten)]
    pub(crate) pictures: PictureOptions,
    /// Write a page for the user, with key and recovery codes
    #[arg(long, value_name = "FILE")]
    pub(crate) sheet: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) list: UserList,
    /// With --users: write the keys to this new, private file
    // clap asks for no --users beside a user, which conflicts with it: --keys must, too.
    #[arg(long, value_name = "FILE", requires = "users", conflicts_with = "user")]
    pub(crate) keys: Option<PathBuf>,
    /// With --users: a page for each user, in this new folder
    #[arg(long, value_name = "DIR", requires = "users", conflicts_with = "user")]
    pub(crate) sheets: Option<PathBuf>,
    /// Language of the pages: en or de [default: by locale]
    #[arg(
        long,
        value_name = "LANG",
        requires = "pages",
        hide_possible_values = true
    )]
    pub(crate) lang: Option<Language>,
}

/// What says something about one device, and not about those of a list.
const OF_ONE_DEVICE: [&str; 10] = [
    "kind",
    "counter",
    "key",
    "allow_weak",
    "yes",
    "same_person",
    "qr",
    "png",
    "svg",
    "sheet",
];

pub(super) const EXAMPLES: &str = "\
Examples:
  totpctl enroll alice
  totpctl enroll --device tablet    your own; asks for a code first
  totpctl enroll alice --device phone --issuer 'Example Ltd'
  totpctl enroll alice --key - < key.txt
  totpctl enroll alice --device token --kind hotp --counter 7 --key - < key.txt
  totpctl enroll alice --yes --json
  totpctl enroll alice --png alice.png
  totpctl enroll alice --yes --sheet alice.html --lang de
  totpctl enroll --users users.csv --keys keys.jsonl
  totpctl enroll --users users.csv --sheets sheets

Without --yes the device stays pending until its first code is typed here or
given to 'totpctl confirm'. A pending device opens no login. totpctl shows the
key only once. With --json, totpctl asks only if standard input is a terminal.

QR codes: 'utf8' and 'inverse' draw half blocks, 'inverse' for dark text on a
light background; 'ansi' draws coloured spaces, 'ascii' plain characters.
--png and --svg create a new file that only its owner can read. The file holds
the key: give it only to the user, and delete it after scanning.

--sheet and --sheets write HTML pages to be printed and handed over: QR code,
key, first steps, and the recovery codes of a first device on a part to cut off.
The pages hold keys: give each only to its user, and delete the files.

With --users, each device is active once its key is written, one JSON object a
line. After an interruption run the same list again, with a new file of keys:
a user with a device of that name is left alone. If two files have a key of one
device, the later one is valid. A bad row is reported by its line; exit code 1.";
