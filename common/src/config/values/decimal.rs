//! Numbers of the settings: decimal digits only. YAML also reads `0b11`, `0x1f`, `0o17` and `+5` as
//! numbers, and an administrator who reads such a line may take it for another one.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

/// A whole number, written in decimal digits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decimal<T>(pub(crate) T);

impl<'de, T: FromStr> Deserialize<'de> for Decimal<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // As text: read as a number, the digits are gone.
        deserializer.deserialize_str(DecimalVisitor(PhantomData))
    }
}

struct DecimalVisitor<T>(PhantomData<T>);

impl<T: FromStr> Visitor<'_> for DecimalVisitor<T> {
    type Value = Decimal<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Decimal<T>, E> {
        let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit());
        let is_plain = is_decimal && (text == "0" || !text.starts_with('0'));
        let number = text.parse().ok().filter(|_| is_plain);
        number.map(Decimal).ok_or_else(|| E::custom(NOT_ONE))
    }
}

const EXPECTED: &str = "a whole number in decimal digits";
const NOT_ONE: &str = "no whole number in decimal digits, or too large a one: write it as '5'";
