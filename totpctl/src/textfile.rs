//! Writes the file of `metrics --textfile` in one step (atomic rename): a collector reads the old
//! text or the new one, never a part. Every user may read the file.

use std::fs::symlink_metadata;
use std::io::ErrorKind;
use std::path::Path;

use crate::exit::Failure;
use crate::new_file::NewFile;

/// Puts a file with the text in the place of `path`.
pub(crate) fn replace(path: &Path, text: &str) -> Result<(), Failure> {
    check(path)?;
    let mut draft = NewFile::beside(path)?;
    draft.append(text.as_bytes())?;
    draft.publish(path)
}

/// Refuses what cannot be meant: a collector reads no file of another kind, and the rename would put
/// a file in the place of a device or a link.
fn check(path: &Path) -> Result<(), Failure> {
    let refused = |problem: &str| {
        Err(Failure::File {
            path: path.to_owned(),
            problem: problem.to_owned(),
        })
    };
    if path.extension().is_none_or(|extension| extension != "prom") {
        return refused(NO_NAME);
    }
    match symlink_metadata(path) {
        Ok(found) if !found.is_file() => refused(NO_FILE),
        Err(error) if error.kind() != ErrorKind::NotFound => {
            refused(&format!("cannot be replaced: {error}"))
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

const NO_NAME: &str =
    "the name must end in '.prom': node_exporter's textfile collector reads no other file";
const NO_FILE: &str = "is no ordinary file, and totpctl does not replace it: name another file";

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    #[test]
    fn the_file_is_replaced_in_one_step_and_every_user_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pam-totp.prom");
        replace(&path, "old 1\n").unwrap();
        let reader = fs::File::open(&path).unwrap();
        replace(&path, "new 1\n").unwrap();
        assert_eq!(std::io::read_to_string(reader).unwrap(), "old 1\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "new 1\n");
        let found = path.metadata().unwrap();
        assert_eq!(
            (found.permissions().mode() & 0o7777, found.nlink()),
            (0o644, 1)
        );
        assert_eq!(
            folder.path().read_dir().unwrap().count(),
            1,
            "no draft stays"
        );
    }

    #[test]
    fn a_draft_that_a_killed_process_has_left_is_in_the_way_of_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pam-totp.prom");
        let left = folder
            .path()
            .join(format!(".pam-totp.prom.{}", std::process::id()));
        fs::write(&left, "half").unwrap();
        replace(&path, "whole 1\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "whole 1\n");
        assert!(!left.exists());
    }

    #[test]
    fn what_no_collector_reads_and_what_is_no_file_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let refusal = |name: &str| replace(&path(name), "x 1\n").unwrap_err().to_string();
        assert!(refusal("metrics.txt").contains("must end in '.prom'"));
        symlink(path("elsewhere"), path("link.prom")).unwrap();
        fs::create_dir(path("folder.prom")).unwrap();
        for name in ["link.prom", "folder.prom"] {
            assert!(refusal(name).contains("is no ordinary file"), "{name}");
        }
        assert!(!path("elsewhere").exists());
        assert!(refusal("no/such/folder.prom").contains("the folder does not exist"));
        assert_eq!(folder.path().read_dir().unwrap().count(), 2);
    }
}
