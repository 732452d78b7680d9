//! The plain JSON export of the app Aegis.
//!
//! Form: <https://github.com/beemdevelopment/Aegis/blob/master/docs/vault.md>, `db` of a vault that
//! is not encrypted.

use common::secret::{Key, SecretText};
use serde::Deserialize;
use serde_json::Value;

use crate::problem::not_json;
use crate::{BadFile, Entry, Item, Problem, numbered, text, within_limits};

/// Reads the export.
///
/// # Errors
/// [`BadFile`]; a bad entry is an item of its own.
pub fn read(bytes: &[u8]) -> Result<Vec<Item>, BadFile> {
    let vault: Vault<'_> = serde_json::from_str(text(bytes)?).map_err(|e| not_json(&e))?;
    // An encrypted vault is a string of base64.
    if vault.db.get().starts_with('"') {
        return Err(BadFile::Encrypted);
    }
    let db: Database = serde_json::from_str(vault.db.get()).map_err(|e| not_json(&e))?;
    let entries = db.entries.into_iter().enumerate();
    within_limits(
        entries
            .map(|(index, shown)| numbered(index, shown.entry()))
            .collect(),
    )
}

#[derive(Deserialize)]
struct Vault<'a> {
    #[serde(borrow)]
    db: &'a serde_json::value::RawValue,
}

#[derive(Deserialize)]
struct Database {
    entries: Vec<Shown>,
}

#[derive(Deserialize)]
struct Shown {
    r#type: String,
    name: Option<String>,
    issuer: Option<String>,
    info: Info,
}

#[derive(Deserialize)]
struct Info {
    secret: SecretText,
    algo: Option<String>,
    digits: Option<u64>,
    period: Option<u64>,
    counter: Option<Value>,
}

impl Shown {
    fn entry(self) -> Result<Entry, Problem> {
        let info = &self.info;
        let parameters = crate::entry::parameters(info.algo.as_deref(), info.digits, info.period)?;
        let key = Key::from_base32(info.secret.expose())?;
        let counter = info.counter.as_ref().and_then(Value::as_u64);
        let entry = Entry::of_kind(&self.r#type, key, parameters, counter)?;
        entry.shown_as(self.name.as_deref(), self.issuer.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Place;

    const EXPORT: &str = r#"{"version":1,"header":{"slots":null,"params":null},"db":{"version":3,"entries":[
      {"type":"totp","uuid":"3ae6f1ad-2e65-4ed2-a953-1ec0dff2386d","name":"alice","issuer":"Example","note":"","favorite":false,
       "icon":null,"info":{"secret":"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ","algo":"SHA256","digits":8,"period":60},"groups":[]},
      {"type":"hotp","name":"bob","issuer":"","info":{"secret":"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ","algo":"SHA1","digits":6,"counter":50}},
      {"type":"steam","name":"carol","issuer":"","info":{"secret":"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ","algo":"SHA1","digits":5,"period":30}},
      {"type":"hotp","name":"dave","issuer":"","info":{"secret":"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"}}],"groups":[]}}"#;

    #[test]
    fn entries_are_read_and_a_bad_one_is_named_by_its_number() {
        let items = read(EXPORT.as_bytes()).unwrap();
        let [alice, bob, carol, dave] = <[Item; 4]>::try_from(items).unwrap();
        let alice = alice.entry.unwrap();
        assert_eq!(alice.user.as_deref(), Some("alice"));
        assert_eq!((alice.parameters.digits, alice.parameters.period), (8, 60));
        assert_eq!(bob.entry.unwrap().counter, Some(50));
        assert_eq!(carol.place, Place::Entry(3));
        assert!(carol.entry.is_err(), "a code of five letters");
        assert_eq!(dave.entry.unwrap_err(), Problem::NoCounter);
    }

    #[test]
    fn what_is_encrypted_or_no_export_is_refused() {
        let encrypted = r#"{"version":1,"header":{"slots":[]},"db":"AAAA"}"#;
        assert_eq!(read(encrypted.as_bytes()).unwrap_err(), BadFile::Encrypted);
        for text in ["", "[]", "{}", "{\"db\":{}}", &EXPORT[..EXPORT.len() - 9]] {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
        let deep = "[".repeat(100_000);
        assert!(read(deep.as_bytes()).is_err());
    }
}
