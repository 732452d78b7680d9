//! Tests of where the secrets come from, and of which files and folders are trusted with them.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::config::Settings;

/// A folder like `/etc/pam-totp`, and one like `$CREDENTIALS_DIRECTORY`.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        fs::create_dir(place.path("credentials")).unwrap();
        fs::create_dir(place.path("etc")).unwrap();
        place.write("etc/settings.yaml", "", 0o640);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str, mode: u32) {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        // It is not being written any more.
        let file = fs::File::options().append(true).open(&path);
        file.unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    }

    fn trust(&self, credentials: Option<&str>) -> Trust {
        let daemon_uid = nix::unistd::geteuid().as_raw();
        Trust {
            secrets_file: self.path("etc/secrets"),
            ..Trust::new(daemon_uid, credentials.map(|name| self.path(name)))
        }
    }

    /// The tag of the secret in force, or the sentence.
    fn load(&self, trust: &Trust) -> Result<String, String> {
        let settings = Settings::load(&self.path("etc/settings.yaml"), trust);
        let tag = settings.map(|settings| settings.secrets.default_tag().to_string());
        tag.map_err(|error| error.to_string())
    }
}

#[test]
fn a_credential_comes_before_the_file_and_a_blank_or_missing_one_does_not_count() {
    let place = Place::new();
    place.write("etc/secrets", "1: 0123456789abcdef\n", 0o600);
    place.write("credentials/secrets", "2: 0123456789abcdef\n", 0o400);
    assert_eq!(place.load(&place.trust(Some("credentials"))).unwrap(), "2");
    assert_eq!(place.load(&place.trust(None)).unwrap(), "1");
    // The credentials of another program.
    assert_eq!(place.load(&place.trust(Some("etc/.."))).unwrap(), "1");
    fs::remove_file(place.path("credentials/secrets")).unwrap();
    // What the unit hands over where the file is missing.
    place.write("credentials/secrets", "\n", 0o400);
    assert_eq!(place.load(&place.trust(Some("credentials"))).unwrap(), "1");
}

#[test]
fn what_root_has_read_is_used_although_the_file_cannot_be_read_any_more() {
    let place = Place::new();
    place.write("etc/secrets", "1: 0123456789abcdef\n", 0o600);
    let trust = place.trust(None).with_secrets_read_as_root();
    place.write("etc/secrets", "", 0o600);
    assert_eq!(place.load(&trust).unwrap(), "1");
    assert!(!format!("{trust:?}").contains("0123456789"));
}

#[test]
fn a_file_that_others_can_read_or_change_is_refused_also_where_a_copy_is_used() {
    let open = |spoil: fn(&Place)| {
        for credentials in [None, Some("credentials")] {
            let place = Place::new();
            place.write("etc/secrets", "1: 0123456789abcdef\n", 0o600);
            place.write("credentials/secrets", "1: 0123456789abcdef\n", 0o400);
            let root = place.trust(credentials).with_secrets_read_as_root();
            spoil(&place);
            for trust in [place.trust(credentials), root] {
                let told = place.load(&trust).unwrap_err();
                assert!(told.contains("etc/secrets: "), "{told}");
                assert!(!told.contains("0123456789"), "{told}");
            }
        }
    };
    let mode = |name: &str, place: &Place, mode| {
        fs::set_permissions(place.path(name), Permissions::from_mode(mode)).unwrap();
    };
    open(|place| place.write("etc/secrets", "1: 0123456789abcdef\n", 0o644));
    open(|place| place.write("etc/secrets", "1: 0123456789abcdef\n", 0o660));
    open(|place| {
        fs::rename(place.path("etc/secrets"), place.path("elsewhere")).unwrap();
        symlink(place.path("elsewhere"), place.path("etc/secrets")).unwrap();
    });
    open(|place| {
        fs::remove_file(place.path("etc/secrets")).unwrap();
        fs::create_dir(place.path("etc/secrets")).unwrap();
    });
    let place = Place::new();
    place.write("etc/secrets", "1: 0123456789abcdef\n", 0o600);
    mode("etc", &place, 0o770);
    let told = place.load(&place.trust(None)).unwrap_err();
    assert!(told.contains("'chmod go-w' on"), "{told}");
}

#[test]
fn a_folder_in_which_others_can_replace_the_file_is_refused_however_far_above_and_behind_a_link() {
    let place = Place::new();
    for folder in ["etc/a", "etc/a/b", "links"] {
        fs::create_dir(place.path(folder)).unwrap();
    }
    place.write("etc/a/b/secrets", "1: 0123456789abcdef\n", 0o600);
    symlink(place.path("etc/a"), place.path("links/a")).unwrap();
    let load = |file: &str| {
        let path = place.path(file);
        let text = format!("totp: {{context: {{secrets-path: {}}}}}\n", path.display());
        place.write("etc/settings.yaml", &text, 0o640);
        place.load(&place.trust(None))
    };
    let mode = |name: &str, mode| {
        fs::set_permissions(place.path(name), Permissions::from_mode(mode)).unwrap();
    };
    for (folder, file) in [
        ("etc/a/b", "etc/a/b/secrets"),
        ("etc/a", "etc/a/b/secrets"),
        ("etc/a", "links/a/b/secrets"),
        ("links", "links/a/b/secrets"),
    ] {
        for open in [0o770, 0o777] {
            mode(folder, open);
            let told = load(file).unwrap_err();
            assert!(told.contains("replace it"), "{folder} {open:o}: {told}");
        }
        // As /tmp: what is another user's stays.
        mode(folder, 0o1777);
        assert_eq!(load(file).unwrap(), "1", "{folder}");
        mode(folder, 0o755);
        assert_eq!(load(file).unwrap(), "1", "{folder}");
    }
}

#[test]
fn a_missing_or_empty_file_is_named_and_not_the_copy_of_it() {
    for text in [None, Some(""), Some("\n"), Some("# none yet\n")] {
        for credentials in [None, Some("credentials")] {
            let place = Place::new();
            place.write("credentials/secrets", "\n", 0o400);
            if let Some(text) = text {
                place.write("etc/secrets", text, 0o600);
            }
            let told = place.load(&place.trust(credentials)).unwrap_err();
            assert!(told.contains("etc/secrets: "), "{told}");
            assert!(told.contains("provisiond --new-secret"), "{told}");
        }
    }
}

#[test]
fn a_copy_without_a_file_is_named_itself() {
    let place = Place::new();
    place.write("credentials/secrets", "no secret here\n", 0o400);
    let told = place.load(&place.trust(Some("credentials"))).unwrap_err();
    assert!(told.contains("credentials/secrets: line 1"), "{told}");
}
