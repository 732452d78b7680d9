//! A disk that can lose its power: an ext4 image behind a loop device.
//!
//! What the image file holds at an instant is what a disk would hold if the power went then: what a
//! program wrote and did not sync is still in the page cache above the loop device, and is lost in
//! a copy.

use std::path::{Path, PathBuf};

use crate::world;

/// A mounted image. It is unmounted when dropped.
pub struct Disk {
    image: PathBuf,
    /// Where it is mounted.
    pub root: PathBuf,
}

impl Disk {
    /// A new, empty one.
    #[must_use]
    pub fn new() -> Self {
        let folder = world::scratch_folder("disk");
        let image = folder.join("image");
        std::fs::File::create(&image)
            .expect("an image")
            .set_len(SIZE)
            .expect("its size");
        world::run("mkfs.ext4", &["-q", "-F", text(&image)]);
        Self::mount(folder, image)
    }

    /// Cuts the power now, and mounts what this disk then holds, in another place. This disk itself
    /// goes on.
    #[must_use]
    pub fn cut(&self) -> Self {
        let folder = world::scratch_folder("disk-after-cut");
        let image = folder.join("image");
        world::run(
            "cp",
            &[
                "--sparse=always",
                "--reflink=auto",
                text(&self.image),
                text(&image),
            ],
        );
        Self::mount(folder, image)
    }

    /// A folder for a store on this disk, made if need be.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        let state = self.root.join("state");
        if !state.exists() {
            world::give_to_daemon(&state);
            // The folder is part of the installation, not of what is cut.
            world::run("sync", &["--file-system", text(&state)]);
        }
        state
    }

    fn mount(folder: PathBuf, image: PathBuf) -> Self {
        let root = folder.join("root");
        std::fs::create_dir(&root).expect("a mount point");
        world::run("mount", &["-o", "loop", text(&image), text(&root)]);
        Self { image, root }
    }
}

impl Default for Disk {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A daemon that a failed test left behind may keep it busy; the world's end unmounts it
        // then.
        let _ = std::process::Command::new("umount")
            .arg(&self.root)
            .status();
        let _ = std::fs::remove_file(&self.image);
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// Enough for a store of a few users, and quickly copied.
const SIZE: u64 = 24 << 20;
