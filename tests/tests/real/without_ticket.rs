//! Users that enrol at the prompt of a login with the first factor alone, up to a day.

use std::process::Command;

use serde_json::{Value, json};
use tests::daemon::{Daemon, Setup};
use tests::libpam::{PamCode, Reply};
use tests::oathtool::Authenticator;
use tests::odd_names::with_odd_names;
use tests::stack::{Login, Stack};
use tests::wire::Caller;
use tests::world;

use crate::first_login::{key_in, ticket};
use crate::own::shown;

const CODE: &str = "Verification code: ";
const OPTIONS: &str = "enroll=first_factor retry=1";
const EVERYBODY: &str = "enroll-at-login: {without-ticket-until: {everybody: 2999-12-31}}\n";

#[test]
fn a_member_of_the_group_is_shown_a_device_without_a_ticket_and_its_first_code_lets_in() {
    let _place = world::enter();
    world::group("newcomers", &["alice"]);
    let daemon = open_until("newcomers", "2999-12-31");
    let stack = Stack::of(&daemon, "without-ticket", OPTIONS);
    let login = enrols(&stack, "alice");
    assert_eq!(
        (login.code, login.prompts()),
        (PamCode::SUCCESS, vec![CODE])
    );
    let device = Authenticator::new(&key_in(login.told()[0]));
    assert_eq!(
        stack.login("alice", &[&device.code_at(1)]).code,
        PamCode::SUCCESS
    );
    for parts in [
        &[
            "event=enroll user=alice ",
            " state=pending ",
            " without_ticket=newcomers",
            " service=without-ticket ",
        ][..],
        &["event=confirm user=alice ", " verdict=accepted "],
        &["event=verify user=alice ", " verdict=accepted "],
    ] {
        daemon.log.wait_for(parts);
    }
    assert!(!daemon.log.text().contains(&device.key));
    for other in ["bob", "no-such-account"] {
        is_asked_like_all_others(&daemon, &stack, other);
    }
}

#[test]
fn the_last_day_counts_as_a_whole_and_after_it_a_ticket_is_needed_again() {
    let _place = world::enter();
    world::group("latecomers", &["alice"]);
    for (day, is_open) in [("yesterday", false), ("today", true), ("tomorrow", true)] {
        // The day may end in between.
        let login = loop {
            let date = date(day);
            let daemon = open_until("latecomers", &date);
            let stack = Stack::of(&daemon, "last-day", OPTIONS);
            let login = enrols(&stack, "alice");
            if date == self::date(day) {
                break login;
            }
        };
        let code = if is_open {
            PamCode::SUCCESS
        } else {
            PamCode::AUTH_ERR
        };
        assert_eq!((login.code, login.prompts()), (code, vec![CODE]), "{day}");
        assert_eq!(login.told()[0].contains("QR code"), is_open, "{day}");
    }
    // The earliest day of a user's groups holds, and not that of all accounts.
    world::group("over", &["carol"]);
    let days = "{over: 2026-01-01, newcomers: 2999-12-31, everybody: 2999-12-31}";
    world::group("newcomers", &["carol"]);
    let daemon = Setup::new()
        .with(&format!(
            "enroll-at-login: {{without-ticket-until: {days}}}\n"
        ))
        .start();
    let stack = Stack::of(&daemon, "earliest-day", OPTIONS);
    is_asked_like_all_others(&daemon, &stack, "carol");
}

#[test]
fn root_administrators_the_helpdesk_and_names_without_an_account_need_a_ticket_on_any_day() {
    let _place = world::enter();
    world::group("enrol-admins", &["carol"]);
    world::group("enrol-help", &["dave"]);
    let roles = "  admin-group: enrol-admins\n  helpdesk-group: enrol-help\n";
    let daemon = Setup::new().with(roles).with(EVERYBODY).start();
    let stack = Stack::of(&daemon, "privileged", OPTIONS);
    for user in ["root", "carol", "dave", "no-such-account"] {
        is_asked_like_all_others(&daemon, &stack, user);
    }
    assert_eq!(enrols(&stack, "alice").code, PamCode::SUCCESS);
    let of_carol = ticket(&daemon, "carol");
    let prompts = stack.login("carol", &[&of_carol]);
    assert_eq!(prompts.prompts()[0], "Enrolment ticket: ");
}

#[test]
fn once_enrolled_the_first_factor_alone_brings_no_other_device() {
    let _place = world::enter();
    let daemon = Setup::new().with(EVERYBODY).start();
    let stack = Stack::of(&daemon, "once-confirmed", OPTIONS);
    assert_eq!(enrols(&stack, "alice").code, PamCode::SUCCESS);
    daemon.totpctl_json(&["revoke", "alice"], "");
    daemon.enroll("bob");
    daemon.totpctl_json(&["disable", "bob", "--all"], "");
    // A user that was never enrolled, and whose account is shut.
    daemon.totpctl_json(&["disable", "carol", "--all"], "");
    for user in ["alice", "bob", "carol"] {
        let before = shown(&daemon, user)["devices"].clone();
        for codes in [json!([]), json!([""]), json!([" "])] {
            let reply = attempt(&daemon, user, &codes);
            assert_eq!(reply["enrolment"], Value::Null, "{user}: {reply}");
        }
        let login = stack.login(user, &[""]);
        assert_eq!(
            (login.code, login.prompts()),
            (PamCode::AUTH_ERR, vec![CODE]),
            "{user}"
        );
        assert_eq!(shown(&daemon, user)["devices"], before, "{user}");
    }
}

#[test]
fn a_service_file_that_does_not_say_that_there_was_a_first_factor_asks_for_the_ticket() {
    let _place = world::enter();
    let daemon = Setup::new().with(EVERYBODY).start();
    let stack = Stack::of(&daemon, "with-ticket", "enroll retry=1");
    let login = stack.login("alice", &["123456"]);
    assert_eq!(login.prompts(), [CODE], "{login:?}");
    assert!(!login.told().concat().contains("QR code"), "{login:?}");
    // What a service file says is root's to say.
    for method in ["Challenge", "Verify"] {
        let mut call = json!({ "user": "alice", "service": "sshd",
            "options": { "enroll": true, "first_factor": true } });
        if method == "Verify" {
            call["codes"] = json!([]);
        }
        let reply = daemon.call_as(&Caller::user("alice"), method, &call);
        let reply = reply.expect("a reply");
        assert_ne!(reply["ask"], "first_device", "{reply}");
        assert_eq!(reply["enrolment"], Value::Null, "{reply}");
    }
    // Tickets go on beside it.
    let of_alice = ticket(&daemon, "alice");
    let login = stack.login("alice", &[&of_alice]);
    assert_eq!(login.prompts(), ["Enrolment ticket: ", CODE]);
}

#[test]
fn after_a_dropped_connection_the_next_login_goes_on_and_an_empty_line_brings_another_key() {
    let _place = world::enter();
    let mut daemon = Setup::new().with(EVERYBODY).start();
    let stack = Stack::of(&daemon, "dropped", OPTIONS);
    let dropped = stack.replies("alice", [Reply::Fail(PamCode::CONV_ERR)]);
    let first = Authenticator::new(&key_in(dropped.told()[0]));
    daemon.kill();
    daemon.start_again();
    let begun = stack.replies("bob", [Reply::Fail(PamCode::CONV_ERR)]);
    let second = stack.replies("bob", [Reply::text(""), Reply::Fail(PamCode::CONV_ERR)]);
    let (old, new) = (key_in(begun.told()[0]), key_in(second.told()[0]));
    assert_ne!(old, new);
    assert_eq!(
        stack.login("bob", &[&Authenticator::new(&old).code()]).code,
        PamCode::AUTH_ERR,
        "the key that was replaced opens nothing"
    );
    let login = stack.login("alice", &[&first.code()]);
    assert_eq!(
        (login.code, login.prompts()),
        (PamCode::SUCCESS, vec![CODE])
    );
    assert_eq!(
        stack.login("bob", &[&Authenticator::new(&new).code()]).code,
        PamCode::SUCCESS
    );
    let device = &shown(&daemon, "bob")["devices"];
    assert_eq!(device.as_array().map(Vec::len), Some(1), "{device}");
}

#[test]
fn while_groups_or_the_store_are_in_doubt_the_first_factor_is_not_enough() {
    let _place = world::enter();
    world::group("odd-newcomers", &["alice"]);
    let days = "{odd-hung-group: 2999-12-31, odd-newcomers: 2999-12-31}";
    let lines = format!("enroll-at-login: {{without-ticket-until: {days}}}\n");
    let daemon = with_odd_names(Setup::new().with(&lines)).start();
    let stack = Stack::of(&daemon, "in-doubt", OPTIONS);
    is_asked_like_all_others(&daemon, &stack, "alice");

    let mut daemon = Setup::new().with(EVERYBODY).start();
    daemon.enroll("bob");
    assert!(daemon.terminate().success());
    std::fs::remove_dir_all(&daemon.setup.state).expect("its end");
    std::fs::create_dir(&daemon.setup.state).expect("an empty folder");
    world::give_to_daemon(&daemon.setup.state);
    daemon.start_again();
    daemon.log.wait_for(&["event=store_incomplete"]);
    let stack = Stack::of(&daemon, "incomplete", OPTIONS);
    for user in ["alice", "bob"] {
        let login = stack.login(user, &[""]);
        assert_eq!(login.code, PamCode::AUTH_ERR, "{user}");
        assert!(!login.told().concat().contains("QR code"), "{login:?}");
        let reply = attempt(&daemon, user, &json!([]));
        assert_eq!(reply["enrolment"], Value::Null, "{user}: {reply}");
    }
}

#[test]
fn the_check_of_the_settings_names_the_groups_that_need_no_ticket() {
    let _place = world::enter();
    let setup = Setup::new().with(EVERYBODY);
    setup.write();
    let told = Command::new(world::built("provisiond"))
        .arg("--check")
        .arg("--settings")
        .arg(setup.folder.join("settings.yaml"))
        .output()
        .expect("provisiond");
    let told = String::from_utf8(told.stdout).expect("text");
    let line = "without a ticket, with the first factor alone: 'everybody' until 2999-12-31.";
    assert!(told.contains(line), "{told}");
}

fn open_until(group: &str, day: &str) -> Daemon {
    let days = format!("enroll-at-login: {{without-ticket-until: {{{group}: {day}}}}}\n");
    Setup::new().with(&days).start()
}

/// A login that types the first code of the device that it is shown.
fn enrols(stack: &Stack, user: &str) -> Login {
    stack.attempt(user).run_reading(|_, said| {
        let shown: String = said.iter().map(|(_, text)| text.as_str()).collect();
        if shown.contains("type this key into the app: ") {
            Reply::text(&Authenticator::new(&key_in(&shown)).code())
        } else {
            Reply::text("123456")
        }
    })
}

/// The user sees what an unknown user sees, and no device is made, whatever is sent.
fn is_asked_like_all_others(daemon: &Daemon, stack: &Stack, user: &str) {
    let unknown = stack.login("unknown-to-all", &["123456"]);
    let login = stack.login(user, &["123456"]);
    assert_eq!(
        (login.code, login.prompts(), login.told()),
        (unknown.code, unknown.prompts(), unknown.told()),
        "{user}"
    );
    let reply = attempt(daemon, user, &json!([]));
    assert_eq!(reply["verdict"], "not_enrolled", "{user}: {reply}");
    assert_eq!(reply["enrolment"], Value::Null, "{user}: {reply}");
}

/// An attempt of a service that says that there was a first factor.
fn attempt(daemon: &Daemon, user: &str, codes: &Value) -> Value {
    let options = json!({ "enroll": true, "first_factor": true });
    let call = json!({ "user": user, "codes": codes, "service": "sshd", "options": options });
    daemon.call("Verify", &call).expect("a verdict")
}

/// A day in this machine's time zone, as the settings write it.
fn date(day: &str) -> String {
    let date = Command::new("date").args(["-d", day, "+%F"]).output();
    let date = String::from_utf8(date.expect("date").stdout).expect("text");
    date.trim().to_owned()
}
