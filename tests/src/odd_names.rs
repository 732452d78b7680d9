//! A name service that is not as simple as /etc/passwd, for a daemon: a module of the C library's,
//! loaded by it alone.

use std::path::PathBuf;
use std::sync::OnceLock;

use crate::daemon::Setup;
use crate::tracee::library;
use crate::world;

/// The first of a hundred thousand uids about which the name service never answers.
pub const HUNG_UIDS: u32 = 4_600_000;

/// Makes these the accounts that begin with `odd-here`, with their uids. `None`: their server
/// cannot be reached.
///
/// # Panics
/// When the file cannot be written or removed.
pub fn accounts_here(accounts: Option<&[(&str, u32)]>) {
    match accounts {
        Some(accounts) => {
            let lines = accounts
                .iter()
                .map(|(name, uid)| format!("{name}:x:{uid}:{uid}::/:/bin/sh\n"));
            std::fs::write(ACCOUNTS, lines.collect::<String>()).expect("a file of accounts");
        }
        None => std::fs::remove_file(ACCOUNTS).expect("no file of accounts"),
    }
}

const ACCOUNTS: &str = "/etc/odd-passwd";

/// A daemon whose name service knows accounts by other spellings too, and does not always answer.
/// The module's source says by which names.
#[must_use]
pub fn with_odd_names(mut setup: Setup) -> Setup {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        world::change_the_machine();
        let module = library("libnss_odd", include_str!("odd_names.c"));
        // After all other sources: programs that cannot load this one look names up as before.
        world::run(
            "sed",
            &[
                "-i",
                "-E",
                "s/^(passwd|group):.*/& odd/",
                "/etc/nsswitch.conf",
            ],
        );
        module.parent().expect("its folder").to_owned()
    });
    setup.environment.push(("LD_LIBRARY_PATH", folder.clone()));
    setup
}
