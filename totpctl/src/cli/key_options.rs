//! Options of `enroll` and `key new` for a new key: --alg, --digits, --period, --label, --issuer.

use clap::Args;
use common::totp::Algorithm;

use super::value_parsers::{algorithms, number};

/// The parameters of a new key's codes, and the names that the authenticator shows. The defaults
/// are the daemon's for `enroll`, and those of the settings for `key new`.
#[derive(Debug, Default, Args)]
pub(crate) struct KeyOptions {
    /// Hash of the key's codes: sha1, sha256 or sha512
    #[arg(long, value_parser = algorithms(), hide_possible_values = true)]
    pub(crate) alg: Option<Algorithm>,
    /// Digits in a code, 6 to 10
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = number::<u8>)]
    pub(crate) digits: Option<u8>,
    /// Seconds that a code is shown
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, value_parser = number::<u32>)]
    pub(crate) period: Option<u32>,
    /// Account name that the authenticator shows
    #[arg(long, value_name = "TEXT")]
    pub(crate) label: Option<String>,
    /// Organisation that the authenticator shows
    #[arg(long, value_name = "TEXT")]
    pub(crate) issuer: Option<String>,
}
