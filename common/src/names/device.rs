//! The name of a device, chosen when it is enrolled, and its kind (TOTP or HOTP).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::words::words;

/// A device's name: 1 to 32 letters, digits, `.`, `_`, `-` of ASCII, beginning with a letter or a
/// digit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeviceName(String);

impl DeviceName {
    /// Checks a name from the socket or the command line.
    ///
    /// # Errors
    /// [`BadDeviceName`]: its sentence says what a name is.
    pub fn new(name: &str) -> Result<Self, BadDeviceName> {
        let ordinary = name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
        let begins_well = name.starts_with(|c: char| c.is_ascii_alphanumeric());
        if ordinary && begins_well && name.len() <= MAX_BYTES {
            Ok(Self(name.to_owned()))
        } else {
            Err(BadDeviceName)
        }
    }

    /// The default name of the `n`th device of a user: `default`, `device-2`, `device-3`, …
    #[must_use]
    pub fn nth(n: usize) -> Self {
        Self(if n <= 1 {
            "default".to_owned()
        } else {
            format!("device-{n}")
        })
    }

    /// The name, byte for byte.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for DeviceName {
    type Error = BadDeviceName;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::new(&name)
    }
}

impl From<DeviceName> for String {
    fn from(name: DeviceName) -> Self {
        name.0
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is not a device name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a device name has 1 to {MAX_BYTES} letters, digits, '.', '_' or '-', and begins with a letter or a digit"
)]
pub struct BadDeviceName;

words! {
    /// Whether a device's codes depend on the time or on a counter.
    #[derive(Default)]
    pub enum Kind {
        /// Time-based (RFC 6238).
        #[default]
        Totp = "totp",
        /// Counter-based (RFC 4226): each press of the device's button shows the next code.
        Hotp = "hotp",
    }
}

impl FromStr for Kind {
    type Err = BadKind;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .iter()
            .copied()
            .find(|kind| kind.word() == text)
            .ok_or(BadKind)
    }
}

/// There is no such kind of device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the kind of a device must be totp or hotp")]
pub struct BadKind;

/// The longest device name, in bytes: eight of them must fit in one stored record.
pub const MAX_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_names_are_short_plain_words() {
        for name in ["default", "device-2", "Pixel_9.work", "2"] {
            assert_eq!(DeviceName::new(name).unwrap().as_str(), name);
        }
        for name in [
            "",
            "-x",
            ".hidden",
            "my phone",
            "a/b",
            "é",
            "a\n",
            &"a".repeat(33),
        ] {
            assert_eq!(DeviceName::new(name), Err(BadDeviceName), "{name:?}");
        }
    }

    #[test]
    fn unnamed_devices_are_counted() {
        assert_eq!(DeviceName::nth(1).as_str(), "default");
        assert_eq!(DeviceName::nth(2).as_str(), "device-2");
    }
}
