//! A name service that is not as simple as /etc/passwd, for a daemon: a module of the C library's,
//! loaded by it alone.

use std::path::PathBuf;
use std::sync::OnceLock;

use crate::daemon::Setup;
use crate::tracee::library;
use crate::world;

/// A daemon whose name service knows accounts by other spellings too, and does not always answer.
/// The module's source says by which names.
#[must_use]
pub fn with_odd_names(mut setup: Setup) -> Setup {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
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
