//! A fleet: login hosts whose daemon is a relay, and the verifiers that judge for them, over mutual TLS.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use common::secret::Key;
use common::wire::protocol::Method;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tests::count;
use tests::daemon::{Daemon, Setup, authenticator};
use tests::fleet::{
    Authority, Tls, Wish, free_port, listening, reached, relay, relay_to, verifier,
};
use tests::libpam::{Item, PamCode, Reply};
use tests::lines::Lines;
use tests::race::{Race, successes};
use tests::stack::{Login, Stack};
use tests::strace::Strace;
use tests::wire::{Caller, parse, request};
use tests::world;

use crate::memory::places;

/// One rule for all hosts of a test.
const HOSTS: &str =
    "{web: {names: ['*.web.test'], services: [sshd, sudo], users-groups: [alice, carol]}}";

/// A verifier and one relay that has reached it.
struct Fleet {
    verifier: Daemon,
    relay: Daemon,
    port: u16,
    tls: Tls,
    authority: Authority,
}

impl Fleet {
    fn start() -> Self {
        Self::with("")
    }

    /// With further lines in the verifier's settings.
    fn with(lines: &str) -> Self {
        let authority = Authority::new();
        let (setup, port) = verifier(&authority.verifier(), HOSTS);
        let verifier = setup.with(lines).start();
        let tls = authority.host("web1.web.test");
        let relay = relay(&tls, &[port]).start();
        relay.log.wait_for(&["event=verifier_reached"]);
        Self {
            verifier,
            relay,
            port,
            tls,
            authority,
        }
    }
}

#[test]
fn a_code_opens_a_login_through_a_relay_once_and_the_verifiers_line_names_the_host() {
    let _place = world::enter();
    let fleet = Fleet::start();
    let alice = fleet.verifier.enroll("alice");
    let stack = Stack::of(&fleet.relay, "sshd", "retry=1");
    assert_eq!(
        stack.login("alice", &[&alice.wrong()]).code,
        PamCode::AUTH_ERR
    );
    let code = alice.code();
    assert_eq!(stack.login("alice", &[&code]).code, PamCode::SUCCESS);
    assert_eq!(stack.login("alice", &[&code]).code, PamCode::AUTH_ERR);
    let line = fleet.verifier.audited("alice", "accepted");
    assert!(line.contains(" role=relay host=web1.web.test"), "{line}");
    fleet.verifier.audited("alice", "already_used");
    let server = format!(" server=127.0.0.1:{}", fleet.port);
    fleet.relay.log.wait_for(&[
        "event=relayed user=alice service=sshd verdict=accepted",
        &server,
        " role=root uid=0 ",
    ]);
}

#[test]
fn a_code_opens_one_login_through_two_relays_at_once() {
    let _place = world::enter_alone();
    let fleet = Fleet::start();
    let second = relay(&fleet.authority.host("web2.web.test"), &[fleet.port]).start();
    second.log.wait_for(&["event=verifier_reached"]);
    let stacks = [&fleet.relay, &second].map(|relay| Stack::of(relay, "sshd", "retry=1"));
    let mut race = Race::through(&stacks, 4);
    for round in 0..count("PAM_TOTP_RACE_ROUNDS", 200).div_ceil(20) {
        let alice = fleet.verifier.enroll("alice");
        let outcomes = race.round("alice", &alice.code());
        assert_eq!(successes(&outcomes), 1, "{round}: {outcomes:?}");
        let forgotten = fleet.verifier.totpctl(&["forget", "alice", "--yes"], "");
        assert!(forgotten.status.success(), "{forgotten:?}");
    }
}

#[test]
fn a_relay_holds_no_key_no_application_secret_and_no_record() {
    let _place = world::enter_alone();
    world::change_the_machine();
    // One that was left behind when the machine became a relay.
    let left = Path::new("/etc/pam-totp/secrets");
    fs::create_dir_all("/etc/pam-totp").expect("a folder");
    world::write_for_daemon(left, "9: a secret that was left behind\n");
    let fleet = Fleet::start();
    fs::remove_file(left).expect("a file");
    let told = fleet
        .verifier
        .call("Enroll", &json!({ "user": "alice", "active": true }))
        .expect("a device");
    let text = told["key"].as_str().expect("its key").to_owned();
    let key = Key::from_base32(&text).expect("base32");
    let stack = Stack::of(&fleet.relay, "sshd", "retry=1");
    let code = authenticator(&told).code();
    assert_eq!(stack.login("alice", &[&code]).code, PamCode::SUCCESS);
    let pid = fleet.relay.pid();
    let secrets = [
        key.expose(),
        text.as_bytes(),
        b"an application secret of the tests".as_slice(),
        b"a secret that was left behind",
    ];
    for secret in secrets {
        assert_eq!(places(pid, secret), 0, "of {} bytes", secret.len());
    }
    assert!(places(pid, b"alice") > 0, "what must be there is found");
    let setup = &fleet.relay.setup;
    for folder in [&setup.state, &setup.folder, &setup.runtime] {
        for (path, bytes) in files_below(folder) {
            let is_there = |secret: &&[u8]| bytes.windows(secret.len()).any(|part| part == *secret);
            assert!(!secrets.iter().any(is_there), "{}", path.display());
        }
    }
    assert!(files_below(&setup.state).is_empty(), "it has no store");
}

#[test]
fn a_host_may_ask_for_no_other_user_and_no_other_service_and_the_prompt_does_not_tell() {
    let _place = world::enter();
    let fleet = Fleet::start();
    let [alice, bob] = ["alice", "bob"].map(|user| fleet.verifier.enroll(user));
    let before = fleet.verifier.budget("bob");
    for (service, user, code, reason) in [
        ("sshd", "bob", &bob, "not_in_users_group"),
        ("su", "alice", &alice, "service_not_allowed"),
        ("sshd", "no-such-user", &alice, "no_such_account"),
    ] {
        let stack = Stack::of(&fleet.relay, service, "retry=1");
        let login = stack.login(user, &[&code.code()]);
        assert_eq!(login.code, PamCode::AUTH_ERR, "{user} {login:?}");
        assert_eq!(login.prompts(), ["Verification code: "], "{user}");
        for method in ["Challenge", "Verify"] {
            fleet.verifier.log.wait_for(&[
                &format!("event=not_permitted method={method} user={user} host=web1.web.test "),
                &format!("reason={reason}"),
            ]);
        }
    }
    assert_eq!(fleet.verifier.budget("bob"), before);
    let here = Stack::of(&fleet.verifier, "sshd", "retry=1");
    for (user, device) in [("alice", &alice), ("bob", &bob)] {
        let login = here.login(user, &[&device.code()]);
        assert_eq!(login.code, PamCode::SUCCESS, "no code was spent: {user}");
    }
}

#[test]
fn a_hosts_certificate_permits_no_method_but_those_of_a_login() {
    let _place = world::enter();
    let fleet = Fleet::start();
    // A host may be called like a user, and is none.
    fleet.verifier.enroll("alice");
    let (hosts, port) = (
        "{all: {names: [alice], services: [sshd], users-groups: [alice]}}",
        free_port(),
    );
    let other = listening(Setup::new(), port, &fleet.authority.verifier(), hosts).start();
    other.enroll("alice");
    let stranger = fleet.authority.host("alice");
    let ask = |method: Method, parameters: &Value| ask_by_tls(&stranger, port, method, parameters);
    for method in Method::ALL {
        let is_login = matches!(method, Method::Challenge | Method::Verify);
        for parameters in [json!({ "user": "alice" }), json!({})] {
            let answer = ask(*method, &parameters);
            let error = answer.expect_err("an error").0;
            assert!(
                is_login || error == "PermissionDenied",
                "{method:?}: {error}"
            );
        }
    }
    let login = json!({ "user": "alice", "service": "sshd" });
    let told = ask(Method::Challenge, &login).expect("what to ask for");
    let known = ["ask", "enrolled", "digits"].map(|field| told[field].clone());
    assert_eq!(known, [json!("one_code"), Value::Null, Value::Null]);
    let without_user = json!({ "service": "sshd" });
    assert!(ask(Method::Challenge, &without_user).is_err());
}

#[test]
fn a_certificate_that_does_not_count_lets_no_host_in_and_says_why_on_both_sides() {
    let _place = world::enter();
    let fleet = Fleet::with("    revoked: [web6.web.test]\n");
    let alice = fleet.verifier.enroll("alice");
    let own = &fleet.authority;
    let name = "DNS:web1.web.test";
    let past = ("20200101000000Z", "20200102000000Z");
    let future = ("20980101000000Z", "20991231235959Z");
    let wish = Wish::host;
    let of_another = Tls {
        ca: fleet.tls.ca.clone(),
        ..Authority::new().host("web1.web.test")
    };
    for (tls, on_the_relay, on_the_verifier) in [
        (
            of_another,
            "does not know the authority",
            "another authority",
        ),
        (
            own.sign(&Wish {
                valid: past,
                ..wish(name)
            }),
            "has expired",
            "has expired",
        ),
        (
            own.sign(&Wish {
                valid: future,
                ..wish(name)
            }),
            "or is not valid yet",
            "not valid yet",
        ),
        (
            own.sign(&Wish {
                purpose: "serverAuth",
                ..wish(name)
            }),
            "its log says why",
            "clientAuth",
        ),
        (
            own.sign(&wish("DNS:a.web.test,DNS:b.web.test")),
            "its log says why",
            "no single host",
        ),
        (
            own.host("elsewhere.test"),
            "permits this host nothing",
            "host=elsewhere.test",
        ),
        (
            own.host("web6.web.test"),
            "permits this host nothing",
            "revoked",
        ),
    ] {
        let relay = relay(&tls, &[fleet.port]).start();
        relay
            .log
            .wait_for(&["event=verifier_unreachable", on_the_relay]);
        fleet
            .verifier
            .log
            .wait_for(&["event=relay_refused", on_the_verifier]);
        let (is_reached, reason) = reached(&relay, fleet.port);
        assert_eq!(is_reached, json!(false));
        assert!(reason.contains(on_the_relay), "{reason}");
        assert_eq!(tried(&relay, &alice.code()), PamCode::AUTHINFO_UNAVAIL);
    }
    let here = Stack::of(&fleet.verifier, "sshd", "retry=1");
    let login = here.login("alice", &[&alice.code()]);
    assert_eq!(login.code, PamCode::SUCCESS, "no code was spent");
}

#[test]
fn a_relay_sends_no_code_to_a_verifier_that_it_cannot_be_sure_of() {
    let _place = world::enter();
    let authority = Authority::new();
    let host = authority.host("web1.web.test");
    let wish = |names| Wish {
        purpose: "serverAuth",
        ..Wish::host(names)
    };
    let past = ("20200101000000Z", "20200102000000Z");
    let address = "IP:127.0.0.1";
    let of_another = Tls {
        ca: host.ca.clone(),
        ..Authority::new().verifier()
    };
    for (tls, why) in [
        (of_another, "another authority"),
        (
            authority.sign(&wish("DNS:elsewhere.test")),
            "for another name",
        ),
        (
            authority.sign(&Wish {
                valid: past,
                ..wish(address)
            }),
            "has expired",
        ),
        (authority.sign(&Wish::host(address)), "serverAuth"),
    ] {
        let (setup, port) = verifier(&tls, HOSTS);
        let verifier = setup.start();
        let alice = verifier.enroll("alice");
        let relay = relay(&host, &[port]).start();
        relay.log.wait_for(&["event=verifier_unreachable", why]);
        assert_eq!(tried(&relay, &alice.code()), PamCode::AUTHINFO_UNAVAIL);
        let (is_reached, reason) = reached(&relay, port);
        assert!(
            is_reached == json!(false) && reason.contains(why),
            "{reason}"
        );
        assert!(verifier.logged(&["event=verify "]).is_empty());
    }
    let plain = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = plain.local_addr().expect("its number").port();
    std::thread::spawn(move || {
        for stream in plain.incoming().map_while(Result::ok) {
            let _ = (&stream).write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            let _ = (&stream).read(&mut [0; 4096]);
        }
    });
    let relay = relay(&host, &[port]).start();
    relay
        .log
        .wait_for(&["event=verifier_unreachable", "does not speak TLS"]);
    assert_eq!(tried(&relay, "123456"), PamCode::AUTHINFO_UNAVAIL);
}

#[test]
fn no_older_tls_is_spoken() {
    let _place = world::enter();
    let fleet = Fleet::start();
    let older = |versions: &[&str]| {
        let mut client = s_client(&fleet.tls, fleet.port);
        client.args(versions).stdin(Stdio::null());
        client.output().expect("openssl").status.success()
    };
    assert!(older(&["-tls1_3"]) && !older(&["-tls1_2"]));
}

#[test]
fn a_revoked_host_loses_its_open_connections_too() {
    let _place = world::enter();
    let mut fleet = Fleet::start();
    let alice = fleet.verifier.enroll("alice");
    let first = alice.code();
    assert_eq!(tried(&fleet.relay, &first), PamCode::SUCCESS);
    let fingerprint = fingerprint(&fleet.tls.cert);
    for (revoked, is_revoked) in [
        (&*fingerprint, true),
        ("web9.web.test", false),
        ("web1.web.test", true),
    ] {
        let settings = fleet.verifier.setup.settings.clone();
        fleet.verifier.setup.settings += &format!("    revoked: ['{revoked}']\n");
        fleet.verifier.setup.write();
        let reloaded = fleet.verifier.totpctl(&["reload"], "");
        assert!(reloaded.status.success(), "{reloaded:?}");
        let verdict = ask_by_tls(
            &fleet.tls,
            fleet.port,
            Method::Challenge,
            &json!({ "user": "alice", "service": "sshd" }),
        );
        assert_eq!(verdict.is_err(), is_revoked, "{revoked}: {verdict:?}");
        let code = tried(&fleet.relay, &first);
        assert_ne!(code, PamCode::SUCCESS);
        fleet.verifier.setup.settings = settings;
    }
    fleet
        .verifier
        .log
        .wait_for(&["event=relay_refused", " host=web1.web.test ", "revoked"]);
    fleet
        .relay
        .log
        .wait_for(&["event=verifier_unreachable", "permits this host nothing"]);
    let used = fleet
        .verifier
        .logged(&["event=verify ", " verdict=already_used"]);
    assert_eq!(used.len(), 1, "only while it was not revoked: {used:?}");
}

#[test]
fn a_relay_asks_the_next_verifier_while_one_is_down_and_the_first_again_when_it_is_back() {
    let _place = world::enter();
    let authority = Authority::new();
    let (setup, port) = verifier(&authority.verifier(), HOSTS);
    let mut second = setup.start();
    let alice = second.enroll("alice");
    let first = free_port();
    let relay = relay(&authority.host("web1.web.test"), &[first, port]).start();
    assert_eq!(tried(&relay, &alice.code()), PamCode::SUCCESS);
    relay.log.wait_for(&[
        "event=verifier_unreachable",
        &format!(" server=127.0.0.1:{first} "),
        "Connection refused",
    ]);
    let started = listening(Setup::new(), first, &authority.verifier(), HOSTS).start();
    relay.log.wait_for(&[
        "event=verifier_reached",
        &format!(" server=127.0.0.1:{first}"),
    ]);
    let carol = started.enroll("carol");
    assert_eq!(tried_by(&relay, "carol", &carol.code()), PamCode::SUCCESS);
    started.audited("carol", "accepted");
    let dave = second.enroll("carol");
    drop(started);
    assert_eq!(tried_by(&relay, "carol", &dave.code()), PamCode::SUCCESS);
    second.kill();
    assert_eq!(tried(&relay, "123456"), PamCode::AUTHINFO_UNAVAIL);
    second.start_again();
    relay.log.wait_for_many(
        2,
        &[
            "event=verifier_reached",
            &format!(" server=127.0.0.1:{port}"),
        ],
    );
}

#[test]
fn an_attempt_that_may_have_reached_a_verifier_is_sent_to_no_other_one() {
    let _place = world::enter();
    let authority = Authority::new();
    let daemons = [(); 2].map(|()| verifier(&authority.verifier(), HOSTS));
    let [(mut first, one), (second, two)] = daemons.map(|(setup, port)| (setup.start(), port));
    let alice = first.enroll("alice");
    second.enroll("alice");
    let relay = relay(&authority.host("web1.web.test"), &[one, two]).start();
    relay.log.wait_for_many(2, &["event=verifier_reached"]);
    let stack = Stack::of(&relay, "sshd", "retry=1");
    // Killed while it makes the spent code durable: whether it is, no other verifier can tell.
    let killer = Strace::attach(&first, "fdatasync:signal=SIGKILL");
    let login = stack.login("alice", &[&alice.code()]);
    killer.abandon();
    assert_eq!(first.wait().signal(), Some(Signal::SIGKILL as i32));
    assert_eq!(login.code, PamCode::AUTHINFO_UNAVAIL, "{login:?}");
    relay.log.wait_for(&[
        "event=relayed user=alice ",
        " verdict=unavailable reason=no_reply ",
    ]);
    assert!(second.logged(&["event=verify "]).is_empty());
    // The next login goes to the other one.
    let carol = second.enroll("carol");
    assert_eq!(tried_by(&relay, "carol", &carol.code()), PamCode::SUCCESS);
}

#[test]
fn a_relay_passes_on_only_what_its_callers_may_be_trusted_with() {
    let _place = world::enter();
    let fleet = Fleet::start();
    let alice = fleet.verifier.enroll("alice");
    let login = |code: &str| json!({ "user": "alice", "service": "sshd", "rhost": "192.0.2.1", "codes": [code] });
    let by = |user: &str, code: &str| {
        let caller = Caller::user(user);
        fleet.relay.call_as(&caller, "Verify", &login(code))
    };
    let denied = by("bob", "123456").expect_err("it is not bob's account");
    assert_eq!(denied.0, "PermissionDenied");
    fleet
        .relay
        .log
        .wait_for(&["event=not_permitted method=Verify user=alice "]);
    let told = by("alice", &alice.code()).expect("a verdict");
    assert_eq!(told["verdict"], "accepted");
    let line = fleet.verifier.audited("alice", "accepted");
    assert!(!line.contains("source="), "{line}");
    let told = fleet
        .relay
        .call("Verify", &login(&alice.wrong()))
        .expect("a verdict");
    assert_eq!(told["verdict"], "rejected");
    let line = fleet.verifier.audited("alice", "rejected");
    assert!(line.contains(" source=192.0.2.1 "), "{line}");
    assert_eq!(fleet.verifier.logged(&["event=verify "]).len(), 2);
}

#[test]
fn a_code_through_a_relay_begins_no_grace_and_no_rule_for_consoles_holds_there() {
    let _place = world::enter();
    let fleet = Fleet::with(
        "grace: {same-source: {for: 12h, services: [sshd]}, same-host: {for: 12h, services: [sshd]}}\nrules: [{name: here, from: local}]\n",
    );
    let alice = fleet.verifier.enroll("alice");
    let stack = Stack::of(&fleet.relay, "sshd", "retry=1");
    let from = |code: &str, items: &[(Item, &str)]| -> Login {
        let mut replies = [Reply::text(code)].into_iter();
        let mut attempt = stack.attempt("alice");
        for (item, value) in items {
            attempt = attempt.item(*item, value);
        }
        attempt.run(|_| replies.next().expect("one prompt"))
    };
    let remote: &[_] = &[(Item::Rhost, "192.0.2.1")];
    let first = from(&alice.code(), remote);
    assert_eq!(first.code, PamCode::SUCCESS);
    for items in [remote, &[(Item::Tty, "tty1")]] {
        let again = from(&alice.wrong(), items);
        assert_eq!((again.code, again.prompts().len()), (PamCode::AUTH_ERR, 1));
    }
}

#[test]
fn strangers_on_the_network_keep_no_host_out_and_a_message_without_an_end_is_given_up() {
    let _place = world::enter();
    let fleet = Fleet::start();
    let alice = fleet.verifier.enroll("alice");
    let mut perl = Command::new("perl")
        .args([
            "-MIO::Socket::INET",
            "-e",
            STRANGERS,
            &fleet.port.to_string(),
        ])
        .stdout(Stdio::piped())
        .spawn()
        .expect("perl");
    let strangers = Lines::default();
    strangers.follow(perl.stdout.take().expect("its output"));
    strangers.wait_for(&["connected"]);
    let other = relay(&fleet.authority.host("web2.web.test"), &[fleet.port]).start();
    other.log.wait_for(&["event=verifier_reached"]);
    assert!(other.log.with(&["event=verifier_unreachable"]).is_empty());
    assert_eq!(tried(&other, &alice.code()), PamCode::SUCCESS);
    // All are left: those without a place at once, the others when TLS takes too long.
    strangers.wait_for(&["left"]);
    assert!(perl.wait().expect("its end").success());
    let answer = exchange_by_tls(&fleet.tls, fleet.port, &vec![b'x'; 200_000]);
    assert!(answer.is_empty(), "{answer:?}");
    assert!(fleet.verifier.totpctl(&["status"], "").status.success());
}

#[test]
fn what_a_relay_does_not_have_is_said_with_the_next_step() {
    let _place = world::enter();
    let fleet = Fleet::start();
    for command in [
        &["list"][..],
        &["enroll", "alice", "--yes"],
        &["show", "alice"],
    ] {
        let output = fleet.relay.totpctl(command, "");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && said.contains("run this on a verifier"),
            "{said}"
        );
    }
    let status = fleet.relay.totpctl(&["status"], "");
    let said = String::from_utf8_lossy(&status.stdout).into_owned();
    let server = format!("127.0.0.1:{}: reached at", fleet.port);
    assert!(said.contains(&server), "{said}");
    let check = fleet
        .relay
        .setup
        .command()
        .arg("--check")
        .output()
        .expect("provisiond");
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(
        check.status.success() && said.contains("this is a relay"),
        "{check:?}"
    );
}

#[test]
fn a_relay_refuses_settings_that_mean_nothing_to_it() {
    let _place = world::enter();
    let authority = Authority::new();
    let tls = authority.host("web1.web.test");
    for (lines, named) in [
        ("  store: {sled: {path: /var/lib/x}}\n", "provisiond.store"),
        ("policy: {window: 2}\n", "policy.window"),
        ("rules: []\n", "rules"),
        (
            "totp: {context: {secrets: {1: 'a secret of sixteen'}}}\n",
            "totp",
        ),
    ] {
        let started = relay(&tls, &[free_port()]).with(lines).try_start();
        let Err((status, log)) = started else {
            panic!("it started with {lines}");
        };
        assert_eq!(status.code(), Some(78));
        log.wait_for(&[&format!("has '{named}' beside 'provisiond.upstream'")]);
    }
    let readable = authority.host("web2.web.test");
    fs::set_permissions(
        &readable.key,
        std::os::unix::fs::PermissionsExt::from_mode(0o644),
    )
    .expect("chmod");
    let Err((_, log)) = relay_to(&readable, "v1.test").try_start() else {
        panic!("it started with a key that every user can read");
    };
    log.wait_for(&["every user can read it"]);
}

#[test]
fn a_renewed_certificate_is_in_force_without_a_reload() {
    let _place = world::enter();
    let authority = Authority::new();
    let (setup, port) = verifier(&authority.verifier(), HOSTS);
    let verifier = setup.start();
    let alice = verifier.enroll("alice");
    let past = ("20200101000000Z", "20200102000000Z");
    let tls = authority.sign(&Wish {
        valid: past,
        ..Wish::host("DNS:web1.web.test")
    });
    let relay = relay(&tls, &[port]).start();
    relay
        .log
        .wait_for(&["event=verifier_unreachable", "has expired"]);
    let renewed = authority.host("web1.web.test");
    for (new, old) in [(&renewed.key, &tls.key), (&renewed.cert, &tls.cert)] {
        fs::rename(new, old).expect("a renewed file");
    }
    relay.log.wait_for(&["event=verifier_reached"]);
    assert_eq!(tried(&relay, &alice.code()), PamCode::SUCCESS);
}

/// A login of alice's through a relay.
fn tried(relay: &Daemon, code: &str) -> PamCode {
    tried_by(relay, "alice", code)
}

fn tried_by(relay: &Daemon, user: &str, code: &str) -> PamCode {
    let stack = Stack::of(relay, "sshd", "retry=1");
    stack.login(user, &[code]).code
}

/// A call by a client that nobody here wrote (openssl), with a host's certificate.
fn ask_by_tls(
    tls: &Tls,
    port: u16,
    method: Method,
    parameters: &Value,
) -> Result<Value, (String, Value)> {
    parse(&exchange_by_tls(
        tls,
        port,
        &request(method.name(), parameters),
    ))
}

/// What comes back until the first NUL, or until the verifier closes the connection.
fn exchange_by_tls(tls: &Tls, port: u16, bytes: &[u8]) -> Vec<u8> {
    let mut client = s_client(tls, port)
        .arg("-quiet")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("openssl");
    let mut input = client.stdin.take().expect("its input");
    let output = client.stdout.take().expect("its output");
    let _ = input.write_all(bytes);
    let mut answer = Vec::new();
    let _ = BufReader::new(output).read_until(0, &mut answer);
    let _ = client.kill();
    let _ = client.wait();
    answer
}

fn s_client(tls: &Tls, port: u16) -> Command {
    let mut client = Command::new("openssl");
    client.args([
        "s_client",
        "-connect",
        &format!("127.0.0.1:{port}"),
        "-verify_return_error",
    ]);
    client.arg("-CAfile").arg(&tls.ca);
    client.arg("-cert").arg(&tls.cert).arg("-key").arg(&tls.key);
    client.stderr(Stdio::null()).stdout(Stdio::null());
    client
}

fn fingerprint(certificate: &Path) -> String {
    let mut openssl = Command::new("openssl");
    openssl.args(["x509", "-noout", "-fingerprint", "-sha256", "-in"]);
    let output = openssl.arg(certificate).output().expect("openssl");
    let said = String::from_utf8(output.stdout).expect("text");
    said.trim()
        .rsplit('=')
        .next()
        .expect("a fingerprint")
        .to_owned()
}

fn files_below(folder: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut left = vec![folder.to_owned()];
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(folder)
            .expect("a folder")
            .map_while(Result::ok)
        {
            let kind = entry.file_type().expect("its kind");
            if kind.is_dir() {
                left.push(entry.path());
            } else if kind.is_file() {
                found.push((entry.path(), fs::read(entry.path()).expect("a file")));
            }
        }
    }
    found
}

/// Twenty connections of another address that say nothing, until the other side has left them all.
const STRANGERS: &str = r#"
    $| = 1;
    my @all = map { IO::Socket::INET->new(LocalAddr => '127.0.0.2', PeerAddr => "127.0.0.1:$ARGV[0]") or die } 1 .. 20;
    print "connected\n";
    for my $one (@all) { 1 while sysread($one, my $bytes, 4096) }
    print "left\n";
"#;
