//! A disk that can lose its power: an image with a file system behind a loop device.
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

/// The file system of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Debian's usual one.
    Ext4,
    /// Red Hat's usual one.
    Xfs,
    /// Copy-on-write, SUSE's usual one.
    Btrfs,
}

impl Kind {
    /// Makes the file system, and the bytes that it needs at least.
    fn program(self) -> (&'static [&'static str], u64) {
        match self {
            // Enough for a store of a few users, and quickly copied.
            Self::Ext4 => (&["mkfs.ext4", "-q", "-F"], 24 << 20),
            Self::Xfs => (&["mkfs.xfs", "-q", "-f"], 320 << 20),
            Self::Btrfs => (&["mkfs.btrfs", "-q", "-f"], 128 << 20),
        }
    }
}

impl Disk {
    /// A new, empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::of(Kind::Ext4)
    }

    /// The same with another file system.
    #[must_use]
    pub fn of(kind: Kind) -> Self {
        let folder = world::scratch_folder("disk");
        let image = folder.join("image");
        let (program, size) = kind.program();
        std::fs::File::create(&image)
            .expect("an image")
            .set_len(size)
            .expect("its size");
        let (program, options) = program.split_first().expect("a program");
        world::run(program, &[options, &[text(&image)]].concat());
        Self::mount(folder, image)
    }

    /// Cuts the power now, and mounts what this disk then holds, in another place. This disk itself
    /// goes on. For ext4: other file systems take a copy for themselves.
    #[must_use]
    pub fn cut(&self) -> Self {
        let folder = world::scratch_folder("disk-after-cut");
        let image = folder.join("image");
        copy(&self.image, &image);
        Self::mount(folder, image)
    }

    /// Cuts the power now. `ends` ends the programs that use the disk, which is then mounted again in
    /// its place, with what it held at that instant.
    pub fn lose_power(&mut self, ends: impl FnOnce()) {
        let then = self.image.with_extension("then");
        copy(&self.image, &then);
        ends();
        world::run("umount", &[text(&self.root)]);
        std::fs::rename(&then, &self.image).expect("what it held");
        // The kernel remembers a younger state of a btrfs, and refuses an older one.
        let _ = std::process::Command::new("btrfs")
            .args(["device", "scan", "--forget"])
            .output();
        mount(&self.image, &self.root);
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
        mount(&image, &root);
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

fn copy(from: &Path, to: &Path) {
    let options = ["--sparse=always", "--reflink=auto"];
    world::run("cp", &[&options[..], &[text(from), text(to)]].concat());
}

fn mount(image: &Path, root: &Path) {
    world::run("mount", &["-o", "loop", text(image), text(root)]);
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}
