//! The macro `words!`: enums whose members have one word each on the wire, in the log and on the
//! command line.

/// Defines an enum with the word of each member. It travels as that word.
macro_rules! words {
    (
        $(#[$about:meta])*
        pub enum $name:ident {
            $($(#[$doc:meta])* $member:ident = $word:literal),+ $(,)?
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[$doc])* #[serde(rename = $word)] $member),+
        }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$member),+];

            /// Its word.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$member => $word),+
                }
            }
        }
    };
}

pub(crate) use words;

#[cfg(test)]
mod tests {
    use crate::names::device::Kind;
    use crate::wire::protocol::{DeviceState, Verdict};

    #[test]
    fn what_travels_is_the_word() {
        assert_eq!(
            serde_json::to_string(Verdict::ALL).unwrap(),
            quoted(Verdict::ALL.iter().map(|v| v.word()))
        );
        assert_eq!(
            serde_json::to_string(DeviceState::ALL).unwrap(),
            quoted(DeviceState::ALL.iter().map(|s| s.word()))
        );
        assert_eq!(
            serde_json::to_string(Kind::ALL).unwrap(),
            r#"["totp","hotp"]"#
        );
    }

    fn quoted<'a>(words: impl Iterator<Item = &'a str>) -> String {
        format!("[\"{}\"]", words.collect::<Vec<_>>().join("\",\""))
    }
}
