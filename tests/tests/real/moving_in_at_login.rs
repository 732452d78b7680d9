//! A user that has only the file of google-authenticator moves in with the first good code: root's
//! importer reads the file while the login waits, and the login is judged as always.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use tests::daemon::{Daemon, Setup};
use tests::libpam::PamCode;
use tests::oathtool::Authenticator;
use tests::stack::Stack;
use tests::wire::Caller;
use tests::world;

const ON: &str = "import: {google-authenticator: {homes: true}}\n";

#[test]
fn the_first_good_code_of_a_user_with_an_old_file_opens_that_login_and_no_other() {
    let _place = world::enter();
    let daemon = Setup::new().with(ON).start();
    let asked = importer(&daemon);
    let (home, phone) = home_of("lazy-first", &["-d", "-w", "3"]);
    let before = fs::read(home.join(FILE)).expect("their file");
    let stack = Stack::of(&daemon, "lazy-first", "retry=1");
    let wrong = stack.login("lazy-first", &[&phone.wrong()]);
    assert_eq!(wrong.code, PamCode::AUTH_ERR);
    daemon.audited("lazy-first", "rejected");
    assert_eq!(daemon.budget("lazy-first"), 4, "it was charged");
    let code = phone.code();
    let login = stack.login("lazy-first", &[&code]);
    assert_eq!(login.code, PamCode::SUCCESS);
    let again = stack.login("lazy-first", &[&code]);
    assert_eq!(again.code, PamCode::AUTH_ERR, "it opened one login");
    daemon.audited("lazy-first", "already_used");
    let next = stack.login("lazy-first", &[&phone.code_at(1)]);
    assert_eq!(next.code, PamCode::SUCCESS);
    assert_eq!(asked.count(), 1, "once, for the first login");
    assert_eq!(fs::read(home.join(FILE)).expect("their file"), before);
    assert!(
        !daemon
            .logged(&["event=import ", "user=lazy-first "])
            .is_empty()
    );
    assert!(daemon.logged(&["event=import_failed"]).is_empty());
}

#[test]
fn a_code_that_opened_a_login_by_the_old_module_opens_none_here() {
    let _place = world::enter();
    let daemon = Setup::new().with(ON).start();
    importer(&daemon);
    let stack = Stack::of(&daemon, "lazy-spent", "retry=1");
    let (home, phone) = home_of("lazy-spent", &["-d", "-w", "3"]);
    let code = phone.code();
    assert_eq!(
        theirs(&home, "lazy-spent")
            .login("lazy-spent", &[&code])
            .code,
        PamCode::SUCCESS
    );
    let spent = stack.login("lazy-spent", &[&code]);
    assert_eq!(spent.code, PamCode::AUTH_ERR);
    daemon.audited("lazy-spent", "already_used");
    let next = stack.login("lazy-spent", &[&phone.code_at(1)]);
    assert_eq!(next.code, PamCode::SUCCESS);
    // Of a file that does not say what was used, the present code may have been.
    let (_, phone) = home_of("lazy-again", &["-D", "-w", "3"]);
    let present = stack.login("lazy-again", &[&phone.code()]);
    assert_eq!(present.code, PamCode::AUTH_ERR);
    daemon.audited("lazy-again", "already_used");
    let next = stack.login("lazy-again", &[&phone.code_at(1)]);
    assert_eq!(next.code, PamCode::SUCCESS);
}

#[test]
fn the_file_of_a_user_with_a_record_is_never_read_and_off_by_default_none_is() {
    let _place = world::enter();
    let daemon = Setup::new().with(ON).start();
    let asked = importer(&daemon);
    let stack = Stack::of(&daemon, "lazy-old", "retry=1");
    let has_record = |user: &str| {
        let (_, phone) = home_of(user, &["-d", "-w", "3"]);
        let login = stack.login(user, &[&phone.code()]);
        assert_eq!(login.code, PamCode::AUTH_ERR, "{user}");
    };
    daemon.enroll("lazy-old");
    has_record("lazy-old");
    daemon.enroll("lazy-revoked");
    daemon.totpctl_json(&["revoke", "lazy-revoked", "--device", "default"], "");
    has_record("lazy-revoked");
    daemon.totpctl_json(&["ticket", "lazy-ticket"], "");
    has_record("lazy-ticket");
    assert_eq!(asked.count(), 0);
    let off = Daemon::start();
    let asked = importer(&off);
    let (_, phone) = home_of("lazy-off", &["-d", "-w", "3"]);
    let login = Stack::of(&off, "lazy-off", "retry=1").login("lazy-off", &[&phone.code()]);
    assert_eq!(login.code, PamCode::AUTH_ERR);
    assert_eq!(asked.count(), 0);
}

#[test]
fn a_user_without_privileges_has_no_file_read() {
    let _place = world::enter();
    let daemon = Setup::new().with(ON).start();
    let asked = importer(&daemon);
    let (_, phone) = home_of("lazy-own", &["-d", "-w", "3"]);
    let caller = Caller::user("lazy-own");
    let about = json!({ "user": "lazy-own", "service": "lazy-own" });
    daemon
        .call_as(&caller, "Challenge", &about)
        .expect("a question");
    let attempt = json!({ "user": "lazy-own", "service": "lazy-own", "codes": [phone.code()] });
    let told = daemon.call_as(&caller, "Verify", &attempt);
    assert_ne!(told.expect("a verdict")["verdict"], "accepted");
    assert_eq!(asked.count(), 0);
}

#[test]
fn a_file_that_is_not_the_users_own_and_private_gives_no_key_and_its_login_is_refused() {
    let _place = world::enter();
    let daemon = Setup::new().with(ON).start();
    importer(&daemon);
    let stack = Stack::of(&daemon, "lazy-hostile", "retry=1");
    let spoiled = |user: &str, spoil: &dyn Fn(&Path)| {
        let (home, phone) = home_of(user, &["-d", "-w", "3"]);
        spoil(&home.join(FILE));
        let login = stack.login(user, &[&phone.code()]);
        assert_eq!(login.code, PamCode::AUTH_ERR, "{user}");
        let refused = [
            "event=import_failed",
            &format!("user={user} "),
            "refused the user's file",
        ];
        daemon.log.wait_for(&refused);
        let shown = daemon.call("Show", &json!({ "user": user }));
        assert_eq!(shown.expect_err("no record").0, "NoSuchUser", "{user}");
    };
    spoiled("lazy-link", &|file| {
        let elsewhere = file.with_file_name("elsewhere");
        fs::rename(file, &elsewhere).expect("another place");
        symlink(&elsewhere, file).expect("a link");
    });
    spoiled("lazy-other", &|file| {
        world::run("chown", &["root", path(file)]);
    });
    spoiled("lazy-open", &|file| mode(file, 0o644));
    spoiled("lazy-text", &|file| {
        fs::write(file, "no key at all &secret=\n").expect("a text");
    });
    spoiled("lazy-huge", &|file| {
        let file = fs::OpenOptions::new().append(true).open(file);
        let zeros = vec![b'0'; 1 << 20];
        file.expect("the file").write_all(&zeros).expect("zeros");
    });
    spoiled("lazy-pipe", &|file| {
        fs::remove_file(file).expect("no file");
        world::run("mkfifo", &["--mode=600", path(file)]);
        world::run("chown", &["lazy-pipe", path(file)]);
    });
    spoiled("lazy-folder", &|file| {
        fs::remove_file(file).expect("no file");
        fs::create_dir(file).expect("a folder");
    });
}

#[test]
fn without_an_importer_or_with_one_that_lies_or_hangs_logins_go_on_as_if_there_were_no_file() {
    let _place = world::enter();
    let daemon = Setup::new().with(ON).start();
    let stack = Stack::of(&daemon, "lazy-without", "retry=1");
    let device = daemon.enroll("lazy-enrolled");
    let mut codes = [device.code(), device.code_at(1)].into_iter();
    let refused = |user: &str| {
        let (_, phone) = home_of(user, &["-d", "-w", "3"]);
        let begun = Instant::now();
        let login = stack.login(user, &[&phone.code()]);
        assert_eq!(login.code, PamCode::AUTH_ERR, "{user}");
        assert!(begun.elapsed() < TIME_OF_A_LOGIN, "{:?}", begun.elapsed());
        daemon.audited(user, "not_enrolled");
        phone
    };
    refused("lazy-absent");
    daemon.log.wait_for(&[
        "event=import_failed",
        "user=lazy-absent",
        "cannot be reached",
    ]);
    let lies = |mut stream: UnixStream| {
        stream
            .read_exact(&mut [0; "lazy-lie\n".len()])
            .expect("a name");
        stream.write_all(b"imported\n").expect("a word");
    };
    asking(&daemon, lies);
    refused("lazy-lie");
    assert!(
        daemon
            .logged(&["event=import_failed", "user=lazy-lie "])
            .is_empty()
    );
    let login = stack.login("lazy-enrolled", &[&codes.next().expect("a code")]);
    assert_eq!(login.code, PamCode::SUCCESS);
    fs::remove_file(daemon.setup.runtime.join(SOCKET)).expect("no socket");
    let login = daemon.login_socket();
    let (stopped, children) = mpsc::channel();
    asking(&daemon, move |stream| {
        stopped
            .send(totpctl(&login, stream, "kill -STOP $$; "))
            .expect("a test");
    });
    let phone = refused("lazy-hang");
    daemon.log.wait_for(&[
        "event=import_failed",
        "user=lazy-hang",
        "did not answer in time",
    ]);
    let login = stack.login("lazy-enrolled", &[&codes.next().expect("a code")]);
    assert_eq!(login.code, PamCode::SUCCESS);
    // When it goes on, the file is imported, for the next login.
    let mut child = children.recv().expect("a process");
    let id = i32::try_from(child.id()).expect("a number");
    kill(Pid::from_raw(id), Signal::SIGCONT).expect("a signal");
    child.wait().expect("its end");
    let later = stack.login("lazy-hang", &[&phone.code_at(1)]);
    assert_eq!(later.code, PamCode::SUCCESS);
}

#[test]
fn a_name_that_has_no_file_is_asked_about_once_a_minute_whether_it_has_an_account_or_not() {
    let _place = world::enter();
    let daemon = Setup::new().with(ON).start();
    let asked = importer(&daemon);
    let stack = Stack::of(&daemon, "lazy-none", "retry=1");
    account("lazy-none");
    for user in ["lazy-none", "lazy-stranger"] {
        for _ in 0..3 {
            let login = stack.login(user, &["123456"]);
            assert_ne!(login.code, PamCode::SUCCESS);
        }
    }
    assert_eq!(asked.count(), 2);
    assert!(daemon.logged(&["event=import_failed"]).is_empty());
}

#[test]
fn while_logins_import_files_no_user_with_an_account_is_forgotten_because_the_file_would_bring_the_key_back()
 {
    let _place = world::enter();
    let mut setup = Setup::new();
    let settings = setup.settings.clone();
    setup.settings.push_str(ON);
    let mut daemon = setup.start();
    account("lazy-forgotten");
    daemon.enroll("lazy-forgotten");
    daemon.enroll("lazy-gone");
    daemon.totpctl_json(&["forget", "lazy-gone", "--yes"], "");
    let refused = daemon.totpctl(&["forget", "lazy-forgotten", "--yes"], "");
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("would bring the old key back"), "{said}");
    daemon.setup.settings = settings;
    daemon.setup.write();
    daemon.totpctl_json(&["reload"], "");
    daemon.totpctl_json(&["forget", "lazy-forgotten", "--yes"], "");
}

#[test]
fn check_says_that_logins_import_files_and_that_no_importer_listens() {
    let _place = world::enter();
    let daemon = Setup::new().with(ON).start();
    let checked = || {
        let told = daemon.setup.command().arg("--check").output();
        let told = told.expect("provisiond --check");
        assert!(told.status.success(), "{told:?}");
        String::from_utf8(told.stdout).expect("text")
    };
    let said = checked();
    assert!(
        said.contains("switch it off when the roll-out ends"),
        "{said}"
    );
    assert!(said.contains("no importer listens"), "{said}");
    importer(&daemon);
    assert!(!checked().contains("no importer listens"));
}

/// How often the importer was asked.
struct Asked(Arc<AtomicUsize>);

impl Asked {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// Root's importer, for each connection a process, as systemd starts it.
fn importer(daemon: &Daemon) -> Asked {
    let login = daemon.login_socket();
    asking(daemon, move |stream| {
        totpctl(&login, stream, "").wait().expect("its end");
    })
}

/// What listens where the importer does, until the tests end.
fn asking(daemon: &Daemon, mut answer: impl FnMut(UnixStream) + Send + 'static) -> Asked {
    let socket = daemon.setup.runtime.join(SOCKET);
    let listener = UnixListener::bind(&socket).expect("a socket");
    mode(&socket, 0o666);
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            counted.fetch_add(1, Ordering::SeqCst);
            answer(stream);
        }
    });
    Asked(asked)
}

/// The process of one connection, which the shell becomes.
fn totpctl(login: &Path, stream: UnixStream, first: &str) -> Child {
    let [input, output] = [stream.try_clone().expect("a descriptor"), stream].map(OwnedFd::from);
    Command::new("sh")
        .args(["-c", &format!("{first}exec \"$@\""), "sh"])
        .arg(world::built("totpctl"))
        .arg("--socket")
        .arg(login)
        .args(["import", "google-authenticator", "--at-login"])
        .stdin(input)
        .stdout(output)
        .spawn()
        .expect("totpctl")
}

/// The home of a user, with the file that the real google-authenticator has made, and the phone.
fn home_of(user: &str, options: &[&str]) -> (PathBuf, Authenticator) {
    let home = account(user);
    let file = home.join(FILE);
    let usual = ["-t", "-f", "-q", "-C", "-u", "-s", path(&file)];
    world::run("google-authenticator", &[&usual, options].concat());
    world::run("chown", &[user, path(&home), path(&file)]);
    mode(&file, 0o600);
    let text = fs::read_to_string(&file).expect("their file");
    (
        home,
        Authenticator::new(text.lines().next().expect("a key")),
    )
}

/// Makes an account, and its home.
fn account(user: &str) -> PathBuf {
    world::change_the_machine();
    let home = world::scratch_folder(user);
    let options = ["--no-create-home", "--home-dir", path(&home), user];
    world::run("useradd", &options);
    home
}

/// The real module of google-authenticator.
fn theirs(home: &Path, user: &str) -> Stack {
    let file = home.join(FILE);
    let line = format!(
        "auth required pam_google_authenticator.so secret={} user={user}\n",
        file.display()
    );
    Stack::new("google", &line)
}

fn mode(file: &Path, mode: u32) {
    fs::set_permissions(file, Permissions::from_mode(mode)).expect("chmod");
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path")
}

const SOCKET: &str = "importer.sock";
const FILE: &str = ".google_authenticator";
/// The module waits three seconds for each of its two calls, and must never have to.
const TIME_OF_A_LOGIN: Duration = Duration::from_millis(2900);
