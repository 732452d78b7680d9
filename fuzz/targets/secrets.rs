//! Fuzzes secrets files: an accepted set is complete, and only strong secrets seal.

#![no_main]
#![forbid(unsafe_code)]

use common::secrets::{Secrets, TaggedSecrets};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let read = || TaggedSecrets::from_whole_text(text);
    let Ok(tagged) = read() else { return };
    let Ok(weak_too) = Secrets::with_weak(tagged, None) else {
        return;
    };
    let default = weak_too.default_tag().as_str();
    let chosen = Secrets::with_weak(read().expect("read before"), Some(default))
        .expect("the default exists");
    assert_eq!(chosen.default_tag().as_str(), default);
    let derived = weak_too.derive::<32>(default, None, b"fuzz");
    assert_eq!(derived.is_some(), weak_too.sealing_tag().is_some());
    if let Ok(strong) = Secrets::new(read().expect("read before"), None) {
        assert_eq!(
            strong.sealing_tag().expect("all are strong").as_str(),
            default
        );
        assert_eq!(strong.derive::<32>(default, None, b"fuzz"), derived);
    }
});
