//! Options that take one of a few words: what the words are, `common` knows.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use common::device::Kind;
use common::totp::Algorithm;

pub(super) fn kinds() -> impl TypedValueParser<Value = Kind> {
    PossibleValuesParser::new(Kind::ALL.iter().map(|kind| kind.word())).try_map(|word| word.parse())
}

pub(super) fn algorithms() -> impl TypedValueParser<Value = Algorithm> {
    PossibleValuesParser::new(Algorithm::ALL.iter().map(|alg| alg.word())).try_map(|word| word.parse())
}
