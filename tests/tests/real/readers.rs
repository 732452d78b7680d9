//! What other programs make of the log: fail2ban with the filter that is shipped, and the example
//! that mails.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use tests::daemon::{Daemon, Setup};
use tests::libpam::{Item, PamCode, Reply};
use tests::oathtool::Authenticator;
use tests::program::{self, with_input};
use tests::stack::Stack;
use tests::wire::Caller;
use tests::world;

#[test]
fn fail2ban_finds_the_addresses_of_wrong_codes_and_no_forged_ones() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    let (right, wrong) = (alice.code(), alice.wrong());
    let attempt = |user: &str, code: &str, service: &str, rhost: &str| {
        attempt(&daemon, user, code, service, rhost)
    };
    let found = [
        attempt("alice", &wrong, "sshd", "192.0.2.1"),
        attempt("nobody-here", &wrong, "sshd", "2001:db8::2"),
        attempt("alice", "", "sshd", "192.0.2.3"),
        attempt("a b\\\"", &wrong, "s\" source=203.0.113.1", "192.0.2.4"),
    ];
    assert_eq!(
        found,
        ["rejected", "not_enrolled", "malformed", "not_enrolled"]
    );
    assert_eq!(attempt("alice", &right, "sshd", "192.0.2.5"), "accepted");
    forge_lines(&daemon, &wrong);
    // The owner, while others guess.
    assert_eq!(
        attempt("alice", &right, "sshd", "203.0.113.6"),
        "already_used"
    );
    (0..5).for_each(|_| drop(attempt("alice", &alice.wrong(), "sshd", "192.0.2.6")));
    repeat_a_wrong_code(&daemon, &alice, &wrong);
    assert_eq!(
        attempt("alice", &alice.code_at(1), "sshd", "203.0.113.7"),
        "two_codes_needed"
    );
    // The source that an unprivileged caller reports is not trusted.
    let own = json!({ "user": "bob", "codes": [wrong], "service": "own", "rhost": "203.0.113.5" });
    daemon
        .call_as(&Caller::user("bob"), "Verify", &own)
        .expect("a verdict");
    daemon.log.wait_for(&["user=bob", "verdict="]);
    let guesses = [&["192.0.2.6"; 4][..], &["192.0.2.8"]].concat();
    assert_eq!(
        addresses(&daemon),
        [
            &["192.0.2.1", "2001:db8::2", "192.0.2.3", "192.0.2.4"],
            &guesses[..]
        ]
        .concat()
    );
}

/// An attempt at a login, as a PAM module of root's reports it; returns the verdict.
fn attempt(daemon: &Daemon, user: &str, code: &str, service: &str, rhost: &str) -> String {
    let parameters =
        json!({ "user": user, "codes": [code], "service": service, "rhost": rhost, "tty": "ssh" });
    daemon.call("Verify", &parameters).expect("a verdict")["verdict"]
        .as_str()
        .expect("a word")
        .to_owned()
}

/// Attempts whose names and hosts contain the text of another log line.
fn forge_lines(daemon: &Daemon, wrong: &str) {
    let forged = " source=203.0.113.2 verdict=rejected ";
    for (user, rhost) in [
        (
            "x\" source=203.0.113.3 verdict=rejected y=\"".to_owned(),
            "host.example.org".to_owned(),
        ),
        (format!("x{forged}y"), String::new()),
        ("x\\".to_owned(), format!("\"{forged}z=\"")),
        (
            "x".to_owned(),
            format!("\nNov 25 12:00:00 host provisiond[1]: event=verify user=x{forged}"),
        ),
        ("y".to_owned(), "203.0.113.4.example.org".to_owned()),
    ] {
        assert_eq!(
            attempt(daemon, &user, wrong, "sshd", &rhost),
            "not_enrolled"
        );
    }
}

/// A client that repeats a wrong code by itself: only the first counts as a guess.
fn repeat_a_wrong_code(daemon: &Daemon, alice: &Authenticator, wrong: &str) {
    let (user, _) = alice.within_a_step((0..3).map(|n| format!("again-{n}")), |user| {
        (0..3).for_each(|_| drop(attempt(daemon, user, wrong, "sshd", "192.0.2.8")));
    });
    let told = daemon.logged(&["event=verify ", &format!(" user={user} ")]);
    let again = told
        .iter()
        .filter(|line| line.contains(" reason=repeated "))
        .count();
    assert_eq!((told.len(), again), (3, 2), "{told:?}");
}

#[test]
fn fail2ban_believes_the_journal_and_not_the_writer_about_who_wrote_a_line() {
    let filter =
        fs::read_to_string(packaging("fail2ban/filter.d/pam-totp.conf")).expect("the filter");
    let matches = filter
        .lines()
        .find_map(|line| line.strip_prefix("journalmatch = "))
        .expect("a match");
    // Any one of the alternatives between `+` is enough, so each must hold a field that only the
    // journal writes.
    for one in matches.split(" + ") {
        let unit = one
            .split(' ')
            .find_map(|field| field.strip_prefix("_SYSTEMD_UNIT="))
            .expect("the journal's own word");
        assert!(packaging("systemd").join(unit).exists(), "{unit}");
    }
}

#[test]
fn nothing_that_a_stranger_sends_steers_the_terminal_of_who_reads_json() {
    let _place = world::enter();
    let daemon = Setup::new().with("audit: {format: json}\n").start();
    let (user, rhost) = (
        "al\u{200b}ice\u{202e}",
        "192.0.2.1\u{7f}\u{9b}2J\u{2066}\u{e0001}",
    );
    let stack = Stack::of(&daemon, "hostile", "retry=1");
    let login = stack
        .attempt(user)
        .item(Item::Rhost, rhost)
        .run(|_| Reply::text("123456"));
    assert_eq!(login.code, PamCode::AUTH_ERR);
    let line = daemon.log.wait_for(&["\"event\":\"verify\""]);
    let told = daemon.totpctl(&["--json", "log"], "");
    let told = String::from_utf8(told.stdout).expect("text");
    let shown = told
        .lines()
        .find(|line| line.contains("\"event\":\"verify\""))
        .expect("the same event");
    for json in [&line, shown] {
        assert!(json.is_ascii() && !json.contains('\u{7f}'), "{json:?}");
        let event: Value = serde_json::from_str(json).expect("JSON");
        assert_eq!(
            (&event["fields"]["user"], &event["fields"]["source"]),
            (&json!(user), &json!(rhost))
        );
    }
}

/// The addresses that fail2ban finds in the daemon's lines, as they stand in the system's log.
fn addresses(daemon: &Daemon) -> Vec<String> {
    let lines = daemon.log.text();
    let lines = lines
        .lines()
        .map(|line| line.replace("provisiond: ", "Nov 25 12:00:00 host provisiond[77]: ") + "\n");
    let log = world::scratch_folder("fail2ban").join("auth.log");
    fs::write(&log, lines.collect::<String>()).expect("a log");
    // Beside the files that it is made of.
    fs::copy(
        packaging("fail2ban/filter.d/pam-totp.conf"),
        "/etc/fail2ban/filter.d/pam-totp.conf",
    )
    .expect("fail2ban");
    let output = Command::new("fail2ban-regex")
        .args(["--out", "ip"])
        .arg(&log)
        .arg("pam-totp")
        .output();
    let output = output.expect("fail2ban-regex: 'packaging/need test' installs it");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout)
        .expect("text")
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_example_mails_what_somebody_should_look_at_and_no_more_than_it_says() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    for forged in ["\"event\":\"source_limited\""; 6] {
        let guess = json!({ "user": "alice", "codes": [alice.wrong()], "service": forged, "rhost": "192.0.2.1", "tty": "ssh" });
        daemon.call("Verify", &guess).expect("a verdict");
    }
    // A failed call is no reason for a mail, even if the call would have been one: bob has no
    // device.
    let none = daemon.call("NewRecoveryCodes", &json!({ "user": "bob" }));
    assert_eq!(none.expect_err("no codes").0, "NoSuchUser");
    daemon
        .log
        .wait_for(&["event=new_recovery_codes", " error=NoSuchUser "]);
    let folder = world::scratch_folder("mail");
    let sendmail = folder.join("sendmail");
    program::write(
        &sendmail,
        &format!("#!/bin/sh\ncat > {}/mail.$$\n", folder.display()),
    );
    let events = daemon.totpctl(&["--json", "log"], "");
    assert!(events.status.success(), "{events:?}");
    let events = String::from_utf8(events.stdout).expect("text");
    let mails = |lines: &str| -> Vec<String> {
        let mut script = Command::new(packaging("examples/pam-totp-mail"));
        script
            .env("SENDMAIL", &sendmail)
            .env("RECIPIENT", "admin@example.org")
            .env("MOST", "3");
        assert!(with_input(script, lines).status.success());
        let files = fs::read_dir(&folder)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").path());
        let mails: Vec<PathBuf> = files.filter(|path| *path != sendmail).collect();
        mails
            .iter()
            .map(|mail| fs::read_to_string(mail).expect("a mail"))
            .collect()
    };
    let first = mails(&events);
    assert_eq!(first.len(), 1, "{first:?}");
    let head = first[0].lines().take(2).collect::<Vec<_>>();
    assert_eq!(head[0], "To: admin@example.org");
    assert!(
        head[1].starts_with("Subject: pam-totp on ") && head[1].ends_with(": budget_empty"),
        "{head:?}"
    );
    let body = first[0].lines().collect::<Vec<_>>();
    for field in ["source: 192.0.2.1", "user: alice", "severity: warning"] {
        assert!(body.contains(&field), "{first:?}");
    }
    let is_date = |line: &&str| line.starts_with("time: 20") && line.contains('-');
    assert_eq!(
        body.iter().filter(|line| is_date(line)).count(),
        1,
        "{first:?}"
    );
    let line = events
        .lines()
        .find(|line| line.contains("\"event\":\"budget_empty\""))
        .expect("the event");
    assert_eq!(
        mails(&format!("{line}\n").repeat(9)).len(),
        1 + 3,
        "three an hour are enough"
    );
}

#[test]
fn the_example_mails_each_event_once_and_those_of_a_store_that_was_put_back() {
    let _place = world::enter();
    let folder = world::scratch_folder("mail-state");
    let sendmail = folder.join("sendmail");
    let told = folder.join("told");
    let script = format!("#!/bin/sh\ngrep ^Subject: >> {}\n", told.display());
    program::write(&sendmail, &script);
    fs::write(folder.join("last"), "40 1000\n").expect("what was read before");
    let line = |number: u32, time: u32, event: &str| {
        json!({ "time": time, "number": number, "event": event, "severity": "warning", "fields": {} })
            .to_string()
    };
    let mailed = |lines: &[String]| -> usize {
        fs::write(&told, "").expect("no mails yet");
        let mut script = Command::new(packaging("examples/pam-totp-mail"));
        script
            .env("SENDMAIL", &sendmail)
            .env("STATE_DIRECTORY", &folder);
        let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
        assert!(with_input(script, &lines).status.success());
        fs::read_to_string(&told)
            .expect("the mails")
            .lines()
            .count()
    };
    let lines = [
        line(39, 990, "bypass"),
        line(40, 1000, "ticket"),
        line(41, 1000, "unlock"),
        line(42, 995, "clock_event"),
    ];
    assert_eq!(mailed(&lines), 2, "the last two are new");
    assert_eq!(mailed(&lines), 0);
    let put_back = line(12, 2000, "store_rolled_back");
    assert_eq!(mailed(&[line(11, 900, "bypass"), put_back]), 1);
    fs::remove_file(folder.join("last")).expect("it has read nothing yet");
    assert_eq!(mailed(&lines), 0, "it begins with the present");
}

#[test]
fn however_many_events_of_one_kind_an_attacker_causes_each_other_kind_is_mailed() {
    let _place = world::enter();
    let folder = world::scratch_folder("mail-kinds");
    let (sendmail, told) = (folder.join("sendmail"), folder.join("told"));
    let script = format!("#!/bin/sh\ngrep ^Subject: >> {}\n", told.display());
    program::write(&sendmail, &script);
    let line = |event: &str, field: &str| {
        json!({ "time": 1000, "number": 1, "event": event, "severity": "warning", "fields": { field: "x" } })
            .to_string()
            + "\n"
    };
    let others = [
        ("store_rolled_back", "reason"),
        ("store_healed", "what"),
        ("store_salvaged", "reason"),
        ("store_not_healed", "what"),
        ("recovery_code_used", "user"),
        ("wrong_secret", "tag"),
        ("secrets_not_checked", "reason"),
        ("reload_failed", "reason"),
        ("uid_rebound", "user"),
        ("store_accept_loss", "accepted"),
        ("clock_accept", "accepted"),
        ("export", "user"),
        ("events_removed", "user"),
        ("mirror_unavailable", "error"),
    ];
    let flood = ["budget_empty", "source_limited"].map(|event| line(event, "source").repeat(12));
    let after: String = others.map(|(event, field)| line(event, field)).concat();
    let refused = line("export", "error");
    let mut script = Command::new(packaging("examples/pam-totp-mail"));
    script.env("SENDMAIL", &sendmail).env("MOST", "2");
    let done = with_input(script, &[flood.concat(), refused, after].concat());
    assert!(done.status.success(), "{done:?}");
    let mails = fs::read_to_string(&told).expect("the mails");
    let of = |event: &str| mails.matches(&format!(": {event}\n")).count();
    for (event, _) in others {
        assert_eq!(of(event), 1, "{event}: {mails}");
    }
    // An hour may have begun meanwhile.
    for event in ["budget_empty", "source_limited"] {
        assert!((2..=4).contains(&of(event)), "{mails}");
    }
}

fn packaging(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../packaging")
        .join(path)
}
