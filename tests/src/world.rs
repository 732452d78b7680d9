//! The world that `tests/in-private-world` made: makes sure that we are inside, and brings its
//! people and its log. Where nothing may be mounted, `tests/without-mounts` made a smaller one: a
//! folder, and accounts in a file that libnss_wrapper shows. It has no log and no service files.
//!
//! Knows no daemon. Whatever is changed here vanishes with the world.

use std::fs::{self, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::User;

use crate::lines::Lines;
use crate::program;

/// Comes in, among other tests. Keep what is returned until the test ends.
///
/// # Panics
/// Outside the private world, with a sentence that says what to do.
pub fn enter() -> Shared {
    prepare();
    OCCUPIED.read().unwrap_or_else(PoisonError::into_inner)
}

/// Comes in alone: for a test that takes the whole machine, and would make the others' deadlines
/// pass.
///
/// # Panics
/// As [`enter`].
pub fn enter_alone() -> Alone {
    prepare();
    OCCUPIED.write().unwrap_or_else(PoisonError::into_inner)
}

/// A place in the world, among others.
pub type Shared = RwLockReadGuard<'static, ()>;
/// The world for one test.
pub type Alone = RwLockWriteGuard<'static, ()>;

/// A program or library under test.
///
/// # Panics
/// When it was not built.
#[must_use]
pub fn built(name: &str) -> PathBuf {
    let here = std::env::current_exe().expect("our own path");
    let profile = here
        .ancestors()
        .find(|folder| folder.join(".fingerprint").is_dir())
        .expect("cargo's target folder");
    let path = profile.join(name);
    assert!(
        path.exists(),
        "{} is not built: 'make test' builds everything first",
        path.display()
    );
    path
}

/// The same program where every user may run it, whatever the permissions of the folders it was
/// built in.
#[must_use]
pub fn for_everyone(name: &str) -> PathBuf {
    static COPYING: RwLock<()> = RwLock::new(());
    let copy = scratch().join(name);
    let _one_at_a_time = COPYING.write().unwrap_or_else(PoisonError::into_inner);
    if !copy.exists() {
        program::copy(&built(name), &copy);
    }
    copy
}

/// The tests' own folder on the private /run, which everyone may pass.
#[must_use]
pub fn scratch() -> PathBuf {
    prepare();
    folder()
}

fn folder() -> PathBuf {
    without_mounts().unwrap_or_else(|| PathBuf::from(SCRATCH))
}

/// The folder of the world that has no mounts, if that is where we are.
fn without_mounts() -> Option<PathBuf> {
    std::env::var_os("PAM_TOTP_WITHOUT_MOUNTS").map(PathBuf::from)
}

/// A new folder in there. The name only helps a developer to find it.
#[must_use]
pub fn scratch_folder(name: &str) -> PathBuf {
    let path = new_folder(name);
    make_folder(&path, 0o755);
    path
}

/// A new folder that the daemon's user owns, for a store.
#[must_use]
pub fn state_folder() -> PathBuf {
    let path = new_folder("state");
    give_to_daemon(&path);
    path
}

/// Another test program of the same world may have left folders with the same numbers.
fn new_folder(name: &str) -> PathBuf {
    loop {
        let path = scratch().join(format!("{name}-{}", next_number()));
        match fs::create_dir(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => {
                made.expect("a folder");
                return path;
            }
        }
    }
}

/// Makes `path` a folder of the daemon's user, 0700.
pub fn give_to_daemon(path: &Path) {
    make_folder(path, 0o700);
    chown(
        path,
        Some(user(DAEMON).uid.as_raw()),
        Some(user(DAEMON).gid.as_raw()),
    )
    .expect("chown");
}

/// For a test that changes `/etc` or the machine's usual places.
///
/// # Panics
/// Where these are not private.
pub fn change_the_machine() {
    prepare();
    assert!(
        Path::new(MARK).is_dir() && without_mounts().is_none(),
        "this test changes /etc: tests/without-mounts must not name it"
    );
}

/// What a program is started with that this library is preloaded into: beside the libraries of a
/// world without mounts.
pub(crate) fn preloading(library: &Path) -> PathBuf {
    let mut all = library.as_os_str().to_owned();
    if let Some(others) = std::env::var_os("LD_PRELOAD") {
        all.push(":");
        all.push(others);
    }
    all.into()
}

/// Makes a folder of the world, and empties it if it was there: for what needs a clean start at its
/// usual place.
pub(crate) fn empty(path: &Path) {
    change_the_machine();
    make_folder(path, 0o755);
    for entry in fs::read_dir(path).expect("a folder").map_while(Result::ok) {
        let kind = entry.file_type().expect("its kind");
        let removed = if kind.is_dir() {
            fs::remove_dir_all(entry.path())
        } else {
            fs::remove_file(entry.path())
        };
        removed.expect("an empty folder");
    }
}

/// Writes a file that root owns and the daemon's group may read, as the packages do for secrets. It
/// rests: the daemon waits for no further change of it.
pub fn write_for_daemon(path: &Path, text: &str) {
    fs::write(path, text).expect("a settings file");
    let file = fs::File::options().write(true).open(path);
    file.and_then(|file| file.set_modified(std::time::UNIX_EPOCH))
        .expect("its time");
    chown(path, Some(0), Some(user(DAEMON).gid.as_raw())).expect("chown");
    fs::set_permissions(path, Permissions::from_mode(0o640)).expect("chmod");
}

/// An account of the world.
#[must_use]
pub fn user(name: &str) -> User {
    User::from_name(name)
        .expect("the account database")
        .unwrap_or_else(|| panic!("no account {name}"))
}

/// Makes accounts that cannot log in anywhere. There may be thousands, so no process is started for
/// each.
pub fn make_accounts(names: &[String]) {
    make_members(None, names);
}

/// The same in that group, if one is named.
pub fn make_members(group: Option<u32>, names: &[String]) {
    change_the_machine();
    let mut passwd = fs::OpenOptions::new()
        .append(true)
        .open("/etc/passwd")
        .expect("the account database");
    for name in names {
        let uid = FIRST_MADE + next_number();
        let gid = group.unwrap_or(uid);
        writeln!(
            passwd,
            "{name}:*:{uid}:{gid}::/nonexistent:/usr/sbin/nologin"
        )
        .expect("an account");
    }
}

/// Makes a group, if need be, and puts people into it.
pub fn group(name: &str, members: &[&str]) {
    change_the_machine();
    run("groupadd", &["--force", name]);
    for member in members {
        run("usermod", &["--append", "--groups", name, member]);
    }
}

/// Gives an account a password.
pub fn set_password(user: &str, password: &str) {
    change_the_machine();
    // With a method named, chpasswd(8) leaves PAM alone.
    let mut chpasswd = Command::new("chpasswd")
        .args(["-c", "SHA256"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("chpasswd");
    writeln!(
        chpasswd.stdin.take().expect("its input"),
        "{user}:{password}"
    )
    .expect("a line");
    assert!(
        chpasswd.wait().expect("its end").success(),
        "chpasswd {user}"
    );
}

/// Runs a command that must succeed.
pub fn run(program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|e| panic!("{program}: {e}"));
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {output:?}"
    );
    output
}

/// Every line that reached /dev/log since the first test.
pub fn syslog() -> &'static Lines {
    static LINES: OnceLock<Lines> = OnceLock::new();
    LINES.get_or_init(|| {
        if without_mounts().is_some() {
            return Lines::default();
        }
        // A symbolic link to the journal's socket is replaced too; /dev is ours.
        let _ = fs::remove_file(DEV_LOG);
        let socket = UnixDatagram::bind(DEV_LOG).expect("/dev/log");
        fs::set_permissions(DEV_LOG, Permissions::from_mode(0o666)).expect("chmod /dev/log");
        let lines = Lines::default();
        let taken = lines.clone();
        std::thread::spawn(move || {
            let mut line = [0; 65536];
            while let Ok(count) = socket.recv(&mut line) {
                taken.push(&String::from_utf8_lossy(&line[..count]));
            }
        });
        lines
    })
}

/// A number for names, never the same twice.
pub fn next_number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn prepare() {
    static READY: OnceLock<()> = OnceLock::new();
    READY.get_or_init(|| {
        let is_ours = Path::new(MARK).is_dir() || without_mounts().is_some();
        assert!(
            is_ours && nix::unistd::geteuid().is_root(),
            "these tests mount, make accounts and run sshd: start them with 'make test', as root"
        );
        make_folder(&folder(), 0o755);
        if without_mounts().is_none() {
            make_people();
        }
        syslog();
        allow_many_files();
    });
}

fn make_people() {
    let exists = |name| {
        User::from_name(name)
            .expect("the account database")
            .is_some()
    };
    if !exists(DAEMON) {
        run(
            "useradd",
            &[
                "--system",
                "--user-group",
                "--no-create-home",
                "--shell",
                "/usr/sbin/nologin",
                DAEMON,
            ],
        );
    }
    for name in PEOPLE.into_iter().filter(|name| !exists(name)) {
        // '*' is no password, but unlike '!' does not lock the account.
        run(
            "useradd",
            &[
                "--no-create-home",
                "--shell",
                "/bin/sh",
                "--password",
                "*",
                name,
            ],
        );
    }
}

/// Hundreds of connections at once are some of the tests.
fn allow_many_files() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("getrlimit");
    setrlimit(Resource::RLIMIT_NOFILE, most.min(65536), most).expect("setrlimit");
}

fn make_folder(path: &Path, mode: u32) {
    fs::create_dir_all(path).expect("a folder");
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("its mode");
}

static OCCUPIED: RwLock<()> = RwLock::new(());

/// The daemon's account.
pub const DAEMON: &str = "_pam-totp";
const PEOPLE: [&str; 5] = ["alice", "bob", "carol", "dave", "vera"];
/// Far from the uids of existing accounts.
const FIRST_MADE: u32 = 400_000;
const MARK: &str = "/run/private-world";
const SCRATCH: &str = "/run/pam-totp-tests";
const DEV_LOG: &str = "/dev/log";
