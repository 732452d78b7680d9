//! Where libpam finds service files and modules, and how they are read.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::libc::O_NONBLOCK;

/// Reads files. Tests and fuzzers have other files than those of the disk.
pub trait Files {
    /// The text of a file; `None` if there is none.
    ///
    /// # Errors
    /// The file exists, and cannot be read.
    fn read(&self, path: &Path) -> io::Result<Option<String>>;

    /// Whether a file exists. `None`: that cannot be told.
    fn exists(&self, path: &Path) -> Option<bool>;
}

/// The folders that this machine's libpam was built with.
#[derive(Clone, Debug)]
pub struct Folders {
    /// Service files: the first folder that has the file counts.
    pub services: Vec<PathBuf>,
    /// The same for files named by `include` and `substack`. Debian's libpam looks in `/etc/pam.d`
    /// only.
    pub includes: Vec<PathBuf>,
    /// Modules named without a folder. Empty: it is not known, and every module is taken to exist.
    pub modules: Vec<PathBuf>,
    /// Whether this libpam knows `@include`, which only Debian's and its descendants' do.
    pub at_include: bool,
}

impl Folders {
    /// Those of the machine below `root`, which is `/` but for tests and for other systems' disks.
    #[must_use]
    pub fn of_machine(root: &Path) -> Self {
        let below = |folder: &str| root.join(folder.trim_start_matches('/'));
        let services: Vec<PathBuf> = SERVICES.iter().map(|folder| below(folder)).collect();
        let is_debian = below("/etc/debian_version").exists();
        let includes = if is_debian {
            services.iter().take(1).cloned().collect()
        } else {
            services.clone()
        };
        Self {
            services,
            includes,
            modules: module_folders(root),
            at_include: is_debian,
        }
    }

    /// One folder for everything, as with `pam_start_confdir(3)`.
    #[must_use]
    pub fn one(folder: &Path, at_include: bool) -> Self {
        Self {
            services: vec![folder.to_owned()],
            includes: vec![folder.to_owned()],
            modules: Vec::new(),
            at_include,
        }
    }
}

/// Every folder of PAM modules: libpam was built with one of them, and a folder without
/// `pam_deny.so` or `pam_permit.so`, which belong to libpam, is none.
fn module_folders(root: &Path) -> Vec<PathBuf> {
    let libraries = ["lib64", "lib", "usr/lib64", "usr/lib"].map(|folder| root.join(folder));
    let mut candidates: Vec<PathBuf> = libraries.iter().map(|lib| lib.join("security")).collect();
    for library in &libraries {
        let triplets = library.read_dir().into_iter().flatten().flatten();
        candidates.extend(
            triplets
                .filter(|entry| entry.file_name().to_string_lossy().contains("-linux-"))
                .map(|entry| entry.path().join("security")),
        );
    }
    candidates.retain(|folder| {
        ["pam_deny.so", "pam_permit.so"]
            .iter()
            .any(|module| folder.join(module).exists())
    });
    candidates
}

/// The files of this machine.
#[derive(Clone, Copy, Debug)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Option<String>> {
        // A pipe in the file's place must not hold us up.
        let mut options = File::options();
        options.read(true).custom_flags(O_NONBLOCK);
        let file = match options.open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        let mut text = Vec::new();
        file.take(MOST_BYTES.saturating_add(1))
            .read_to_end(&mut text)?;
        if u64::try_from(text.len()).is_ok_and(|length| length > MOST_BYTES) {
            return Err(io::Error::other("it is larger than 256 KiB"));
        }
        Ok(Some(String::from_utf8_lossy(&text).into_owned()))
    }

    fn exists(&self, path: &Path) -> Option<bool> {
        path.try_exists().ok()
    }
}

const SERVICES: [&str; 3] = ["/etc/pam.d", "/usr/lib/pam.d", "/usr/etc/pam.d"];
const MOST_BYTES: u64 = 256 * 1024;
