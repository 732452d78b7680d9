//! Whether the PAM file of a service names the module, as far as reading files can tell. What a
//! stack does with the module, only libpam knows.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::libc::O_NONBLOCK;

/// The folder of PAM's service files.
pub(crate) const FOLDER: &str = "/etc/pam.d";

/// Whether the file of the service, or one that it includes, names the module. `None`: that is not
/// certain, because a file cannot be read.
pub(crate) fn names_the_module(folder: &Path, service: &str) -> Option<bool> {
    if service.contains('/') {
        return None;
    }
    // libpam writes services in lower case.
    let mut waiting = vec![folder.join(service.to_ascii_lowercase())];
    let mut seen = HashSet::new();
    while let Some(path) = waiting.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        if seen.len() > MOST_FILES {
            return None;
        }
        let text = read(&path)?.replace("\\\n", " ");
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            if line.contains(MODULE) {
                return Some(true);
            }
            waiting.extend(included(line).map(|file| folder.join(file)));
        }
    }
    Some(false)
}

/// The file that a line includes: `@include FILE`, `TYPE include FILE`, `TYPE substack FILE`.
fn included(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    let (first, second, third) = (words.next()?, words.next()?, words.next());
    if first.eq_ignore_ascii_case("@include") {
        return Some(second);
    }
    let is_include = ["include", "substack"]
        .iter()
        .any(|word| second.eq_ignore_ascii_case(word));
    third.filter(|_| is_include)
}

/// The text of an ordinary file.
fn read(path: &Path) -> Option<String> {
    // A pipe in its place must not hold us up.
    let mut options = File::options();
    let file = options
        .read(true)
        .custom_flags(O_NONBLOCK)
        .open(path)
        .ok()?;
    let about = file.metadata().ok()?;
    if !about.is_file() || about.len() > MOST_BYTES {
        return None;
    }
    let mut text = String::new();
    file.take(MOST_BYTES).read_to_string(&mut text).ok()?;
    Some(text)
}

/// Both `pam_totp.so` and the library as it was built.
const MODULE: &str = "pam_totp";
/// libpam gives up after fewer files that include each other.
const MOST_FILES: usize = 64;
const MOST_BYTES: u64 = 256 * 1024;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn told(files: &[(&str, &str)], service: &str) -> Option<bool> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        names_the_module(folder.path(), service)
    }

    #[test]
    fn a_file_that_names_the_module_is_told_from_one_that_does_not() {
        for (text, names) in [
            ("auth required pam_totp.so\n", true),
            ("-auth [success=ok default=bad] /a/libpam_totp.so x=y", true),
            ("auth required \\\n  pam_totp.so\n", true),
            ("auth required pam_unix.so\n", false),
            ("# auth required pam_totp.so\n", false),
            ("auth required pam_unix.so # not pam_totp.so\n", false),
            ("", false),
        ] {
            assert_eq!(told(&[("door", text)], "door"), Some(names), "{text}");
        }
        assert_eq!(
            told(&[("door", "auth required pam_totp.so")], "DOOR"),
            Some(true)
        );
    }

    #[test]
    fn included_files_are_read_as_well() {
        for how in ["@include deep", "auth include deep", "auth\tSUBSTACK\tdeep"] {
            for (deep, names) in [
                ("auth required pam_totp.so", true),
                ("@include door", false),
            ] {
                let files = [("door", how), ("deep", deep)];
                assert_eq!(told(&files, "door"), Some(names), "{how} {deep}");
            }
            assert_eq!(told(&[("door", how)], "door"), None, "{how}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_not_judged() {
        assert_eq!(told(&[], "door"), None);
        assert_eq!(told(&[("door", "")], "../door"), None);
        assert_eq!(told(&[("door", "")], "."), None);
        let long = " ".repeat(300_000);
        assert_eq!(told(&[("door", &long)], "door"), None);
    }
}
