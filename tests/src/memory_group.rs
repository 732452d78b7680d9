//! A control group with a memory limit: the kernel kills a process in it when they use more together.
//!
//! Version 2 of control groups where it has the memory controller, else version 1.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::world;

/// The group. It is removed when dropped, after its processes have ended.
pub struct MemoryGroup {
    folder: PathBuf,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    One,
    Two,
}

impl MemoryGroup {
    /// A new one in which processes may use so many bytes together.
    ///
    /// # Panics
    /// Where the kernel offers no memory controller to this process, with a sentence.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let name = format!("pam-totp-{}-{}", std::process::id(), world::next_number());
        let (kind, root) = controller();
        let folder = root.join(name);
        fs::create_dir(&folder).expect("a control group");
        let group = Self { folder, kind };
        match kind {
            Kind::One => group.set("memory.limit_in_bytes", &bytes.to_string()),
            Kind::Two => {
                group.set("memory.max", &bytes.to_string());
                group.set("memory.swap.max", "0");
            }
        }
        group
    }

    /// The file by which a process comes in: what it has used before is not counted.
    #[must_use]
    pub fn door(&self) -> PathBuf {
        self.folder.join("cgroup.procs")
    }

    /// How often the kernel has killed a process of the group.
    #[must_use]
    pub fn kills(&self) -> u64 {
        let file = match self.kind {
            Kind::One => "memory.oom_control",
            Kind::Two => "memory.events",
        };
        let text = fs::read_to_string(self.folder.join(file)).expect("its counts");
        let kills = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        kills.and_then(|n| n.parse().ok()).expect("a number")
    }

    /// A program in the group that uses more memory than there is.
    #[must_use]
    pub fn crowd(&self) -> Child {
        Command::new("sh")
            .args(["-c", HOG, "sh"])
            .arg(self.door())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a program")
    }

    fn set(&self, file: &str, value: &str) {
        let path = self.folder.join(file);
        fs::write(&path, value).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // A process that was killed a moment ago may still be in it.
        while fs::remove_dir(&self.folder).is_err() && self.has_processes() {}
    }
}

impl MemoryGroup {
    fn has_processes(&self) -> bool {
        let text = fs::read_to_string(self.door());
        text.is_ok_and(|text| !text.is_empty()) && !std::thread::panicking()
    }
}

/// Where a group with a memory limit can be made.
fn controller() -> (Kind, PathBuf) {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("the mounts");
    let mounts: Vec<Vec<&str>> = mounts
        .lines()
        .map(|line| line.split(' ').collect())
        .collect();
    let of = |kind: &'static str| mounts.iter().filter(move |mount| mount[2] == kind);
    let has_memory = |mount: &&Vec<&str>| mount[3].split(',').any(|option| option == "memory");
    if let Some(mount) = of("cgroup").find(has_memory) {
        return (Kind::One, own(Path::new(mount[1]), ":memory:"));
    }
    let root = of("cgroup2")
        .next()
        .map(|mount| own(Path::new(mount[1]), "0::"));
    let root = root.filter(|root| enables_memory(root));
    let root = root.expect(
        "the kernel gives this process no memory controller: run the tests in a virtual machine, or in a container \
         with control groups of its own",
    );
    (Kind::Two, root)
}

/// The group of this process in a hierarchy, or its root, where that is not seen from here.
fn own(root: &Path, name: &str) -> PathBuf {
    let groups = fs::read_to_string("/proc/self/cgroup").expect("our groups");
    let own = groups.lines().find_map(|line| line.split_once(name));
    let own = own.map(|(_, path)| root.join(path.trim_start_matches('/')));
    own.filter(|path| path.is_dir())
        .unwrap_or_else(|| root.to_owned())
}

/// Whether groups in that one have a memory limit. No process may be in a group that gives its
/// controllers on: ours move into one beside.
fn enables_memory(root: &Path) -> bool {
    let on = || fs::write(root.join("cgroup.subtree_control"), "+memory").is_ok();
    if on() {
        return true;
    }
    let beside = root.join("pam-totp-others");
    let moved = fs::create_dir_all(&beside).is_ok();
    let procs = fs::read_to_string(root.join("cgroup.procs")).unwrap_or_default();
    for pid in procs.lines() {
        // One that has ended meanwhile is in no group.
        let _ = fs::write(beside.join("cgroup.procs"), pid);
    }
    moved && on()
}

/// `tail` keeps in memory what it reads.
const HOG: &str = r#"echo $$ > "$1"; head -c 300m /dev/zero | tail -c 300m"#;
