//! The plain JSON backup of the app andOTP: an array of its accounts.

use common::secret::{Key, SecretText};
use serde::Deserialize;

use crate::problem::not_json;
use crate::{BadFile, Entry, Item, Problem, numbered, text, within_limits};

/// Reads the backup.
///
/// # Errors
/// [`BadFile`]; a bad account is an item of its own.
pub fn read(bytes: &[u8]) -> Result<Vec<Item>, BadFile> {
    let accounts: Vec<Account> = serde_json::from_str(text(bytes)?).map_err(|e| not_json(&e))?;
    let accounts = accounts.into_iter().enumerate();
    within_limits(
        accounts
            .map(|(index, account)| numbered(index, account.entry()))
            .collect(),
    )
}

#[derive(Deserialize)]
struct Account {
    secret: SecretText,
    issuer: Option<String>,
    label: Option<String>,
    r#type: String,
    algorithm: Option<String>,
    digits: Option<u64>,
    period: Option<u64>,
    counter: Option<u64>,
}

impl Account {
    fn entry(self) -> Result<Entry, Problem> {
        let parameters =
            crate::entry::parameters(self.algorithm.as_deref(), self.digits, self.period)?;
        let key = Key::from_base32(self.secret.expose())?;
        let entry = Entry::of_kind(&self.r#type, key, parameters, self.counter)?;
        entry.shown_as(self.label.as_deref(), self.issuer.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_read_and_a_bad_one_is_named_by_its_number() {
        let backup = r#"[{"secret":"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ","issuer":"Example","label":"alice","digits":6,"type":"TOTP",
            "algorithm":"SHA1","thumbnail":"Default","last_used":1,"used_frequency":0,"period":30,"tags":[]},
          {"secret":"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ","issuer":"","label":"bob","digits":6,"type":"HOTP","algorithm":"SHA1",
            "counter":3,"tags":[]},
          {"secret":"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ","label":"carol","type":"MOTP"}]"#;
        let items = read(backup.as_bytes()).unwrap();
        let [alice, bob, carol] = <[Item; 3]>::try_from(items).unwrap();
        assert_eq!(alice.entry.unwrap().user.as_deref(), Some("alice"));
        assert_eq!(bob.entry.unwrap().counter, Some(3));
        assert_eq!(carol.entry.unwrap_err(), Problem::Kind);
    }

    #[test]
    fn what_is_no_backup_is_refused() {
        for text in ["", "{}", "[]", "[{}]", "[1]"] {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
    }
}
