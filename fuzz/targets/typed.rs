//! Fuzzes typed codes, one field per line: a device reads one or two codes of its own length, or
//! none; or the text is an issued code, which is read the same when it is written out again.

#![no_main]
#![forbid(unsafe_code)]

use common::answer::plain::Plain;
use common::answer::{Answer, CODE_DIGITS, Code, MAX_CODES};
use common::issued::IssuedCode;
use common::secret::SecretText;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let fields: Vec<SecretText> = data
        .split(|byte| *byte == b'\n')
        .map(SecretText::typed)
        .collect();
    let Some(answer) = Answer::parse(&fields) else {
        return;
    };
    if let Some(code) = answer.issued() {
        assert!((0..=u8::MAX).all(|length| answer.codes(length).is_none()) && !answer.is_several());
        let again = IssuedCode::parse(code.shown().expose());
        assert!(again.is_some_and(|again| again.expose() == code.expose()));
        return;
    }
    let digits: String = fields
        .iter()
        .filter_map(|field| Plain::of(field.expose()))
        .flat_map(|plain| plain.expose().chars().collect::<Vec<_>>())
        .filter(char::is_ascii_digit)
        .collect();
    let mut readings = 0;
    for length in 0..=u8::MAX {
        let Some(codes) = answer.codes(length) else {
            continue;
        };
        readings += 1;
        assert!(
            CODE_DIGITS.contains(&usize::from(length)) && (1..=MAX_CODES).contains(&codes.len())
        );
        assert!(
            codes
                .iter()
                .all(|code| code.digits() == usize::from(length))
        );
        assert_eq!(codes.iter().map(Code::expose).collect::<String>(), digits);
        assert_eq!(answer.is_several(), codes.len() > 1);
    }
    assert!(readings > 0);
});
