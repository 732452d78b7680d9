//! Fuzzes the reader of what a login host keeps of a user, and the verdict by it: any bytes are taken, and what is
//! read is what is written.

#![no_main]
#![forbid(unsafe_code)]

use common::answer::Answer;
use common::secret::SecretText;
use libfuzzer_sys::fuzz_target;
use provisiond::policy::offline::judge;
use provisiond::record::offline::{Kept, sealed};

fuzz_target!(|bytes: &[u8]| {
    let _ = Kept::parse_any(bytes);
    // The checksum keeps a fuzzer out: this file has a right one.
    let Some((user, kept)) = Kept::parse_any(&sealed(bytes)) else {
        return;
    };
    let written = kept.to_bytes().expect("what was read can be written");
    assert_eq!(Kept::parse(&written, &user).as_ref(), Some(&kept));
    let answer = Answer::parse(&[SecretText::new("755224 287082".to_owned())]).expect("two codes");
    let cheap = Kept {
        iterations: 1,
        ..kept
    };
    let now = bytes
        .iter()
        .fold(0u64, |now, byte| now << 8 | u64::from(*byte));
    let judged = judge(&cheap, Some(&answer), "sshd", now);
    let next = judged.next.expect("two codes were judged");
    assert!(
        next.to_bytes().is_some(),
        "the file stays within its bounds"
    );
});
