//! A stored key record in JSON: passlib's form (`to_json`, `from_source`), and the same form with
//! our own sealed key.
//!
//! Knows the form and its limits. Parameters that a record leaves out are passlib's defaults
//! (SHA-1, 6 digits, 30 seconds), whatever the settings say: the authenticator was set up with
//! these.

use data_encoding::{BASE32_NOPAD, HEXLOWER};

use crate::enckey::{Binding, CannotOpen, Enckey};
use crate::lineage::enckey::{EnckeyV1, MAX_COST};
use crate::lineage::json::JsonObject;
pub use crate::lineage::reading::parameters;
use crate::lineage::uri::BadUri;
use crate::lineage::{reading, uri};
use crate::names::device::Kind;
use crate::names::user::UserName;
use crate::otpauth::Label;
use crate::secret::{BadKey, Key, SecretText};
use crate::secrets::Secrets;
use crate::totp::Parameters;

/// A key and the parameters of its codes, as stored.
#[derive(Debug)]
pub struct KeyRecord {
    /// The key, sealed or not.
    pub key: StoredKey,
    /// Hash, digits, period.
    pub parameters: Parameters,
    /// The account's name, as an authenticator shows it.
    pub label: Option<Label>,
    /// The place to log in to. passlib leaves its configured issuer out of a record: where it is
    /// missing, use that of the settings.
    pub issuer: Option<Label>,
}

/// A key as a record holds it.
#[derive(Debug)]
pub enum StoredKey {
    /// Sealed as passlib does (version 1).
    V1(EnckeyV1),
    /// Sealed as version 2, bound to its place, which the record names.
    V2 {
        /// The sealed key.
        enckey: Enckey,
        /// The user that has the device.
        user: UserName,
        /// The device's random identity.
        device: [u8; 16],
    },
    /// Not sealed: to be sealed before it is stored.
    Plain(Key),
}

impl KeyRecord {
    /// Reads a record in JSON, or a text that begins with `otpauth://`.
    ///
    /// # Errors
    /// [`BadRecord`], which never shows a part of the text.
    pub fn parse(text: &str) -> Result<Self, BadRecord> {
        if text.len() > MAX_TEXT {
            return Err(BadRecord::TooLong);
        }
        if text.starts_with(uri::SCHEME) {
            uri::parse(text)
        } else {
            reading::record(text)
        }
    }

    /// The record in JSON: sorted members, no white space, ASCII only, defaults left out. For a
    /// plain key and for version 1 it is, byte for byte, what passlib writes.
    #[must_use]
    pub fn to_json(&self) -> SecretText {
        let defaults = Parameters::default();
        let Parameters {
            alg,
            digits,
            period,
        } = self.parameters;
        let mut json = JsonObject::new();
        json.text_if("alg", (alg != defaults.alg).then(|| alg.word()));
        if let StoredKey::V2 { device, .. } = &self.key {
            json.text("device", &HEXLOWER.encode(device));
        }
        if digits != defaults.digits {
            json.number("digits", digits.into());
        }
        self.key.write_sealed(&mut json);
        json.text_if("issuer", self.issuer.as_ref().map(Label::as_str));
        if let StoredKey::Plain(key) = &self.key {
            json.text("key", key.to_base32().expose());
        }
        json.text_if("label", self.label.as_ref().map(Label::as_str));
        if period != defaults.period {
            json.number("period", period);
        }
        json.text("type", "totp");
        if let StoredKey::V2 { user, .. } = &self.key {
            json.text("user", user.as_str());
        }
        json.number("v", 1);
        json.finish()
    }

    /// The key itself.
    ///
    /// # Errors
    /// [`CannotOpen`], one for every reason.
    pub fn open(&self, secrets: &Secrets) -> Result<Key, CannotOpen> {
        match &self.key {
            StoredKey::V1(enckey) => enckey.open(secrets),
            StoredKey::V2 {
                enckey,
                user,
                device,
            } => enckey.open(
                secrets,
                &Binding {
                    user,
                    device,
                    kind: Kind::Totp.word(),
                    parameters: self.parameters,
                },
            ),
            StoredKey::Plain(key) => Key::new(key.expose().to_vec()).map_err(|_| CannotOpen),
        }
    }

    /// Whether the key should be sealed again: under another tag than the default, with another
    /// cost than `cost` (version 1), or not sealed at all.
    #[must_use]
    pub fn changed(&self, secrets: &Secrets, cost: u32) -> bool {
        let default_tag = secrets.default_tag().as_str();
        match &self.key {
            StoredKey::V1(enckey) => enckey.tag != default_tag || enckey.cost != cost,
            StoredKey::V2 { enckey, .. } => enckey.tag() != default_tag,
            StoredKey::Plain(_) => true,
        }
    }
}

impl StoredKey {
    fn write_sealed(&self, json: &mut JsonObject) {
        let (cost, sealed, salt, tag, version) = match self {
            Self::V1(enckey) => (
                Some(enckey.cost),
                &*enckey.sealed,
                &*enckey.salt,
                &*enckey.tag,
                1,
            ),
            Self::V2 { enckey, .. } => (None, enckey.sealed(), &enckey.salt()[..], enckey.tag(), 2),
            Self::Plain(_) => return,
        };
        json.object("enckey", |json| {
            if let Some(cost) = cost {
                json.number("c", cost);
            }
            json.text("k", &BASE32_NOPAD.encode(sealed));
            json.text("s", &BASE32_NOPAD.encode(salt));
            json.text("t", tag);
            json.number("v", version);
        });
    }
}

/// Why a text is not a record that is taken, and the next step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRecord {
    /// Larger than any record.
    #[error("the record is longer than {MAX_TEXT} bytes: check that it is a record")]
    TooLong,
    /// Not JSON, or not that object. Quoting it could show a key.
    #[error(
        "line {line}, column {column}: this is not a record as passlib writes it: every member must be known, of the right \
         type, and present once"
    )]
    Json {
        /// Where reading stopped.
        line: usize,
        /// Where in the line.
        column: usize,
    },
    /// Counter-based, or something else.
    #[error("the record's type is not 'totp': only time-based keys are read")]
    Type,
    /// An unknown form.
    #[error("the record's version is not 1: it comes from a newer program")]
    Version,
    /// A sealed key of an unknown form.
    #[error(
        "the version of the sealed key is neither 1 nor 2, or a member of its version is missing"
    )]
    EnckeyVersion,
    /// Nothing to open.
    #[error("the record has neither 'enckey' nor 'key'")]
    NoKey,
    /// Two keys: it is unclear which one is right.
    #[error("the record has both 'enckey' and 'key': keep the one that belongs to it")]
    TwoKeys,
    /// The plain key.
    #[error(transparent)]
    Key(#[from] BadKey),
    /// Salt or sealed key cut or mistyped.
    #[error(
        "the salt or the text of the sealed key is not base32 of a possible length: it was cut or mistyped"
    )]
    Sealed,
    /// It would take minutes to open.
    #[error(
        "the sealed key's cost is above {MAX_COST}: seal it with a lower one where it comes from"
    )]
    Cost,
    /// Not a tag.
    #[error("the sealed key's tag is not a valid tag")]
    Tag,
    /// An unknown hash.
    #[error("the algorithm must be sha1, sha256 or sha512: authenticators know no other")]
    Algorithm,
    /// Too few or too many digits.
    #[error("a code has 6 to 10 digits")]
    Digits,
    /// Too long a period, or none.
    #[error("a period has 1 to {MAX_PERIOD} seconds")]
    Period,
    /// A text that authenticators would refuse.
    #[error("a label or an issuer has at most 400 bytes and no ':'")]
    Label,
    /// Version 2 without its place, or another version with one.
    #[error(
        "a sealed key of version 2 needs 'user' and 'device' (32 hexadecimal digits), and no other key may have them"
    )]
    Place,
    /// The URI.
    #[error(transparent)]
    Uri(#[from] BadUri),
}

/// The longest text that is read, in bytes.
pub const MAX_TEXT: usize = 64 * 1024;
/// The longest period that is read, in seconds: a day.
pub const MAX_PERIOD: u32 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::TaggedSecrets;

    const KEY: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
    const DEVICE: [u8; 16] = [0xab; 16];

    fn secrets() -> Secrets {
        Secrets::new(
            TaggedSecrets::from_text("1: 0123456789abcdef\n2: fedcba9876543210\n").unwrap(),
            None,
        )
        .unwrap()
    }

    fn sealed_for(user: &str) -> KeyRecord {
        let (user, parameters) = (
            UserName::new(user).unwrap(),
            Parameters {
                period: 60,
                ..Parameters::default()
            },
        );
        let binding = Binding {
            user: &user,
            device: &DEVICE,
            kind: Kind::Totp.word(),
            parameters,
        };
        let enckey = Enckey::seal(&Key::from_base32(KEY).unwrap(), &secrets(), &binding).unwrap();
        let key = StoredKey::V2 {
            enckey,
            user,
            device: DEVICE,
        };
        KeyRecord {
            key,
            parameters,
            label: Some(Label::new("a").unwrap()),
            issuer: None,
        }
    }

    fn refusal(json: &str) -> BadRecord {
        KeyRecord::parse(&json.replace("KEY", KEY)).expect_err(json)
    }

    #[test]
    fn our_sealed_key_is_written_and_read_with_its_place() {
        let written = sealed_for("jürgen").to_json();
        let text = written.expose();
        assert!(
            text.starts_with(
                "{\"device\":\"abababababababababababababababab\",\"enckey\":{\"k\":\""
            ),
            "{text}"
        );
        let end = "\"t\":\"2\",\"v\":2},\"label\":\"a\",\"period\":60,\"type\":\"totp\",\"user\":\"j\\u00fcrgen\",\"v\":1}";
        assert!(text.ends_with(end), "{text}");
        let read = KeyRecord::parse(text).unwrap();
        assert_eq!(read.open(&secrets()).unwrap().to_base32().expose(), KEY);
        assert_eq!(read.to_json().expose(), text);
        assert!(!read.changed(&secrets(), 14));
    }

    #[test]
    fn our_sealed_key_opens_in_its_place_alone() {
        let written = sealed_for("alice").to_json();
        for (from, to) in [
            ("\"alice\"", "\"bob\""),
            ("abab", "abac"),
            ("\"period\":60", "\"period\":30"),
            ("\"period\":60", "\"alg\":\"sha256\",\"period\":60"),
            ("\"period\":60", "\"digits\":7,\"period\":60"),
            ("\"t\":\"2\"", "\"t\":\"1\""),
            ("\"t\":\"2\"", "\"t\":\"3\""),
        ] {
            let moved = written.expose().replacen(from, to, 1);
            assert_ne!(moved, written.expose());
            assert_eq!(
                KeyRecord::parse(&moved).unwrap().open(&secrets()).err(),
                Some(CannotOpen),
                "{to}"
            );
        }
        let relabelled = written
            .expose()
            .replace("\"label\":\"a\"", "\"label\":\"b\"");
        assert!(
            KeyRecord::parse(&relabelled)
                .unwrap()
                .open(&secrets())
                .is_ok(),
            "a label is only shown"
        );
    }

    #[test]
    fn a_place_belongs_to_version_2_and_to_nothing_else() {
        let place = "\"user\":\"alice\",\"device\":\"abababababababababababababababab\"";
        for json in [
            format!(r#"{{"type":"totp","v":1,"key":"KEY",{place}}}"#),
            format!(
                r#"{{"type":"totp","v":1,"enckey":{{"v":1,"c":1,"t":"1","s":"MFRGG","k":"KEY"}},{place}}}"#
            ),
            sealed_for("alice")
                .to_json()
                .expose()
                .replace(",\"user\":\"alice\"", ""),
            sealed_for("alice")
                .to_json()
                .expose()
                .replace("abab", "ABAB"),
            sealed_for("alice")
                .to_json()
                .expose()
                .replace("\"alice\"", "\"a:b\""),
        ] {
            assert_eq!(refusal(&json), BadRecord::Place, "{json}");
        }
    }

    #[test]
    fn null_is_no_key_and_no_place() {
        let sealed = sealed_for("alice").to_json();
        for json in [
            r#"{"type":"totp","v":1,"key":"KEY","enckey":null}"#.to_owned(),
            r#"{"type":"totp","v":1,"key":"KEY","user":null,"device":null}"#.to_owned(),
            r#"{"type":"totp","v":1,"key":"KEY","user":null}"#.to_owned(),
            sealed.expose().replace("\"type\"", "\"key\":null,\"type\""),
        ] {
            assert!(
                matches!(refusal(&json), BadRecord::Json { .. } | BadRecord::TwoKeys),
                "{json}"
            );
        }
        let nothing = r#""alg":null,"digits":null,"period":null,"label":null,"issuer":null"#;
        assert!(
            KeyRecord::parse(&format!(
                r#"{{"type":"totp","v":1,"key":"{KEY}",{nothing}}}"#
            ))
            .is_ok()
        );
    }

    #[test]
    fn refusals_say_what_to_do() {
        for (json, why) in [
            (r#"{"type":"hotp","v":1,"key":"KEY"}"#, BadRecord::Type),
            (r#"{"type":"totp","v":2,"key":"KEY"}"#, BadRecord::Version),
            (r#"{"type":"totp","v":1}"#, BadRecord::NoKey),
            (
                r#"{"type":"totp","v":1,"key":"KEY","enckey":{}}"#,
                BadRecord::TwoKeys,
            ),
            (
                r#"{"type":"totp","v":1,"key":"KEY","digits":11}"#,
                BadRecord::Digits,
            ),
            (
                r#"{"type":"totp","v":1,"key":"KEY","period":86401}"#,
                BadRecord::Period,
            ),
            (
                r#"{"type":"totp","v":1,"key":"KEY","alg":"md5"}"#,
                BadRecord::Algorithm,
            ),
            (
                r#"{"type":"totp","v":1,"key":"KEY","label":"a:b"}"#,
                BadRecord::Label,
            ),
            (
                r#"{"type":"totp","v":1,"key":"MFRGG"}"#,
                BadRecord::Key(BadKey::Length),
            ),
            (
                r#"["totp",1,null,"KEY"]"#,
                BadRecord::Json { line: 0, column: 0 },
            ),
        ] {
            assert_eq!(refusal(json), why, "{json}");
        }
    }

    #[test]
    fn refusals_of_an_encrypted_key_say_what_to_do() {
        for (enckey, why) in [
            (
                r#""v":1,"c":23,"t":"1","s":"MFRGG","k":"KEY""#,
                BadRecord::Cost,
            ),
            (
                r#""v":1,"c":18446744073709551615,"t":"1","s":"MFRGG","k":"KEY""#,
                BadRecord::Cost,
            ),
            (
                r#""v":1,"c":1,"t":"a b","s":"MFRGG","k":"KEY""#,
                BadRecord::Tag,
            ),
            (r#""v":1,"c":1,"t":"1","s":"","k":"KEY""#, BadRecord::Sealed),
            (
                r#""v":1,"t":"1","s":"MFRGG","k":"KEY""#,
                BadRecord::EnckeyVersion,
            ),
            (
                r#""v":3,"t":"1","s":"MFRGG","k":"KEY""#,
                BadRecord::EnckeyVersion,
            ),
        ] {
            let json = format!(r#"{{"type":"totp","v":1,"enckey":{{{enckey}}}}}"#);
            assert_eq!(refusal(&json), why, "{json}");
        }
    }

    #[test]
    fn text_that_is_no_record_or_too_long_is_refused() {
        let misspelt = refusal("{\n\"type\":\"totp\",\"v\":1,\"kee\":\"KEY\"}");
        assert!(matches!(misspelt, BadRecord::Json { line: 2, .. }));
        let nested = refusal(&"{\"enckey\":".repeat(6000));
        assert!(matches!(nested, BadRecord::Json { .. }));
        assert_eq!(refusal(&" ".repeat(MAX_TEXT + 1)), BadRecord::TooLong);
    }
}
