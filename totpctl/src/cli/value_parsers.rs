//! Parses option values: --kind, --alg and numbers, and the error for a bad number.

use std::str::FromStr;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use common::names::device::Kind;
use common::totp::Algorithm;

pub(super) fn kinds() -> impl TypedValueParser<Value = Kind> {
    PossibleValuesParser::new(Kind::ALL.iter().map(|kind| kind.word())).try_map(|word| word.parse())
}

/// A whole number. The command itself refuses one that is out of range.
pub(super) fn number<T: FromStr>(text: &str) -> Result<T, &'static str> {
    text.parse()
        .map_err(|_| "this is not a whole number, or it is too large")
}

pub(super) fn algorithms() -> impl TypedValueParser<Value = Algorithm> {
    PossibleValuesParser::new(Algorithm::ALL.iter().map(|alg| alg.word()))
        .try_map(|word| word.parse())
}
