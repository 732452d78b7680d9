//! The fence of a store whose records move: a file beside it, which keeps every daemon out.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use crate::store::marker::{beside, sync_folder_of};
use crate::store::moving::Fence;
use crate::store::private;

/// The fence of the store at that path. A file that cannot be understood is a fence, too.
pub(super) fn read(store: &Path) -> io::Result<Option<Fence>> {
    let mut text = Vec::new();
    match private::file(OpenOptions::new().read(true), &path(store)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => _ = file?.take(MOST_BYTES).read_to_end(&mut text)?,
    }
    let text = String::from_utf8_lossy(&text);
    let mut lines = text.lines();
    let fence = match lines.next() {
        Some(TITLE) => lines.next().unwrap_or_default(),
        _ => "",
    };
    Ok(Some(Fence::parse(fence)))
}

/// Puts the fence up, or takes it down: durable on return.
pub(super) fn write(store: &Path, fence: Option<&Fence>) -> io::Result<()> {
    let path = path(store);
    match fence {
        Some(fence) => {
            let draft = beside(&path, ".new");
            let mut file = private::new_file(&draft)?;
            write!(file, "{TITLE}\n{}\n{ADVICE}\n", fence.to_text())?;
            file.sync_all()?;
            std::fs::rename(&draft, &path)?;
        }
        None => match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        },
    }
    sync_folder_of(&path)
}

fn path(store: &Path) -> PathBuf {
    beside(store, ".moved")
}

const TITLE: &str = "pam-totp store moved 1";
const ADVICE: &str =
    "Never remove this file while the other store is used: codes could be used twice.";
const MOST_BYTES: u64 = 8192;
