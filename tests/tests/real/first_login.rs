//! Users that enrol at the prompt of a login, with a ticket.

use serde_json::{Value, json};
use tests::clocks::Clocks;
use tests::daemon::{Daemon, Setup};
use tests::libpam::{PamCode, Reply};
use tests::oathtool::Authenticator;
use tests::stack::{Login, Stack};
use tests::wire::Caller;
use tests::world;

use crate::own::shown;
use crate::pictures::{Background, read_off};

const TICKET: &str = "Enrolment ticket: ";
const CODE: &str = "Verification code: ";

#[test]
fn a_ticket_at_the_prompt_brings_a_device_and_its_first_code_lets_in() {
    let _place = world::enter();
    let (daemon, ticket) = with_ticket("alice");
    let stack = Stack::of(&daemon, "first-login", "enroll retry=1");
    let login = first_login(&stack, "alice", &ticket, Authenticator::code);
    assert_eq!(
        (login.code, login.prompts()),
        (PamCode::SUCCESS, vec![TICKET, CODE])
    );
    let told = login.told();
    assert_eq!(
        told[1..],
        ["Your device is enrolled. Run 'totpctl recovery-codes' to get recovery codes."]
    );
    let device = Authenticator::new(&key_in(told[0]));
    let (above, below) = (
        told[0].find('\n').expect("a picture") + 1,
        told[0].find("\nOr type").expect("a key"),
    );
    let uri = read_off(&told[0][above..below], Background::Dark);
    assert!(uri.contains(&format!("secret={}", device.key)), "{uri}");
    let alice = shown(&daemon, "alice");
    assert_eq!(
        (&alice["enrolled"], &alice["devices"][0]["state"]),
        (&json!(true), &json!("active")),
        "{alice}"
    );
    let again = stack.login("alice", &[&device.code()]);
    assert_eq!(
        (again.code, again.prompts()),
        (PamCode::AUTH_ERR, vec![CODE]),
        "a code opens one login"
    );
    assert_eq!(
        stack.login("alice", &[&device.code_at(1)]).code,
        PamCode::SUCCESS
    );
    for parts in [
        &["event=ticket_used user=alice ", " for=first-login"][..],
        &[
            "event=enroll user=alice ",
            " device=default ",
            " state=pending ",
            " service=first-login ",
        ],
        &[
            "event=confirm user=alice ",
            " device=default ",
            " verdict=accepted ",
            " service=first-login ",
        ],
        &["event=verify user=alice ", " verdict=accepted "],
    ] {
        daemon.log.wait_for(parts);
    }
    assert!(!daemon.log.text().contains(&device.key) && !daemon.log.text().contains(&ticket));
}

#[test]
fn who_loses_the_connection_after_the_picture_goes_on_at_the_next_login() {
    let _place = world::enter();
    let (mut daemon, ticket) = with_ticket("alice");
    let stack = Stack::of(&daemon, "broken-off", "enroll retry=1");
    let broken_off = stack.replies(
        "alice",
        [Reply::text(&ticket), Reply::Fail(PamCode::CONV_ERR)],
    );
    assert_eq!(broken_off.code, PamCode::CONV_ERR);
    let device = Authenticator::new(&key_in(broken_off.told()[0]));
    assert_eq!(shown(&daemon, "alice")["enrolled"], false);
    daemon.kill();
    daemon.start_again();
    let elsewhere = Stack::of(&daemon, "elsewhere", "retry=1");
    assert_eq!(
        elsewhere.login("alice", &[&device.code()]).code,
        PamCode::AUTH_ERR,
        "a pending device opens nothing"
    );
    assert_eq!(
        stack.login("alice", &[&device.wrong()]).code,
        PamCode::AUTH_ERR
    );
    assert_eq!(
        daemon.budget("alice"),
        4,
        "guesses at a pending device are guesses"
    );
    assert_eq!(shown(&daemon, "alice")["devices"][0]["state"], "pending");
    let login = stack.login("alice", &[&device.code()]);
    assert_eq!(
        (login.code, login.prompts()),
        (PamCode::SUCCESS, vec![CODE])
    );
    assert_eq!(
        elsewhere.login("alice", &[&device.code_at(1)]).code,
        PamCode::SUCCESS
    );
}

#[test]
fn nobody_enrols_where_the_settings_or_the_service_file_do_not_want_it() {
    let _place = world::enter();
    for (lines, options) in [
        ("", "enroll retry=1"),
        ("enroll-at-login: true\n", "retry=1"),
    ] {
        let daemon = Setup::new().with(lines).start();
        let ticket = ticket(&daemon, "alice");
        let login = Stack::of(&daemon, "not-wanted", options).login("alice", &[&ticket]);
        assert_eq!(
            (login.code, login.prompts()),
            (PamCode::AUTH_ERR, vec![CODE]),
            "{options}"
        );
        assert!(
            shown(&daemon, "alice")["ticket_until"].is_u64(),
            "it is still there"
        );
    }
    // What a service file says is root's to say.
    let (daemon, ticket) = with_ticket("alice");
    let options = json!({ "enroll": true });
    let verify =
        json!({ "user": "alice", "codes": [ticket], "service": "sshd", "options": options });
    let reply = daemon
        .call_as(&Caller::user("alice"), "Verify", &verify)
        .expect("a verdict");
    assert_eq!(
        (&reply["verdict"], &reply["enrolment"]),
        (&json!("not_enrolled"), &Value::Null),
        "{reply}"
    );
    assert!(shown(&daemon, "alice")["ticket_until"].is_u64());
}

#[test]
fn a_ticket_is_asked_for_only_where_it_can_be_used() {
    let _place = world::enter();
    let (daemon, ticket_of_alice) = with_ticket("alice");
    let stack = Stack::of(&daemon, "only-there", "enroll retry=2");
    for user in ["bob", "nobody-at-all"] {
        assert_eq!(
            stack.login(user, &["123456", "123456"]).prompts(),
            [CODE; 2],
            "{user}"
        );
    }
    let carla = daemon.enroll("carla");
    assert_eq!(
        stack.login("carla", &[&carla.code()]).code,
        PamCode::SUCCESS
    );
    let wrong = stack.login("alice", &["aaaa-bbbb-cccc-dddd", "123456"]);
    assert_eq!(
        (wrong.code, wrong.prompts()),
        (PamCode::AUTH_ERR, vec![TICKET; 2])
    );
    let silent = stack
        .attempt("alice")
        .silent()
        .run(|_| Reply::text(&ticket_of_alice));
    assert_eq!(
        (silent.code, silent.prompts()),
        (PamCode::AUTH_ERR, vec![CODE; 2]),
        "a user that is shown no messages sees no key"
    );
    ticket(&daemon, "dora");
    daemon.totpctl_json(&["disable", "dora", "--all"], "");
    assert_eq!(
        stack.login("dora", &["1", "1"]).prompts(),
        [CODE; 2],
        "the account is shut"
    );
    assert!(
        first_login(&stack, "alice", &ticket_of_alice, Authenticator::code).code
            == PamCode::SUCCESS
    );
}

#[test]
fn a_ticket_brings_one_device_and_a_new_one_takes_its_place() {
    let _place = world::enter();
    let (daemon, first) = with_ticket("alice");
    let stack = Stack::of(&daemon, "one-device", "enroll retry=1");
    let broken_off = || [Reply::text(&first), Reply::Fail(PamCode::CONV_ERR)];
    let lost = Authenticator::new(&key_in(stack.replies("alice", broken_off()).told()[0]));
    let used = stack.replies("alice", broken_off());
    assert_eq!(
        (used.code, used.told().len()),
        (PamCode::AUTH_ERR, 1),
        "{used:?}"
    );
    let second = ticket(&daemon, "alice");
    let login = first_login(&stack, "alice", &second, Authenticator::code);
    assert_eq!(login.code, PamCode::SUCCESS);
    assert_eq!(
        shown(&daemon, "alice")["devices"]
            .as_array()
            .expect("devices")
            .len(),
        1
    );
    assert_eq!(
        stack.login("alice", &[&lost.code_at(1)]).code,
        PamCode::AUTH_ERR,
        "the lost key opens nothing"
    );
}

#[test]
fn who_guesses_at_a_pending_device_is_asked_for_two_codes_and_its_owner_gets_in_with_them() {
    let _place = world::enter();
    let (daemon, first) = with_ticket("alice");
    let stack = Stack::of(&daemon, "guessed-at", "enroll retry=1");
    let broken_off = stack.replies(
        "alice",
        [Reply::text(&first), Reply::Fail(PamCode::CONV_ERR)],
    );
    let device = Authenticator::new(&key_in(broken_off.told()[0]));
    for _ in 0..5 {
        assert_eq!(
            stack.login("alice", &[&device.wrong()]).code,
            PamCode::AUTH_ERR
        );
    }
    let [one, two] = device.pair();
    let single = stack.login("alice", &[&one]);
    assert_eq!(single.code, PamCode::AUTH_ERR, "it is not judged any more");
    assert!(
        single.prompts()[0].starts_with("Verification code (the current one"),
        "{single:?}"
    );
    let another = ticket(&daemon, "alice");
    let shown = stack.replies(
        "alice",
        [Reply::text(&another), Reply::Fail(PamCode::CONV_ERR)],
    );
    assert!(
        shown.prompts()[1].starts_with("Verification code (the current one"),
        "a new device is asked for them, too: {shown:?}"
    );
    assert_eq!(
        stack.login("alice", &[&format!("{one} {two}")]).code,
        PamCode::AUTH_ERR,
        "another has taken its place"
    );
    let [one, two] = Authenticator::new(&key_in(shown.told()[0])).pair();
    assert_eq!(
        stack.login("alice", &[&format!("{one} {two}")]).code,
        PamCode::SUCCESS
    );
}

#[test]
fn strict_settings_disable_no_device_that_nobody_has_shown_to_have() {
    let _place = world::enter();
    let daemon = Setup::new()
        .with("enroll-at-login: true\npolicy: {strict: true, budget: 1000}\n")
        .start();
    let stack = Stack::of(&daemon, "strict-first", "enroll retry=1");
    let ticket = ticket(&daemon, "alice");
    let broken_off = stack.replies(
        "alice",
        [Reply::text(&ticket), Reply::Fail(PamCode::CONV_ERR)],
    );
    let device = Authenticator::new(&key_in(broken_off.told()[0]));
    for _ in 0..101 {
        assert_eq!(
            stack.login("alice", &[&device.wrong()]).code,
            PamCode::AUTH_ERR
        );
    }
    assert_eq!(shown(&daemon, "alice")["devices"][0]["state"], "pending");
    assert_eq!(
        stack.login("alice", &[&device.code()]).code,
        PamCode::SUCCESS
    );
}

#[test]
fn who_has_a_ticket_is_asked_also_where_nobody_else_is() {
    let _place = world::enter();
    let lines = "enroll-at-login: true\nunknown-users: deny\nrecovery: {codes: 0}\n";
    let daemon = Setup::new().with(lines).start();
    let ticket = ticket(&daemon, "alice");
    let stack = Stack::of(&daemon, "denied-first", "enroll retry=1");
    assert_eq!(stack.login("bob", &[]).prompts(), [""; 0]);
    let login = first_login(&stack, "alice", &ticket, Authenticator::code);
    assert_eq!(
        (login.code, login.told()[1]),
        (PamCode::SUCCESS, "Your device is enrolled."),
        "{login:?}"
    );
}

#[test]
fn a_clock_that_was_set_keeps_nobody_from_enrolling_and_a_ticket_whose_time_is_over_is_told_as_one()
{
    let _place = world::enter();
    let clocks = Clocks::new();
    let daemon = clocks
        .of(Setup::new().with("enroll-at-login: true\n"))
        .start();
    let [of_alice, of_bob] = ["alice", "bob"].map(|user| ticket(&daemon, user));
    let stack = Stack::of(&daemon, "clock-first", "enroll retry=1");
    clocks.set_by(3600);
    daemon.log.wait_for(&["event=clock_event "]);
    let broken_off = stack.replies(
        "alice",
        [Reply::text(&of_alice), Reply::Fail(PamCode::CONV_ERR)],
    );
    let code = Authenticator::new(&key_in(broken_off.told()[0])).code_when(clocks.now());
    assert_eq!(stack.login("alice", &[&code]).code, PamCode::SUCCESS);
    clocks.pass(8 * 86400);
    let late = stack.login("bob", &[&of_bob]);
    assert_eq!((late.code, late.prompts()), (PamCode::AUTH_ERR, vec![CODE]));
    daemon.log.wait_for(&[
        "event=verify user=bob ",
        " verdict=not_enrolled ",
        " reason=ticket_expired",
    ]);
    let why = String::from_utf8_lossy(&daemon.totpctl(&["why", "bob"], "").stdout).into_owned();
    assert!(why.contains("totpctl ticket bob"), "{why}");
}

#[test]
fn where_a_picture_would_be_wider_than_a_terminal_the_key_stands_alone() {
    let _place = world::enter();
    let mut setup = Setup::new().with("enroll-at-login: true\n");
    let names = format!(
        "    issuer: \"{0}\"\n    label: \"{0}\"\n",
        "long".repeat(60)
    );
    setup.settings = setup.settings.replace("    issuer: tests\n", &names);
    let daemon = setup.start();
    let ticket = ticket(&daemon, "alice");
    let stack = Stack::of(&daemon, "long-names", "enroll retry=1");
    let login = stack.replies(
        "alice",
        [Reply::text(&ticket), Reply::Fail(PamCode::CONV_ERR)],
    );
    assert!(
        login.told()[0].starts_with("Type this key into your authenticator app: "),
        "{login:?}"
    );
}

fn with_ticket(user: &str) -> (Daemon, String) {
    let daemon = Setup::new().with("enroll-at-login: true\n").start();
    let ticket = ticket(&daemon, user);
    (daemon, ticket)
}

pub(crate) fn ticket(daemon: &Daemon, user: &str) -> String {
    daemon.totpctl_json(&["ticket", user], "")["code"]
        .as_str()
        .expect("a code")
        .to_owned()
}

/// Types the ticket, and then what `code` says of the device that is shown.
pub(crate) fn first_login(
    stack: &Stack,
    user: &str,
    ticket: &str,
    code: impl Fn(&Authenticator) -> String,
) -> Login {
    stack
        .attempt(user)
        .run_reading(|message, said| match message.text {
            TICKET => Reply::text(ticket),
            _ => Reply::text(&code(&Authenticator::new(&key_in(
                &said
                    .iter()
                    .map(|(_, text)| text.as_str())
                    .collect::<String>(),
            )))),
        })
}

/// The key in what is shown, without hyphens.
pub(crate) fn key_in(shown: &str) -> String {
    let (_, rest) = shown
        .split_once("Or type this key into the app: ")
        .unwrap_or_else(|| panic!("no key: {shown}"));
    rest.lines().next().expect("a line").trim().replace('-', "")
}
