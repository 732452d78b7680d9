//! The recipes of the administrator's guide, as they stand there, on the real sshd and sudo.

use std::path::Path;

use tests::daemon::{Daemon, Setup};
use tests::libpam::PamCode;
use tests::oathtool::Authenticator;
use tests::program;
use tests::sshd::{Client, Sshd, System, as_user};
use tests::stack::{Stack, module};
use tests::world;

use crate::first_login::{key_in, ticket};

const GUIDE: &str = include_str!("../../../docs/administrators-guide.md");
const PASSWORD: &str = "correct horse";

#[test]
fn key_and_code() {
    let _place = world::enter();
    let scene = Scene::of("Key and code");
    let code = scene.system.daemon.enroll("alice").code();
    assert!(!scene.with_password("alice", &code).0, "a password is no key");
    assert_eq!(scene.with_key("alice", &code), asked(true, &[CODE]));
    assert!(!scene.with_key("alice", &code).0, "a code opens one login");
}

#[test]
fn password_and_code() {
    let _place = world::enter();
    let scene = Scene::of("Password and code");
    let alice = scene.system.daemon.enroll("alice");
    let code = alice.code();
    assert_eq!(scene.with_password("alice", &code), asked(true, &[WORD, CODE]));
    assert!(!scene.with_password("alice", &code).0);
    world::set_password("alice", "another");
    assert_eq!(
        scene.with_password("alice", &alice.code_at(1)),
        asked(false, &[WORD]),
        "nobody guesses codes without it"
    );
}

#[test]
fn password_and_code_in_one_field() {
    let _place = world::enter();
    let scene = Scene::of("Password and code in one field");
    let code = scene.system.daemon.enroll("alice").code();
    let password = format!("{PASSWORD}{code}");
    let told = scene.login(&Client { user: "alice", password: &password, ..Client::default() });
    assert_eq!(told, asked(true, &["Password & verification code: "]));
}

#[test]
fn password_and_code_with_pam_faillock() {
    let _place = world::enter();
    let scene = Scene::of("Password and code, with pam_faillock");
    let alice = scene.system.daemon.enroll("alice");
    for _ in 0..4 {
        assert!(!scene.with_password("alice", &alice.wrong()).0);
    }
    assert_eq!(scene.with_password("alice", &alice.code()), asked(true, &[WORD, CODE]), "wrong codes lock nobody out");
    world::set_password("alice", "another");
    for _ in 0..3 {
        assert!(!scene.with_password("alice", "").0);
    }
    world::set_password("alice", PASSWORD);
    assert!(!scene.with_password("alice", &alice.code_at(1)).0, "wrong passwords do");
}

#[test]
fn key_or_password_and_a_code() {
    let _place = world::enter();
    let scene = Scene::of("Key or password, and a code");
    let (alice, bob) = (scene.system.daemon.enroll("alice"), scene.system.daemon.enroll("bob"));
    assert_eq!(scene.with_key("alice", &alice.code()), asked(true, &[CODE]));
    assert_eq!(scene.with_password("bob", &bob.code()), asked(true, &[WORD, CODE]));
    world::set_password("bob", "another");
    assert_eq!(scene.with_password("bob", &bob.code_at(1)), asked(false, &[WORD]));
}

#[test]
fn codes_for_sudo_only() {
    let _place = world::enter();
    let scene = Scene::of("Codes for sudo only");
    scene.system.allow_sudo("alice");
    let code = scene.system.daemon.enroll("alice").code();
    let sudo = |input: &str| as_user("alice", &["sudo", "-S", "-k", "id", "-un"], input).status.code();
    assert_eq!(sudo(&format!("wrong\n{code}\n")), Some(1), "the code is not asked for");
    assert_eq!(sudo(&format!("{PASSWORD}\n{code}\n")), Some(0));
    assert_eq!(as_user("alice", &["sudo", "-n", "-k", "id"], "").status.code(), Some(1), "a script is told at once");
    let sudo_says = || {
        let output =
            as_user("alice", &["sudo", "-S", "-k", "id"], &format!("{PASSWORD}\n{code}\n{PASSWORD}\n{code}\n"));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let used = "That code was used already.";
    assert!(!sudo_says().contains(used), "sudo wants silence");
    scene.system.sudoers("speaking", "Defaults !pam_silent\n");
    let told = sudo_says();
    let is_old = told.contains("unknown defaults entry \"pam_silent\"");
    assert_eq!(told.contains(used), !is_old, "{told}");
}

#[test]
fn the_office_without_a_code() {
    let _place = world::enter();
    let mut scene = Scene::of("The office without a code");
    let code = scene.system.daemon.enroll("alice").code();
    assert_eq!(scene.with_key("alice", &code), asked(true, &[]));
    scene.system.daemon.log.wait_for(&["user=alice", "service=sshd", "verdict=exempt", "rule=office"]);
    assert!(!scene.with_password("alice", &code).0, "the first factor is still one");
    let elsewhere = scene.system.daemon.setup.settings.replace("127.0.0.0/8", "192.0.2.0/24");
    scene.system.daemon.setup.settings = elsewhere;
    scene.system.daemon.setup.write();
    assert!(scene.system.daemon.totpctl(&["reload"], "").status.success());
    assert_eq!(scene.with_key("alice", &code), asked(true, &[CODE]), "from elsewhere");
}

#[test]
fn sudo_after_ssh_without_a_second_code() {
    let _place = world::enter();
    let scene = Scene::of("sudo after ssh, without a second code");
    scene.system.allow_sudo("alice");
    let alice = scene.system.daemon.enroll("alice");
    let sudo = || as_user("alice", &["sudo", "-S", "-k", "id", "-un"], &format!("{PASSWORD}\n")).status.code();
    assert_eq!(sudo(), Some(1), "without an accepted code it is asked for");
    scene.system.service("sshd", "auth required TOTP retry=1");
    let sshd = Sshd::start("publickey,keyboard-interactive");
    let (key, code) = (sshd.authorize("alice"), alice.code());
    let client = Client { user: "alice", key: Some(&key), codes: &[&code], ..Client::default() };
    assert!(sshd.login(&client).accepted);
    assert_eq!(sudo(), Some(0));
    assert!(scene.system.daemon.totpctl(&["revoke-grace", "alice"], "").status.success());
    assert_eq!(sudo(), Some(1), "it was taken back");
}

#[test]
fn enrolling_at_the_first_login() {
    let _place = world::enter();
    let scene = Scene::of("Enrolling at the first login");
    let ticket = ticket(&scene.system.daemon, "alice");
    let mut terminal = scene.sshd.on_terminal(&Client { user: "alice", ..Client::default() });
    for (prompt, typed) in [("Password: ", PASSWORD), ("Enrolment ticket: ", &ticket)] {
        terminal.wait_for(prompt);
        terminal.type_keys(&format!("{typed}\r"));
    }
    terminal.wait_for("Verification code: ");
    let code = Authenticator::new(&key_in(&terminal.shown())).code();
    terminal.type_keys(&format!("{code}\r"));
    let (status, page) = terminal.end();
    assert!(status.success() && page.trim_end().ends_with("alice"), "{page}");
    assert!(page.contains('▀'), "{page}");
    assert!(!scene.with_password("alice", &code).0, "the code is used");
    let bob = scene.with_password("bob", "123456");
    assert_eq!(bob, asked(false, &["Password: ", "Verification code: "]), "he has no ticket");
}

#[test]
fn machines_and_whoever_breaks_the_glass_come_in_by_key_alone_and_without_the_daemon() {
    let _place = world::enter();
    for (recipe, group) in [("Machines, service accounts, Ansible", "machines"), ("Break-glass", "breakglass")] {
        world::group(group, &["bob"]);
        let mut scene = Scene::of(recipe);
        let code = scene.system.daemon.enroll("alice").code();
        assert_eq!(scene.with_key("alice", &code), asked(true, &[CODE]), "{recipe}");
        scene.system.daemon.kill();
        assert_eq!(scene.with_key("bob", ""), asked(true, &[]), "{recipe}");
        assert!(!scene.with_key("alice", &code).0, "{recipe}: nobody else");
    }
}

#[test]
fn file_transfer() {
    let _place = world::enter();
    world::group("sftponly", &["bob"]);
    let scene = Scene::of("File transfer");
    let code = scene.system.daemon.enroll("bob").code();
    let session = scene.sshd.login(&Client {
        user: "bob",
        key: Some(&scene.sshd.authorize("bob")),
        codes: &[&code],
        ..Client::default()
    });
    assert!(!session.output.contains("bob"), "no command runs there: {session:?}");
    scene.system.daemon.log.wait_for(&["user=bob", "service=sshd", "verdict=accepted"]);
    scene.sshd.log.wait_for(&["Accepted keyboard-interactive/pam for bob"]);
}

#[test]
fn the_long_form_of_requisite_lets_in_whom_the_short_one_does() {
    let _place = world::enter();
    let daemon = Setup::new().with("rules: [{name: carol, users: [carol]}]\n").start();
    let (alice, _) = (daemon.enroll("alice"), daemon.enroll("carol"));
    let (_, form) = GUIDE.split_once("`auth [success=1 ").expect("the long form");
    let (form, _) = form.split_once(" is the long form of `requisite`").expect("its end");
    let lines = format!("auth [success=1 {}", form.trim_end_matches('`').replace("`, `", "\n"));
    let ours = format!("{} socket={} nullok retry=1", module().display(), daemon.login_socket().display());
    let stack = Stack::new("long-form", &(lines.replace("pam_totp.so", &ours) + "\n"));
    let (right, wrong) = (alice.code(), alice.wrong());
    for (user, codes, code) in [
        ("alice", &[wrong.as_str()][..], PamCode::AUTH_ERR),
        ("alice", &[&right], PamCode::SUCCESS),
        ("alice", &[&right], PamCode::AUTH_ERR),
        ("carol", &[], PamCode::SUCCESS),
        ("bob", &[], PamCode::SUCCESS),
    ] {
        assert_eq!(stack.login(user, codes).code, code, "{user} {codes:?}");
    }
}

const CODE: &str = "Verification code: ";
const WORD: &str = "Password: ";

/// How a login went: whether it got in, and the prompts.
fn asked(accepted: bool, prompts: &[&str]) -> (bool, Vec<String>) {
    (accepted, prompts.iter().map(|prompt| (*prompt).to_owned()).collect())
}

/// The machine as a recipe makes it.
struct Scene {
    system: System,
    sshd: Sshd,
}

impl Scene {
    fn of(recipe: &str) -> Self {
        let mut system = System::start();
        let mut sshd = String::new();
        for File { path, text } in files(recipe) {
            match path.strip_prefix("/etc/pam.d/") {
                Some(service) => system.service(service, &for_a_test(&text)),
                None if path.starts_with("/etc/ssh/") => sshd = text,
                None if path.ends_with("/settings.yaml") => settle(&mut system.daemon, &text),
                None => install(Path::new(&path), &text),
            }
        }
        for user in ["alice", "bob"] {
            world::set_password(user, PASSWORD);
        }
        Self { system, sshd: Sshd::configured(&sshd) }
    }

    fn with_key(&self, user: &str, code: &str) -> (bool, Vec<String>) {
        self.login(&Client { user, key: Some(&self.sshd.authorize(user)), codes: &[code], ..Client::default() })
    }

    fn with_password(&self, user: &str, code: &str) -> (bool, Vec<String>) {
        self.login(&Client { user, password: PASSWORD, codes: &[code], ..Client::default() })
    }

    /// Whether it got in, and the prompts without what ssh writes before them.
    fn login(&self, client: &Client<'_>) -> (bool, Vec<String>) {
        let session = self.sshd.login(client);
        let before = format!("({}@127.0.0.1) ", client.user);
        let prompts = session.prompts.iter().map(|prompt| prompt.replacen(&before, "", 1)).collect();
        (session.accepted, prompts)
    }
}

/// A file that a recipe gives.
struct File {
    path: String,
    text: String,
}

/// The indented blocks under a recipe's heading, each from its comment with the path on.
fn files(recipe: &str) -> Vec<File> {
    let heading = format!("### {recipe}\n");
    let (_, section) = GUIDE.split_once(&heading).unwrap_or_else(|| panic!("no recipe '{recipe}' in the guide"));
    let section = section.split("\n#").next().unwrap_or_default();
    let mut files: Vec<File> = Vec::new();
    for line in section.lines().filter_map(|line| line.strip_prefix("    ")) {
        match line.strip_prefix("# /") {
            Some(path) => {
                let path = path.split_whitespace().next().unwrap_or_default();
                files.push(File { path: format!("/{path}"), text: String::new() });
            }
            None => files.last_mut().expect("a path before the first line").text += &format!("{line}\n"),
        }
    }
    assert!(!files.is_empty(), "the recipe '{recipe}' gives no file");
    files
}

/// The module under test, and no pause after a refusal.
fn for_a_test(lines: &str) -> String {
    lines
        .replace("pam_totp.so", "TOTP")
        .replace("pam_unix.so", "pam_unix.so nodelay")
        .replace("preauth", "preauth nodelay")
        .replace("authfail", "authfail nodelay")
}

/// Adds a recipe's settings to the daemon's. The tests come from another network than the guide's people.
fn settle(daemon: &mut Daemon, lines: &str) {
    daemon.setup.settings.push_str(&lines.replace("192.0.2.0/24", "127.0.0.0/8"));
    daemon.setup.write();
    assert!(daemon.totpctl(&["reload"], "").status.success(), "{lines}");
}

fn install(path: &Path, text: &str) {
    program::write(path, text);
}
