//! The module's package is replaced and removed by dpkg while users log in: a login that has loaded the
//! module goes on with it, and at no moment does a login succeed without a right code.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use tests::count;
use tests::daemon::Daemon;
use tests::libpam::{PamCode, Reply};
use tests::stack::{Stack, module};
use tests::world;

/// A place where the real dpkg installs a package that holds the module.
struct Place {
    root: PathBuf,
    packages: [PathBuf; 2],
}

impl Place {
    fn new() -> Self {
        let root = world::scratch_folder("dpkg");
        for folder in ["admin/info", "admin/updates", "admin/triggers", "installed"] {
            fs::create_dir_all(root.join(folder)).expect("a folder");
        }
        fs::write(root.join("admin/status"), "").expect("dpkg's list");
        let packages = ["1", "2"].map(|version| package(&root, version));
        Self { root, packages }
    }

    /// The module, where the service file names it.
    fn module(&self) -> PathBuf {
        self.root.join("installed").join(MODULE)
    }

    fn install(&self, package: &Path) {
        self.dpkg(&["--install", text(package)]);
    }

    fn remove(&self) {
        self.dpkg(&["--remove", PACKAGE]);
    }

    fn dpkg(&self, arguments: &[&str]) {
        let mut dpkg = Command::new("dpkg");
        for (option, folder) in [("--admindir", "admin"), ("--instdir", "installed")] {
            dpkg.arg(format!("{option}={}", self.root.join(folder).display()));
        }
        let told = dpkg.args(arguments).output().expect("dpkg");
        assert!(told.status.success(), "{arguments:?}: {told:?}");
    }

    fn stack(&self, daemon: &Daemon, service: &str) -> Stack {
        let (module, socket) = (self.module(), daemon.login_socket());
        let (module, socket) = (module.display(), socket.display());
        let line = format!("auth required {module} socket={socket} retry=1\n");
        Stack::new(service, &line)
    }
}

/// A package of that version, with the module under test.
fn package(root: &Path, version: &str) -> PathBuf {
    let folder = root.join(format!("package-{version}"));
    let module_file = folder.join(MODULE);
    for path in [&module_file, &folder.join("DEBIAN/control")] {
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    }
    fs::copy(module(), &module_file).expect("the module");
    let control = format!(
        "Package: {PACKAGE}\nVersion: {version}\nArchitecture: all\nMaintainer: tests <root@localhost>\n\
         Description: the module under test\n"
    );
    fs::write(folder.join("DEBIAN/control"), control).expect("the control file");
    let package = root.join(format!("{version}.deb"));
    world::run(
        "dpkg-deb",
        &["-Znone", "--build", text(&folder), text(&package)],
    );
    package
}

#[test]
fn a_login_whose_module_is_replaced_and_removed_at_the_prompt_is_judged_as_before() {
    let _place = world::enter();
    let (daemon, place) = (Daemon::start(), Place::new());
    let alice = daemon.enroll("alice");
    let stack = place.stack(&daemon, "replaced");
    for (typed, code) in [
        (alice.wrong(), PamCode::AUTH_ERR),
        (alice.code(), PamCode::SUCCESS),
    ] {
        place.install(&place.packages[0]);
        let login = stack.converse("alice", |_| {
            place.install(&place.packages[1]);
            place.remove();
            assert!(!place.module().exists());
            Reply::text(&typed)
        });
        assert_eq!(login.code, code);
        let gone = stack.login("alice", &[&alice.code_at(1)]);
        assert_ne!(gone.code, PamCode::SUCCESS, "there is no module");
    }
}

#[test]
fn while_dpkg_replaces_and_removes_the_module_no_login_succeeds_without_a_right_code() {
    let _place = world::enter();
    let (daemon, place) = (Daemon::start(), Place::new());
    let users: Vec<String> = (0..count("PAM_TOTP_REPLACED", 150))
        .map(|n| format!("user-{n}"))
        .collect();
    let devices = daemon.enroll_many(&users);
    let stack = place.stack(&daemon, "replacing");
    let is_over = AtomicBool::new(false);
    let (mut accepted, mut refused, mut changes) = (0, 0, 0);
    std::thread::scope(|scope| {
        let dpkg = scope.spawn(|| {
            let mut changes = 0;
            while !is_over.load(Ordering::SeqCst) {
                place
                    .packages
                    .iter()
                    .for_each(|package| place.install(package));
                place.remove();
                changes += 3;
            }
            changes
        });
        for (user, device) in users.iter().zip(&devices) {
            for typed in [device.wrong(), String::new()] {
                let login = stack.login(user, &[&typed]);
                assert_ne!(login.code, PamCode::SUCCESS, "{user}: '{typed}'");
            }
            match stack.login(user, &[&device.code()]).code {
                PamCode::SUCCESS => accepted += 1,
                _ => refused += 1,
            }
        }
        is_over.store(true, Ordering::SeqCst);
        changes = dpkg.join().expect("dpkg");
    });
    assert!(
        accepted > 0,
        "the module was never there: {refused} refused"
    );
    println!(
        "figures: {changes} changes by dpkg, {accepted} right codes accepted and {refused} refused meanwhile, no wrong one \
         accepted"
    );
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

const PACKAGE: &str = "module-under-test";
const MODULE: &str = "lib/security/pam_totp.so";
