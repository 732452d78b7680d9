//! How long an accepted code goes on to count, and where.

use std::process::Output;

use serde_json::json;
use tests::clocks::Clocks;
use tests::daemon::{Daemon, Setup};
use tests::libpam::{Item, PamCode, Reply};
use tests::oathtool::Authenticator;
use tests::sshd::{Client, Sshd, System, as_user};
use tests::stack::{Login, Stack, auth_line};
use tests::wire::Caller;
use tests::world;

#[test]
fn an_accepted_code_counts_for_its_service_from_the_very_address() {
    let _place = world::enter();
    let daemon = Setup::new()
        .with("grace: {same-source: {for: 12h, services: [grace-1]}}\n")
        .start();
    let [code, _] = daemon.enroll("alice").pair();
    daemon.enroll("bob");
    let (ours, ignoring) = (
        Stack::of(&daemon, "grace-1", "retry=1"),
        Stack::expecting_ignore(&daemon, "grace-1", ""),
    );
    is_asked(
        &from(&ours, "alice", "192.0.2.1"),
        "nothing was accepted yet",
    );
    assert_eq!(
        from_with(&ours, "alice", "192.0.2.1", &code).code,
        PamCode::SUCCESS
    );
    for again in ["192.0.2.1", "::ffff:192.0.2.1"] {
        let_by(&from(&ignoring, "alice", again));
    }
    daemon.log.wait_for(&[
        "event=verify ",
        "user=alice",
        "source=192.0.2.1",
        "verdict=exempt",
        "rule=same-source",
    ]);
    for elsewhere in ["192.0.2.2", "host-1.example.org", ""] {
        is_asked(&from(&ours, "alice", elsewhere), elsewhere);
    }
    is_asked(
        &from(
            &Stack::of(&daemon, "grace-2", "retry=1"),
            "alice",
            "192.0.2.1",
        ),
        "another service",
    );
    is_asked(&from(&ours, "bob", "192.0.2.1"), "another user");
    let own = json!({ "user": "alice", "service": "grace-1", "rhost": "192.0.2.1" });
    let told = daemon
        .call_as(&Caller::user("alice"), "Challenge", &own)
        .expect("a challenge");
    assert_eq!(
        told["ask"], "one_code",
        "by her own word she comes from anywhere"
    );
}

#[test]
fn an_accepted_code_counts_at_its_console_and_at_no_pseudo_terminal() {
    let _place = world::enter();
    let daemon = Setup::new()
        .with("grace: {same-source: {for: 12h, services: [consoles]}}\n")
        .start();
    let [first, second] = daemon.enroll("alice").pair();
    let (ours, ignoring) = (
        Stack::of(&daemon, "consoles", "retry=1"),
        Stack::expecting_ignore(&daemon, "consoles", ""),
    );
    let at = |stack: &Stack, tty, code| {
        stack
            .attempt("alice")
            .item(Item::Tty, tty)
            .run(|_| Reply::text(code))
    };
    assert_eq!(at(&ours, "/dev/tty1", &first).code, PamCode::SUCCESS);
    let_by(&at(&ignoring, "tty1", ""));
    is_asked(&at(&ours, "tty2", ""), "another console");
    assert_eq!(at(&ours, "/dev/pts/7", &second).code, PamCode::SUCCESS);
    is_asked(
        &at(&ours, "/dev/pts/7", ""),
        "the terminal may be another's by now",
    );
}

#[test]
fn grace_ends_with_a_restart_by_hand_and_when_a_device_is_taken_away() {
    let _place = world::enter();
    let mut daemon = Setup::new()
        .with("grace: {same-source: {for: 12h, services: [ending]}}\n")
        .start();
    let (phone, spare) = (
        daemon.enroll("alice"),
        daemon.enroll_as("alice", "device-2"),
    );
    let stack = Stack::of(&daemon, "ending", "retry=1");
    let in_grace = |daemon: &Daemon| asked_of(daemon, "ending", "192.0.2.1") == "nothing";
    let log_in = |device: &Authenticator, step| {
        assert_eq!(
            from_with(&stack, "alice", "192.0.2.1", &device.code_at(step)).code,
            PamCode::SUCCESS
        );
    };
    log_in(&phone, 0);
    assert!(in_grace(&daemon));
    daemon.kill();
    daemon.start_again();
    assert!(!in_grace(&daemon), "a restart forgets");
    log_in(&spare, 0);
    assert!(in_grace(&daemon));
    let told = daemon.totpctl(&["revoke-grace", "alice"], "");
    assert_eq!(told.status.code(), Some(0), "{told:?}");
    assert!(!in_grace(&daemon));
    daemon
        .log
        .wait_for(&["event=revoke_grace", "user=alice", "revoked=true"]);
    log_in(&spare, 1);
    let own = daemon.totpctl_as("alice", &["--json", "revoke-grace", "alice"], "");
    assert_eq!(
        String::from_utf8_lossy(&own.stdout),
        "{\"user\":\"alice\",\"revoked\":true}\n",
        "{own:?}"
    );
    assert!(!in_grace(&daemon), "people end their own");
    log_in(&phone, 1);
    assert!(in_grace(&daemon));
    daemon.totpctl_json(&["disable", "alice", "--device", "device-2"], "");
    assert!(
        !in_grace(&daemon),
        "any device: the daemon does not remember which one it was"
    );
}

#[test]
fn a_grace_that_a_recovery_code_has_begun_ends_with_new_ones() {
    let _place = world::enter();
    let daemon = Setup::new()
        .with("grace: {same-source: {for: 12h, services: [sheet]}}\n")
        .start();
    let told = daemon
        .call("Enroll", &json!({ "user": "alice", "active": true }))
        .expect("an enrolment");
    let found = told["recovery_codes"][0].as_str().expect("a code");
    let stack = Stack::of(&daemon, "sheet", "retry=1");
    assert_eq!(
        from_with(&stack, "alice", "192.0.2.1", found).code,
        PamCode::SUCCESS
    );
    assert_eq!(asked_of(&daemon, "sheet", "192.0.2.1"), "nothing");
    daemon
        .call("NewRecoveryCodes", &json!({ "user": "alice" }))
        .expect("new codes");
    assert_eq!(asked_of(&daemon, "sheet", "192.0.2.1"), "one_code");
}

#[test]
fn only_an_accepted_code_begins_a_grace() {
    let _place = world::enter();
    let rules = "rules: [{name: lan, from: [192.0.2.0/24]}]\n";
    let grace = "grace: {same-host: {for: 1h, services: [begun]}}\n";
    let daemon = Setup::new().with(&format!("{rules}{grace}")).start();
    let alice = daemon.enroll("alice");
    let_by(&from(
        &Stack::expecting_ignore(&daemon, "begun", ""),
        "alice",
        "192.0.2.1",
    ));
    let stack = Stack::of(&daemon, "begun", "retry=1");
    is_asked(
        &stack.login("alice", &[&alice.wrong()]),
        "being exempt gives none, nor does a wrong code",
    );
    let unneeded = json!({
        "user": "alice", "service": "begun", "rhost": "192.0.2.1", "codes": [alice.code_at(-1)],
    });
    let told = daemon.call("Verify", &unneeded).expect("a verdict");
    assert_eq!(told["verdict"], "accepted");
    is_asked(
        &stack.login("alice", &["000"]),
        "nor does a code where none was needed: wrong ones cost nothing there",
    );
    let attempt = json!({ "user": "alice", "service": "begun", "codes": [alice.code()] });
    let told = daemon
        .call_as(&Caller::user("alice"), "Verify", &attempt)
        .expect("a verdict");
    assert_eq!(told["verdict"], "accepted");
    is_asked(
        &stack.login("alice", &["000"]),
        "nor does what her own process had judged",
    );
    assert_eq!(
        stack.login("alice", &[&alice.code_at(1)]).code,
        PamCode::SUCCESS
    );
    let_by(&Stack::expecting_ignore(&daemon, "begun", "").login("alice", &[]));
}

#[test]
fn after_ssh_with_a_code_sudo_asks_for_none_until_it_is_revoked() {
    let _place = world::enter();
    let system = System::start();
    system.service("sshd", "auth required TOTP");
    system.service(
        "sudo",
        "auth required TOTP retry=1\nauth required pam_permit.so",
    );
    system.allow_sudo("alice");
    reload(
        &system.daemon,
        "grace: {same-host: {for: 5m, services: [sudo]}}\n",
    );
    let code = system.daemon.enroll("alice").code();
    let sshd = Sshd::start("publickey,keyboard-interactive");
    let key = sshd.authorize("alice");
    assert!(!sudo("-S").status.success(), "not before");
    let session = sshd.login(&Client {
        user: "alice",
        key: Some(&key),
        codes: &[&code],
        ..Client::default()
    });
    assert!(session.accepted, "{session:?}");
    becomes_root("-S");
    system.daemon.log.wait_for(&[
        "user=alice",
        "service=sudo",
        "verdict=exempt",
        "rule=same-host",
    ]);
    assert!(
        !sudo("-n").status.success(),
        "sudo -n asks no module, whatever it would say"
    );
    std::fs::write(
        "/etc/sudoers.d/noninteractive",
        "Defaults noninteractive_auth\n",
    )
    .expect("a setting of sudo's");
    becomes_root("-n");
    assert!(
        system
            .daemon
            .totpctl(&["revoke-grace", "alice"], "")
            .status
            .success()
    );
    for option in ["-n", "-S"] {
        assert!(!sudo(option).status.success(), "{option}");
    }
    std::fs::remove_file("/etc/sudoers.d/noninteractive").expect("sudo as it was");
}

/// Alice's sudo, which forgets an earlier answer first. She types a wrong code.
fn sudo(option: &str) -> Output {
    as_user("alice", &["sudo", "-k", option, "id", "-un"], "000\n")
}

fn becomes_root(option: &str) {
    let became = sudo(option);
    assert_eq!(
        String::from_utf8_lossy(&became.stdout),
        "root\n",
        "{became:?}"
    );
}

#[test]
fn with_forward_pass_who_is_in_grace_types_the_password_alone() {
    let _place = world::enter();
    world::set_password("alice", "correct horse");
    let daemon = Setup::new()
        .with("grace: {same-source: {for: 1h, services: [joined-grace]}}\n")
        .start();
    let code = daemon.enroll("alice").code();
    let line = auth_line(&daemon, "forward_pass retry=1");
    let stack = Stack::new(
        "joined-grace",
        &format!("{line}auth required pam_unix.so use_first_pass nodelay\n"),
    );
    let first = from_with(
        &stack,
        "alice",
        "192.0.2.1",
        &format!("correct horse{code}"),
    );
    assert_eq!(
        (first.code, first.prompts()),
        (PamCode::SUCCESS, vec!["Password & verification code: "])
    );
    let second = from_with(&stack, "alice", "192.0.2.1", "correct horse");
    assert_eq!(
        (second.code, second.prompts()),
        (PamCode::SUCCESS, vec!["Password: "])
    );
    assert_eq!(
        from_with(&stack, "alice", "192.0.2.1", "wrong").code,
        PamCode::AUTH_ERR
    );
}

#[test]
fn grace_period_in_the_service_file_is_the_same_for_that_service() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let code = daemon.enroll("alice").code();
    let stack = |options: &str| Stack::of(&daemon, "ga-grace", options);
    assert_eq!(
        from_with(
            &stack("retry=1 grace_period=3600"),
            "alice",
            "192.0.2.1",
            &code
        )
        .code,
        PamCode::SUCCESS
    );
    let_by(&from(
        &Stack::expecting_ignore(&daemon, "ga-grace", "grace_period=3600"),
        "alice",
        "192.0.2.1",
    ));
    daemon
        .log
        .wait_for(&["user=alice", "verdict=exempt", "rule=grace-period"]);
    is_asked(
        &from(&stack("retry=1 grace_period=3600"), "alice", "192.0.2.2"),
        "another address",
    );
    is_asked(
        &from(&stack("retry=1 grace_period=0"), "alice", "192.0.2.1"),
        "no time at all",
    );
    is_asked(
        &from(&stack("retry=1"), "alice", "192.0.2.1"),
        "without the option",
    );
    let own = json!({ "user": "alice", "service": "ga-grace", "rhost": "192.0.2.1", "options": { "grace_period": 3600 } });
    let told = daemon
        .call_as(&Caller::user("alice"), "Challenge", &own)
        .expect("a challenge");
    assert_eq!(told["ask"], "one_code", "it is root's to say");
}

#[test]
fn with_noskewadj_nothing_is_learned_of_a_devices_clock() {
    let _place = world::enter();
    let clocks = Clocks::new();
    let daemon = clocks.of(Setup::new()).start();
    for (user, options, then) in [
        ("alice", "", PamCode::SUCCESS),
        ("bob", "noskewadj", PamCode::AUTH_ERR),
    ] {
        let device = daemon.enroll(user);
        let [third, fourth, fifth] =
            [3, 4, 5].map(|steps| device.code_when(clocks.now() + 30 * steps));
        let stack = Stack::of(
            &daemon,
            "skewed",
            &format!("retry=1 no_increment_hotp {options}"),
        );
        assert_eq!(
            stack.login(user, &[&format!("{third} {fourth}")]).code,
            PamCode::SUCCESS,
            "{options}"
        );
        assert_eq!(stack.login(user, &[&fifth]).code, then, "{options}");
    }
}

#[test]
fn grace_ends_by_time_that_has_passed_whatever_the_clock_says() {
    let _place = world::enter();
    let clocks = Clocks::new();
    let daemon = clocks
        .of(Setup::new().with("grace: {same-source: {for: 5m, services: [timed]}}\n"))
        .start();
    let device = daemon.enroll("alice");
    let asked = || asked_of(&daemon, "timed", "192.0.2.1");
    let stack = Stack::of(&daemon, "timed", "retry=1");
    let code = device.code_when(clocks.now());
    assert_eq!(
        from_with(&stack, "alice", "192.0.2.1", &code).code,
        PamCode::SUCCESS
    );
    clocks.pass(299);
    assert_eq!(asked(), "nothing");
    clocks.move_by(-86_400_000);
    assert_eq!(asked(), "nothing", "a clock that was set back");
    clocks.pass(1);
    assert_eq!(asked(), "one_code", "gives no day more");
}

/// Puts settings in force that have these lines besides.
fn reload(daemon: &Daemon, lines: &str) {
    world::write_for_daemon(
        &daemon.setup.folder.join("settings.yaml"),
        &format!("{}{lines}", daemon.setup.settings),
    );
    daemon.call("Reload", &json!({})).expect("other settings");
}

/// What alice would be asked for.
fn asked_of(daemon: &Daemon, service: &str, rhost: &str) -> String {
    let about = json!({ "user": "alice", "service": service, "rhost": rhost });
    daemon.call("Challenge", &about).expect("a challenge")["ask"]
        .as_str()
        .expect("what to ask for")
        .to_owned()
}

/// A login in which nothing right is typed.
fn from(stack: &Stack, user: &str, rhost: &str) -> Login {
    from_with(stack, user, rhost, "000")
}

fn from_with(stack: &Stack, user: &str, rhost: &str, typed: &str) -> Login {
    stack
        .attempt(user)
        .item(Item::Rhost, rhost)
        .run(|_| Reply::text(typed))
}

/// In a stack that succeeds only if the module stands aside.
fn let_by(login: &Login) {
    assert_eq!(
        (login.code, login.said.len()),
        (PamCode::SUCCESS, 0),
        "{login:?}"
    );
}

fn is_asked(login: &Login, why: &str) {
    assert_eq!(login.prompts(), ["Verification code: "], "{why}");
    assert_ne!(login.code, PamCode::SUCCESS, "{why}");
}
