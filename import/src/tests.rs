//! Whatever comes in, no reader panics, and no reason shows a part of the file.

use common::secret::SecretText;
use proptest::prelude::*;

use super::*;

/// One file of each format.
const SAMPLES: [&str; 7] = [
    "otpauth://hotp/Co:a?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&counter=9&issuer=Co\n",
    "KJGNNK7A3FCUGC753AU5BKGY74\n\" DISALLOW_REUSE 59866975\n\" TIME_SKEW -2\n\" TOTP_AUTH\n81954280\n",
    "HOTP/T30/8 bob - 3132333435363738393031323334353637383930 0 050471 2005-03-18T01:58:31L\n",
    "otpauth-migration://offline?data=CjEKCkhlbGxvId6tvu8SGEV4YW1wbGU6YWxpY2VAZ29vZ2xlLmNvbRoHRXhhbXBsZTAC",
    r#"{"db":{"entries":[{"type":"hotp","name":"a","info":{"secret":"GEZDGNBVGY3TQOJQ","counter":5}}]}}"#,
    r#"[{"secret":"GEZDGNBVGY3TQOJQ","label":"a","type":"TOTP","algorithm":"SHA1","digits":6}]"#,
    "user,key,kind,counter\nalice,GEZDGNBVGY3TQOJQ,hotp,4\n",
];

fn readings(bytes: &[u8]) -> [Result<Vec<Item>, BadFile>; 8] {
    let secret = SecretText::new("12345678901234567890123456789012".to_owned());
    [
        otpauth::read(bytes),
        google_authenticator::read(bytes),
        users_oath::read(bytes, true),
        migration::read(bytes),
        aegis::read(bytes),
        andotp::read(bytes),
        table::read(bytes),
        pskc::read(bytes, Some(&secret)),
    ]
}

fn is_read_or_has_a_reason(bytes: &[u8]) {
    for items in readings(bytes).into_iter().flatten() {
        for item in items {
            if let Err(problem) = item.entry {
                let why = problem.to_string();
                assert!(!why.contains("GEZD") && !why.contains("KJGN"), "{why}");
            }
        }
    }
}

proptest! {
    #[test]
    fn random_bytes_are_read_or_have_a_reason(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        is_read_or_has_a_reason(&bytes);
    }

    #[test]
    fn damaged_files_are_read_or_have_a_reason(
        sample in prop::sample::select(&SAMPLES[..]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = sample.as_bytes().to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.index(bytes.len()).saturating_add(1));
        is_read_or_has_a_reason(&bytes);
    }
}

#[test]
fn huge_lines_and_files_are_refused() {
    let long = format!("otpauth://totp/a?secret={}\n", "A".repeat(MAX_LINE));
    let items = otpauth::read(long.as_bytes()).unwrap();
    assert_eq!(items[0].entry.as_ref().unwrap_err(), &Problem::TooLong);
    let huge = vec![b'#'; MAX_FILE + 1];
    for reading in readings(&huge) {
        assert_eq!(reading.unwrap_err(), BadFile::TooLong);
    }
    let many = "x\n".repeat(MAX_ENTRIES + 1);
    assert_eq!(
        otpauth::read(many.as_bytes()).unwrap_err(),
        BadFile::TooMany
    );
}
