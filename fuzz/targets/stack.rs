//! Fuzzes PAM service files: reading, following and playing a stack ends, and what the exploration
//! of all answers says agrees with single logins.

#![no_main]
#![forbid(unsafe_code)]

use std::io;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use pam_stack::{Circumstances, Code, Files, Folders, Handler, Severity, check, play, read};

/// The text is one file or several, parted by lines of `=`; they include each other by number.
struct Parts<'a>(Vec<&'a str>);

impl Files for Parts<'_> {
    fn read(&self, path: &Path) -> io::Result<Option<String>> {
        let name = path.file_name().and_then(|name| name.to_str());
        let number = match name {
            Some("door") => Some(0),
            Some("other") => Some(1),
            other => other.and_then(|name| name.parse().ok()),
        };
        let part: Option<&&str> = number.and_then(|number: usize| self.0.get(number));
        Ok(part.map(|text| (*text).to_owned()))
    }

    fn exists(&self, _: &Path) -> Option<bool> {
        Some(true)
    }
}

fuzz_target!(|input: (&str, u64)| {
    let (text, seed) = input;
    let parts = Parts(text.split("=====\n").collect());
    let stack = read("door", &parts, &Folders::one(Path::new("/"), true));
    let findings = check(&stack, Circumstances::default());
    let is_safe = |kinds: &[&str]| findings.iter().all(|found| !kinds.contains(&found.kind));
    let mut dice = seed;
    let played = play(&stack, |handler| roll(&mut dice, handler));
    let was_asked = played.called.iter().any(|at| stack.handlers[*at].is_ours());
    if played.code == Code::SUCCESS {
        assert!(is_safe(&["never-in", "unreadable"]) || was_asked);
        let by_root = findings
            .iter()
            .any(|found| found.severity == Severity::Note);
        let known = !is_safe(&["not-asked", "not-named", "too-complicated"]);
        assert!(was_asked || known || by_root, "let in without a word");
    }
});

/// An answer that the known modules can give.
fn roll(dice: &mut u64, handler: &Handler) -> Code {
    *dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    let name = handler.module().map_or("", |module| module.name.as_str());
    match name {
        "pam_permit" => Code::SUCCESS,
        "pam_deny" => Code::AUTH_ERR,
        _ if handler.is_ours() && *dice >> 62 == 0 => Code::SUCCESS,
        _ if handler.is_ours() => Code::AUTH_ERR,
        "pam_unix" | "pam_succeed_if" | "pam_exec" => {
            Code::from_number((*dice >> 40) as i32 % 25).unwrap_or(Code::AUTH_ERR)
        }
        _ => Code::IGNORE,
    }
}
