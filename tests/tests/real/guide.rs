//! The recipes of the administrator's guide, as they stand there, on the real sshd and sudo.

use std::path::Path;
use std::process::Command;

use common::names::service::SISTERS;
use tests::daemon::{Daemon, Setup};
use tests::guide::{File, GUIDE, files};
use tests::libpam::PamCode;
use tests::oathtool::Authenticator;
use tests::program;
use tests::sshd::{Client, Sshd, System, as_user, command_of};
use tests::stack::{Stack, module};
use tests::terminal::Terminal;
use tests::world;

use crate::first_login::{key_in, ticket};

const README: &str = include_str!("../../../README.md");
const PASSWORD: &str = "correct horse";

/// `make vm-test` types them; this says at once which one it would miss.
#[test]
fn every_command_of_the_readme_and_the_guide_is_typed_in_the_machine_or_has_a_reason() {
    let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("vm/documents.py");
    let told = Command::new("python3").arg(table).output();
    let told = told.expect("python3");
    let missing = String::from_utf8_lossy(&told.stderr);
    assert!(told.status.success(), "{missing}");
}

#[test]
fn key_and_code() {
    let _place = world::enter();
    let scene = Scene::of("Key and code");
    let code = scene.system.daemon.enroll("alice").code();
    assert!(
        !scene.with_password("alice", &code).0,
        "a password is no key"
    );
    assert_eq!(scene.with_key("alice", &code), asked(true, &[CODE]));
    assert!(!scene.with_key("alice", &code).0, "a code opens one login");
}

/// With `PermitRootLogin` as Debian has it, and as the guide says.
#[test]
fn root_gets_in_with_key_and_code_only_where_sshd_lets_root_type() {
    let _place = world::enter();
    let scene = Scene::of("Key and code");
    let root = scene.system.daemon.enroll("root");
    assert!(!scene.with_key("root", &root.code()).0);
    scene.system.daemon.log.wait_for(&[
        "event=verify",
        "user=root",
        "verdict=malformed",
        "reason=hidden_by_sshd",
    ]);
    let why = scene.system.daemon.totpctl(&["why", "root"], "");
    let why = String::from_utf8_lossy(&why.stdout).into_owned();
    assert!(why.contains("PermitRootLogin"), "{why}");
    let methods = "publickey,keyboard-interactive";
    let sshd = Sshd::start_with(methods, "PermitRootLogin yes\n");
    let key = sshd.authorize("root");
    let client = Client {
        user: "root",
        key: Some(&key),
        codes: &[&root.code()],
        ..Client::default()
    };
    assert!(sshd.login(&client).accepted, "the code was not used up");
}

/// From key and code back to Debian's own files.
#[test]
fn the_way_back_of_the_readme_lets_in_with_a_key_alone_and_with_a_password() {
    let _place = world::enter();
    let scene = Scene::of("Key and code");
    let alice = scene.system.daemon.enroll("alice");
    assert!(scene.with_key("alice", &alice.code()).0);
    scene.system.service("sshd", "");
    assert!(!scene.with_key("alice", "").0, "half of the way is none");
    let (_, line) = README
        .split_once("**The way back.**")
        .expect("the way back");
    let (_, line) = line.split_once("put `").expect("what to put back");
    let (line, _) = line.split_once('`').expect("its end");
    scene.system.service("sshd", line);
    // Debian's configuration, without the file of step 5.
    let sshd = Sshd::configured("UsePAM yes\nKbdInteractiveAuthentication no\n");
    let key = sshd.authorize("alice");
    let alone = Client {
        user: "alice",
        key: Some(&key),
        ..Client::default()
    };
    assert!(sshd.login(&alone).accepted);
    let by_password = Client {
        user: "alice",
        password: PASSWORD,
        options: &["PreferredAuthentications=password"],
        ..Client::default()
    };
    assert!(sshd.login(&by_password).accepted);
}

#[test]
fn password_and_code() {
    let _place = world::enter();
    let scene = Scene::of("Password and code");
    let alice = scene.system.daemon.enroll("alice");
    let code = alice.code();
    assert_eq!(
        scene.with_password("alice", &code),
        asked(true, &[WORD, CODE])
    );
    assert!(!scene.with_password("alice", &code).0);
    assert_eq!(
        scene.with_a_wrong_password("alice", &alice.code_at(1)),
        asked(false, &[WORD]),
        "without it no code is asked for"
    );
}

#[test]
fn password_and_code_in_one_field() {
    let _place = world::enter();
    let scene = Scene::of("Password and code in one field");
    let code = scene.system.daemon.enroll("alice").code();
    let password = format!("{PASSWORD}{code}");
    let told = scene.login(&Client {
        user: "alice",
        password: &password,
        ..Client::default()
    });
    assert_eq!(told, asked(true, &[BOTH]));
}

#[test]
fn password_and_code_with_pam_faillock() {
    let _place = world::enter();
    let scene = Scene::of("Password and code, with pam_faillock");
    let alice = scene.system.daemon.enroll("alice");
    for _ in 0..4 {
        assert!(!scene.with_password("alice", &alice.wrong()).0);
    }
    assert_eq!(
        scene.with_password("alice", &alice.code()),
        asked(true, &[WORD, CODE]),
        "wrong codes lock no user out"
    );
    for _ in 0..3 {
        assert!(!scene.with_a_wrong_password("alice", "").0);
    }
    assert!(
        !scene.with_password("alice", &alice.code_at(1)).0,
        "wrong passwords do"
    );
}

#[test]
fn key_or_password_and_a_code() {
    let _place = world::enter();
    let scene = Scene::of("Key or password, and a code");
    let (alice, bob) = (
        scene.system.daemon.enroll("alice"),
        scene.system.daemon.enroll("bob"),
    );
    assert_eq!(scene.with_key("alice", &alice.code()), asked(true, &[CODE]));
    assert_eq!(
        scene.with_password("bob", &bob.code()),
        asked(true, &[WORD, CODE])
    );
    assert_eq!(
        scene.with_a_wrong_password("bob", &bob.code_at(1)),
        asked(false, &[WORD])
    );
}

/// On a terminal and with the client's defaults, as people have it.
#[test]
fn in_every_recipe_for_sshd_a_mistyped_code_is_asked_for_again_and_after_three_the_client_begins_anew()
 {
    let _place = world::enter();
    for name in ["machines", "breakglass", "sftponly"] {
        world::group(name, &["bob"]);
    }
    let headings = recipes();
    let of_sshd = |recipe: &&str| {
        files(recipe)
            .iter()
            .any(|file| file.path == "/etc/pam.d/sshd")
    };
    assert_eq!(
        RECIPES.map(|(recipe, _)| recipe).to_vec(),
        headings.filter(of_sshd).collect::<Vec<_>>()
    );
    for (recipe, factor) in RECIPES {
        logs_in_after_four_typos(recipe, factor);
    }
}

/// After three wrong codes the client begins anew, and the second code then is right.
fn logs_in_after_four_typos(recipe: &str, factor: Factor) {
    let mut scene = Scene::of(recipe);
    scene.leave_the_office();
    let alice = scene.system.daemon.enroll("alice");
    let key = scene.sshd.authorize("alice");
    let key = (factor == Factor::Key).then_some(key.as_path());
    let mut terminal = scene.sshd.on_terminal(&Client {
        user: "alice",
        key,
        by_default: true,
        ..Client::default()
    });
    for codes in [
        &[alice.wrong(), alice.wrong(), alice.wrong()][..],
        &[alice.wrong(), alice.code()],
    ] {
        if factor == Factor::Password {
            terminal.answer(WORD, PASSWORD);
        }
        for code in codes {
            match factor {
                Factor::Joined => terminal.answer(BOTH, &format!("{PASSWORD}{code}")),
                Factor::Key | Factor::Password => terminal.answer(CODE, code),
            }
        }
    }
    let (status, page) = terminal.end();
    assert!(
        status.success() && page.lines().any(|line| line.trim() == "alice"),
        "{recipe}: {page}"
    );
    let rounds = page.matches("(alice@127.0.0.1) Password: ").count();
    assert_eq!(
        rounds,
        if factor == Factor::Password { 2 } else { 0 },
        "{recipe}: {page}"
    );
    assert!(!page.contains(CLIENTS_OWN), "{recipe}: {page}");
    assert_eq!(
        scene
            .system
            .daemon
            .log
            .wait_for_many(4, &["event=verify", "user=alice", "verdict=rejected"])
            .len(),
        4
    );
}

#[test]
fn the_client_never_shows_a_prompt_of_its_own_however_often_a_code_is_refused() {
    let _place = world::enter();
    for (recipe, factor) in [RECIPES[0], RECIPES[1]] {
        let scene = Scene::of(recipe);
        scene.system.daemon.enroll("alice");
        let key = scene.sshd.authorize("alice");
        let key = (factor == Factor::Key).then_some(key.as_path());
        let mut terminal = scene.sshd.on_terminal(&Client {
            user: "alice",
            key,
            by_default: true,
            ..Client::default()
        });
        for _ in 0..3 {
            if factor == Factor::Password {
                terminal.answer(WORD, PASSWORD);
            }
            (0..3).for_each(|_| terminal.answer(CODE, "no code"));
        }
        let (status, page) = terminal.end();
        let told = page
            .trim_end()
            .ends_with("Permission denied (keyboard-interactive).");
        assert!(
            !status.success() && told && !page.contains(CLIENTS_OWN),
            "{recipe}: {page}"
        );
    }
}

#[test]
fn a_shared_file_with_sufficient() {
    let _place = world::enter();
    let scene = Scene::of("A shared file with `sufficient` (Red Hat, Fedora, Gentoo)");
    let alice = scene.system.daemon.enroll("alice");
    let (is_in, prompts) = scene.with_password("alice", &alice.wrong());
    assert!(!is_in && prompts[..2] == [WORD, CODE], "{prompts:?}");
    assert_eq!(
        scene.with_password("alice", &alice.code()),
        asked(true, &[WORD, CODE])
    );
    let file = std::fs::read_to_string("/etc/pam.d/sshd").expect("the service file");
    std::fs::write("/etc/pam.d/sshd", file.replace("substack", "include")).expect("as it was");
    assert_eq!(
        scene.with_password("alice", &alice.wrong()),
        asked(true, &[WORD]),
        "the guide warns of this"
    );
}

#[test]
fn codes_for_sudo_only() {
    let _place = world::enter();
    let scene = Scene::of("Codes for sudo only");
    scene.system.allow_sudo("alice");
    let alice = scene.system.daemon.enroll("alice");
    let code = alice.code();
    let sudo = |options: &str, input: &str| {
        as_user("alice", &["sudo", "-S", options, "id", "-un"], input)
            .status
            .code()
    };
    for options in ["-k", "-ki"] {
        assert_eq!(
            sudo(options, &format!("{PASSWORD}\n")),
            Some(1),
            "{options}: the password is not enough"
        );
        assert_eq!(
            sudo(options, &format!("wrong\n{code}\n")),
            Some(1),
            "{options}: the code is not asked for"
        );
    }
    assert_eq!(sudo("-k", &format!("{PASSWORD}\n{code}\n")), Some(0));
    let next = alice.code_at(1);
    assert_eq!(sudo("-ki", &format!("{PASSWORD}\n{next}\n")), Some(0));
    assert_eq!(
        as_user("alice", &["sudo", "-n", "-k", "id"], "")
            .status
            .code(),
        Some(1),
        "a script is told at once"
    );
    let sudo_says = || {
        let output = as_user(
            "alice",
            &["sudo", "-S", "-k", "id"],
            &format!("{PASSWORD}\n{code}\n{PASSWORD}\n{code}\n"),
        );
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let used = "That code was already used.";
    assert!(!sudo_says().contains(used), "sudo wants silence");
    scene.system.sudoers("speaking", "Defaults !pam_silent\n");
    let told = sudo_says();
    let is_old = told.contains("unknown defaults entry \"pam_silent\"");
    assert_eq!(told.contains(used), !is_old, "{told}");
}

#[test]
fn sudo_asks_for_a_mistyped_code_again_and_after_three_for_the_password() {
    let _place = world::enter();
    let scene = Scene::of("Codes for sudo only");
    scene.system.allow_sudo("alice");
    let alice = scene.system.daemon.enroll("alice");
    let sudo = || Terminal::start(&command_of("alice", &["sudo", "-k", "id", "-un"]), 80);
    let round = |terminal: &mut Terminal, codes: &[String]| {
        terminal.answer("password for alice: ", PASSWORD);
        codes.iter().for_each(|code| terminal.answer(CODE, code));
    };
    let mut mistyped = sudo();
    round(
        &mut mistyped,
        &[alice.wrong(), alice.wrong(), alice.wrong()],
    );
    round(&mut mistyped, &[alice.wrong(), alice.code()]);
    let (status, page) = mistyped.end();
    assert!(status.success() && page.ends_with("root\n"), "{page}");
    assert_eq!(page.matches("Sorry, try again.").count(), 1, "{page}");
    let mut refused = sudo();
    (0..3).for_each(|_| round(&mut refused, &["1", "2", "3"].map(str::to_owned)));
    let (status, page) = refused.end();
    assert!(
        !status.success() && page.ends_with("sudo: 3 incorrect password attempts\n"),
        "{page}"
    );
}

#[test]
fn the_office_without_a_code() {
    let _place = world::enter();
    let mut scene = Scene::of("The office without a code");
    let code = scene.system.daemon.enroll("alice").code();
    assert_eq!(scene.with_key("alice", &code), asked(true, &[]));
    scene.system.daemon.log.wait_for(&[
        "user=alice",
        "service=sshd",
        "verdict=exempt",
        "rule=office",
    ]);
    assert!(
        !scene.with_password("alice", &code).0,
        "the first factor is still one"
    );
    scene.leave_the_office();
    assert_eq!(
        scene.with_key("alice", &code),
        asked(true, &[CODE]),
        "from elsewhere"
    );
}

#[test]
fn sudo_after_ssh_without_a_second_code() {
    let _place = world::enter();
    let scene = Scene::of("sudo after ssh, without a second code");
    scene.system.allow_sudo("alice");
    let alice = scene.system.daemon.enroll("alice");
    let sudo = || {
        ["-k", "-ki"].map(|options| {
            as_user(
                "alice",
                &["sudo", "-S", options, "id", "-un"],
                &format!("{PASSWORD}\n"),
            )
            .status
            .code()
        })
    };
    let (asked, spared) = ([Some(1), Some(1)], [Some(0), Some(0)]);
    assert_eq!(sudo(), asked, "without an accepted code it is asked for");
    scene.system.service("sshd", "auth required TOTP");
    let sshd = Sshd::start("publickey,keyboard-interactive");
    let (key, code) = (sshd.authorize("alice"), alice.code());
    let client = Client {
        user: "alice",
        key: Some(&key),
        codes: &[&code],
        ..Client::default()
    };
    assert!(sshd.login(&client).accepted);
    assert_eq!(sudo(), spared);
    assert!(
        scene
            .system
            .daemon
            .totpctl(&["revoke-grace", "alice"], "")
            .status
            .success()
    );
    assert_eq!(sudo(), asked, "it was taken back");
}

#[test]
fn codes_for_su() {
    let _place = world::enter();
    let scene = Scene::of("Codes for su");
    let (alice, bob) = (
        scene.system.daemon.enroll("alice"),
        scene.system.daemon.enroll("bob"),
    );
    let su = |options: &[&str], input: &str| {
        let command = [&["su"], options, &["bob", "-c", "id -un"]].concat();
        as_user("alice", &command, input).status.success()
    };
    for (options, step) in [(&[][..], 0), (&["-"], 1)] {
        assert!(!su(options, &format!("{PASSWORD}\n")), "{options:?}");
        let callers = format!("{PASSWORD}\n{}\n", alice.code_at(step));
        assert!(!su(options, &callers), "{options:?}");
        let targets = format!("{PASSWORD}\n{}\n", bob.code_at(step));
        assert!(su(options, &targets), "{options:?}");
    }
}

#[test]
fn a_recipe_for_a_service_names_the_file_of_its_sister() {
    for recipe in recipes() {
        let paths: Vec<String> = files(recipe).into_iter().map(|file| file.path).collect();
        let has = |service: &str| paths.contains(&format!("/etc/pam.d/{service}"));
        for (sister, service) in SISTERS {
            assert_eq!(
                has(service),
                has(sister),
                "{recipe}: {service} and {sister}"
            );
        }
    }
}

#[test]
fn enrolling_at_the_first_login() {
    let _place = world::enter();
    let scene = Scene::of("Enrolling at the first login");
    let ticket = ticket(&scene.system.daemon, "alice");
    let mut terminal = scene.sshd.on_terminal(&Client {
        user: "alice",
        ..Client::default()
    });
    for (prompt, typed) in [(WORD, PASSWORD), ("Enrolment ticket: ", &ticket)] {
        terminal.answer(prompt, typed);
    }
    terminal.wait_for(CODE);
    let code = Authenticator::new(&key_in(&terminal.shown())).code();
    terminal.type_keys(&format!("{code}\r"));
    let (status, page) = terminal.end();
    assert!(
        status.success() && page.lines().any(|line| line.trim() == "alice"),
        "{page}"
    );
    assert!(page.contains('▀'), "{page}");
    assert!(!scene.with_password("alice", &code).0, "the code is used");
    let bob = scene.with_password("bob", "123456");
    assert_eq!(bob.1[..2], [WORD, CODE], "he has no ticket");
    assert!(!bob.0);
}

#[test]
fn enrolling_at_the_first_login_without_a_ticket() {
    let _place = world::enter();
    world::group("staff", &["alice"]);
    let scene = Scene::of("Enrolling at the first login without a ticket");
    let wrong = scene.with_a_wrong_password("alice", "123456");
    assert_eq!(wrong, asked(false, &[WORD]), "no first factor, no key");
    let mut terminal = scene.sshd.on_terminal(&Client {
        user: "alice",
        ..Client::default()
    });
    terminal.answer(WORD, PASSWORD);
    terminal.wait_for(CODE);
    let code = Authenticator::new(&key_in(&terminal.shown())).code();
    terminal.type_keys(&format!("{code}\r"));
    let (status, page) = terminal.end();
    assert!(
        status.success() && page.lines().any(|line| line.trim() == "alice"),
        "{page}"
    );
    assert!(page.contains('▀'), "{page}");
    assert!(!scene.with_password("alice", &code).0, "the code is used");
    let bob = scene.with_password("bob", "123456");
    assert_eq!(bob.1[..2], [WORD, CODE], "he is not of the group");
    assert!(!bob.0);
}

#[test]
fn machines_and_whoever_breaks_the_glass_come_in_by_key_alone_and_without_the_daemon() {
    let _place = world::enter();
    for (recipe, group) in [
        ("Machines, service accounts, Ansible", "machines"),
        ("Break-glass", "breakglass"),
    ] {
        world::group(group, &["bob"]);
        let mut scene = Scene::of(recipe);
        let code = scene.system.daemon.enroll("alice").code();
        assert_eq!(
            scene.with_key("alice", &code),
            asked(true, &[CODE]),
            "{recipe}"
        );
        scene.system.daemon.kill();
        assert_eq!(scene.with_key("bob", ""), asked(true, &[]), "{recipe}");
        assert!(!scene.with_key("alice", &code).0, "{recipe}: no other user");
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
    assert!(
        !session.output.contains("bob"),
        "no command runs there: {session:?}"
    );
    scene
        .system
        .daemon
        .log
        .wait_for(&["user=bob", "service=sshd", "verdict=accepted"]);
    scene
        .sshd
        .log
        .wait_for(&["Accepted keyboard-interactive/pam for bob"]);
}

#[test]
fn the_long_form_of_requisite_lets_in_whom_the_short_one_does() {
    let _place = world::enter();
    let daemon = Setup::new()
        .with("rules: [{name: carol, users: [carol]}]\n")
        .start();
    let (alice, _) = (daemon.enroll("alice"), daemon.enroll("carol"));
    let (_, form) = GUIDE
        .split_once("`auth [success=1 ")
        .expect("the long form");
    let (form, _) = form
        .split_once(" is the long form of `requisite`")
        .expect("its end");
    let lines = format!(
        "auth [success=1 {}",
        form.trim_end_matches('`').replace("`, `", "\n")
    );
    let ours = format!(
        "{} socket={} nullok retry=1",
        module().display(),
        daemon.login_socket().display()
    );
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
const BOTH: &str = "Password & verification code: ";
/// Part of the prompt that OpenSSH's client shows where no method is left. No answer to it can work
/// here.
const CLIENTS_OWN: &str = "'s password: ";

/// What comes with the code.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Factor {
    Key,
    Password,
    /// A password in the field of the code.
    Joined,
}

/// The guide's recipes for sshd, in its order.
const RECIPES: [(&str, Factor); 12] = [
    ("Key and code", Factor::Key),
    ("Password and code", Factor::Password),
    ("Password and code in one field", Factor::Joined),
    ("Password and code, with pam_faillock", Factor::Password),
    ("Key or password, and a code", Factor::Password),
    (
        "A shared file with `sufficient` (Red Hat, Fedora, Gentoo)",
        Factor::Password,
    ),
    ("Machines, service accounts, Ansible", Factor::Key),
    ("File transfer", Factor::Key),
    ("The office without a code", Factor::Key),
    ("Enrolling at the first login", Factor::Password),
    (
        "Enrolling at the first login without a ticket",
        Factor::Password,
    ),
    ("Break-glass", Factor::Key),
];

/// The headings of the chapters with recipes. A part of another chapter may give no file.
fn recipes() -> impl Iterator<Item = &'static str> {
    let (recipes, _) = GUIDE
        .split_once("\n## Which file a program reads\n")
        .expect("the chapter after the recipes");
    recipes.lines().filter_map(|line| line.strip_prefix("### "))
}

/// How a login went: whether it got in, and the prompts.
fn asked(accepted: bool, prompts: &[&str]) -> (bool, Vec<String>) {
    (
        accepted,
        prompts.iter().map(|prompt| (*prompt).to_owned()).collect(),
    )
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
        Self {
            system,
            sshd: Sshd::configured(&sshd),
        }
    }

    /// From here on the tests come from another network than the recipe's office.
    fn leave_the_office(&mut self) {
        let setup = &mut self.system.daemon.setup;
        setup.settings = setup.settings.replace("127.0.0.0/8", "192.0.2.0/24");
        setup.write();
        assert!(self.system.daemon.totpctl(&["reload"], "").status.success());
    }

    fn with_key(&self, user: &str, code: &str) -> (bool, Vec<String>) {
        self.login(&Client {
            user,
            key: Some(&self.sshd.authorize(user)),
            codes: &[code],
            ..Client::default()
        })
    }

    fn with_password(&self, user: &str, code: &str) -> (bool, Vec<String>) {
        self.with(PASSWORD, user, code)
    }

    fn with_a_wrong_password(&self, user: &str, code: &str) -> (bool, Vec<String>) {
        self.with("another", user, code)
    }

    fn with(&self, password: &str, user: &str, code: &str) -> (bool, Vec<String>) {
        self.login(&Client {
            user,
            password,
            codes: &[code],
            ..Client::default()
        })
    }

    /// Whether it got in, and the prompts without what ssh writes before them.
    fn login(&self, client: &Client<'_>) -> (bool, Vec<String>) {
        let session = self.sshd.login(client);
        let before = format!("({}@127.0.0.1) ", client.user);
        let prompts = session
            .prompts
            .iter()
            .map(|prompt| prompt.replacen(&before, "", 1))
            .collect();
        (session.accepted, prompts)
    }
}

/// The module under test, and no pause after a refusal.
fn for_a_test(lines: &str) -> String {
    lines
        .replace("pam_totp.so", "TOTP")
        .replace("pam_unix.so", "pam_unix.so nodelay")
        .replace("preauth", "preauth nodelay")
        .replace("authfail", "authfail nodelay")
}

/// Adds a recipe's settings to the daemon's. The tests come from another network than the guide's
/// people.
fn settle(daemon: &mut Daemon, lines: &str) {
    daemon
        .setup
        .settings
        .push_str(&lines.replace("192.0.2.0/24", "127.0.0.0/8"));
    daemon.setup.write();
    assert!(daemon.totpctl(&["reload"], "").status.success(), "{lines}");
}

fn install(path: &Path, text: &str) {
    program::write(path, text);
}
