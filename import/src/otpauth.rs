//! Lists of `otpauth://` URIs, one a line: what most programs import and export.
//!
//! Form: <https://github.com/google/google-authenticator/wiki/Key-Uri-Format>. The label is the user.

use common::lineage::uri;

use crate::{BadFile, Entry, Item, lines};

/// Reads the lines.
///
/// # Errors
/// [`BadFile`]; a bad line is an item of its own.
pub fn read(bytes: &[u8]) -> Result<Vec<Item>, BadFile> {
    lines::entries(bytes, |line| {
        let shared = uri::parse_shared(line)?;
        Ok(Some(vec![Entry::try_from(shared)?]))
    })
}

#[cfg(test)]
mod tests {
    use common::names::device::Kind;

    use super::*;
    use crate::Place;

    #[test]
    fn a_line_is_an_entry_and_a_bad_one_does_not_stop_the_others() {
        let text = "\u{feff}# phones\n\
             otpauth://totp/Co:alice?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Co\n\n\
             otpauth://totp/bob?secret=GEZDGNBVGY3TQOJQ&secret=AAAA\r\n\
             otpauth://hotp/carol?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&counter=9";
        let items = read(text.as_bytes()).unwrap();
        let places: Vec<Place> = items.iter().map(|item| item.place).collect();
        assert_eq!(places, [2, 4, 5].map(Place::Line));
        let [alice, bob, carol] = <[Item; 3]>::try_from(items).unwrap();
        let (alice, carol) = (alice.entry.unwrap(), carol.entry.unwrap());
        assert_eq!(alice.user.as_deref(), Some("alice"));
        assert_eq!(alice.issuer.unwrap().as_str(), "Co");
        assert!(bob.entry.unwrap_err().to_string().contains("twice"));
        assert_eq!((carol.kind, carol.counter), (Kind::Hotp, Some(9)));
    }
}
