//! Secret types: typed text and keys. No `Clone`, a `Debug` that prints nothing, one accessor
//! (`expose`), wiped on drop. Codes that the user types are parsed in [`crate::answer`].

use std::fmt;
use std::sync::LazyLock;

use data_encoding::{BASE32, BASE32_NOPAD, Encoding};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

/// A secret text in transit: typed text, a key in base32, an `otpauth://` URI.
#[derive(Default)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Takes the text over; it is wiped when dropped.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Text typed at a prompt. Text that cannot be a code (more than [`MAX_TYPED`] bytes, or not
    /// UTF-8) becomes the empty text, which the daemon calls malformed.
    #[must_use]
    pub fn typed(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) if text.len() <= MAX_TYPED => Self::new(text.to_owned()),
            _ => Self::default(),
        }
    }

    /// The secret itself. The caller must not let it leak.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}

impl Serialize for SecretText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose())
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

/// The secret bytes of one device: 10 to 64 bytes.
pub struct Key(Zeroizing<Vec<u8>>);

impl Key {
    /// Takes the bytes over; they are wiped when dropped.
    ///
    /// # Errors
    /// [`BadKey::Length`] outside 10 to 64 bytes.
    pub fn new(bytes: Vec<u8>) -> Result<Self, BadKey> {
        let bytes = Zeroizing::new(bytes);
        if KEY_BYTES.contains(&bytes.len()) {
            Ok(Self(bytes))
        } else {
            Err(BadKey::Length)
        }
    }

    /// A key of `bytes` random bytes from the system (getrandom(2)). `None`: the system gives none.
    #[cfg(feature = "sealing")]
    #[must_use]
    pub fn random(bytes: usize) -> Option<Self> {
        let mut random = Zeroizing::new(vec![0; bytes]);
        getrandom::fill(&mut random).ok()?;
        Self::new(std::mem::take(&mut *random)).ok()
    }

    /// Parses base32 (RFC 4648) as users paste it: either case, with or without padding, spaces and
    /// hyphens. Bits left over at the end are ignored, as other programs do: some systems make keys
    /// of random letters.
    ///
    /// # Errors
    /// Anything else.
    pub fn from_base32(text: &str) -> Result<Self, BadKey> {
        let mut base32 = without_separators(text).ok_or(BadKey::Length)?;
        base32.make_ascii_uppercase();
        decode_base32(&base32)
            .ok_or(BadKey::Base32)
            .and_then(Self::new)
    }

    /// The key in base32, upper case, without padding: the form that authenticators and URIs use.
    #[must_use]
    pub fn to_base32(&self) -> SecretText {
        SecretText::new(BASE32_NOPAD.encode(self.expose()))
    }

    /// The length, if it is less than [`STRONG_BITS`].
    #[must_use]
    pub fn weak_bits(&self) -> Option<u32> {
        weak_bits(self.0.len())
    }

    /// The secret itself. The caller must not let it leak.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// The bits of a key of so many bytes, if they are fewer than [`STRONG_BITS`].
#[must_use]
pub fn weak_bits(bytes: usize) -> Option<u32> {
    let bits = bytes.saturating_mul(8);
    let weak = (bits < STRONG_BITS).then_some(bits)?;
    u32::try_from(weak).ok()
}

/// Why a text or bytes are not a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// Not base32.
    #[error("the key is not base32: use the letters A to Z and the digits 2 to 7")]
    Base32,
    /// Too short to be safe, or longer than any authenticator's.
    #[error("a key has 10 to 64 bytes (16 to 103 base32 characters)")]
    Length,
}

/// The bytes of a text in base32, upper case, with whole padding or none. Bits left over at the end
/// are ignored; a letter that adds no bit to any byte is not.
pub(crate) fn decode_base32(text: &str) -> Option<Vec<u8>> {
    static LENIENT: LazyLock<[Encoding; 2]> =
        LazyLock::new(|| [&BASE32, &BASE32_NOPAD].map(lenient));
    let [padded, plain] = &*LENIENT;
    let encoding = if text.contains('=') { padded } else { plain };
    encoding.decode(text.as_bytes()).ok()
}

fn lenient(strict: &Encoding) -> Encoding {
    let mut specification = strict.specification();
    specification.check_trailing_bits = false;
    specification.encoding().unwrap_or_else(|_| strict.clone())
}

/// A plain code or a typed key without what users type for legibility: ASCII spaces and hyphens are
/// dropped wherever they stand, and nothing else is. `None`: the text has more than [`MAX_TYPED`] bytes.
pub(crate) fn without_separators(typed: &str) -> Option<Zeroizing<String>> {
    if typed.len() > MAX_TYPED {
        return None;
    }
    // Room for all of it: a text that grew would leave a copy behind.
    let mut kept = Zeroizing::new(String::with_capacity(typed.len()));
    kept.extend(typed.chars().filter(|c| !matches!(c, ' ' | '-')));
    Some(kept)
}

/// The longest typed text, in bytes (`PAM_MAX_RESP_SIZE`).
pub const MAX_TYPED: usize = 512;
/// The fewest bits of a key that is taken without a word from the administrator (RFC 4226 section 4, R6).
pub const STRONG_BITS: usize = 128;
/// Bytes in a key: from the shortest in the wild (80 bits) to the block of the widest hash.
pub const KEY_BYTES: std::ops::RangeInclusive<usize> = 10..=64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_text_is_typed_as_nothing() {
        assert_eq!(SecretText::typed(b"\xff123456").expose(), "");
        assert_eq!(SecretText::typed(&[b'1'; 513]).expose(), "");
        assert_eq!(SecretText::typed(&[b'1'; 512]).expose().len(), 512);
    }

    #[test]
    fn spaces_and_hyphens_are_dropped_and_nothing_else() {
        assert_eq!(
            *without_separators(" 12-3 -\t4\u{2010}5=").unwrap(),
            "123\t4\u{2010}5="
        );
        assert_eq!(without_separators(&"-".repeat(512)).unwrap().len(), 0);
        assert!(without_separators(&"-".repeat(513)).is_none());
    }

    #[test]
    fn keys_are_read_in_the_forms_that_people_paste() {
        let key = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
        for text in [
            key,
            "gezd gnbv gy3t qojq gezd gnbv gy3t qojq",
            "GEZD-GNBV-GY3T-QOJQ-GEZD-GNBV-GY3T-QOJQ",
        ] {
            assert_eq!(
                Key::from_base32(text).unwrap().expose(),
                b"12345678901234567890"
            );
        }
        assert_eq!(
            Key::from_base32("GEZDGNBVGY3TQOJQGE======")
                .unwrap()
                .to_base32()
                .expose(),
            "GEZDGNBVGY3TQOJQGE"
        );
    }

    #[test]
    fn spare_bits_at_the_end_of_a_key_are_ignored() {
        for (text, same) in [
            ("JBSWY3DPEHPK3PXPJBSWY3DPEB", "JBSWY3DPEHPK3PXPJBSWY3DPEA"),
            ("GEZDGNBVGY3TQOJQGF======", "GEZDGNBVGY3TQOJQGE======"),
            ("gezd-gnbv-gy3t-qojq-gf", "GEZDGNBVGY3TQOJQGE"),
        ] {
            let [text, same] = [text, same].map(|text| Key::from_base32(text).unwrap());
            assert_eq!(text.expose(), same.expose());
        }
    }

    #[test]
    fn keys_that_were_cut_or_mistyped_are_refused() {
        for text in [
            "GEZDGNBVGY3TQOJ1",
            "GEZDGNBVGY3TQOJQG",
            "GEZDGNBVGY3TQOJQGE=====",
            "GEZDGNBVGY3TQOJQ\n",
            "ÄEZDGNBVGY3TQOJQ",
        ] {
            assert!(
                matches!(Key::from_base32(text), Err(BadKey::Base32)),
                "{text:?}"
            );
        }
        for text in [
            "",
            "GEZDGNBVGY3TQOI",
            &"A".repeat(108),
            &"A".repeat(1 << 20),
        ] {
            assert!(Key::from_base32(text).is_err(), "{}", text.len());
        }
    }

    #[test]
    fn no_secret_prints_itself() {
        let key = Key::new(vec![0x41; 20]).unwrap();
        assert_eq!(
            format!("{:?} {key:?}", SecretText::new("hunter2".into())),
            "SecretText(…) Key(…)"
        );
    }
}
