//! How a new key reaches the authenticator: its label, its picture, and the file that a shell made
//! for it; and a machine that gives no random bytes for one.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use nix::unistd::gethostname;
use serde_json::{Value, json};
use tests::daemon::{Daemon, Setup};
use tests::libpam::{PamCode, Reply};
use tests::stack::Stack;
use tests::strace::Strace;
use tests::terminal::Terminal;
use tests::world;

use crate::first_login::ticket;

#[test]
fn without_random_bytes_no_key_is_made_and_logins_go_on() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    let stack = Stack::of(&daemon, "random", "retry=1");
    let strace = Strace::attach(&daemon, "getrandom:error=EIO");
    let wish = json!({ "user": "bob", "active": true });
    assert!(daemon.call("Enroll", &wish).is_err());
    let login = stack.login("alice", &[&alice.code()]);
    assert_eq!(login.code, PamCode::SUCCESS);
    drop(strace);
    assert!(daemon.call("Show", &json!({ "user": "bob" })).is_err());
    daemon.enroll("bob");
}

#[test]
fn a_users_further_devices_have_their_names_in_their_labels() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let label = |arguments: &[&str]| {
        let told = daemon.totpctl_json(&[&["enroll", "alice", "--yes"], arguments].concat(), "");
        let uri = told["uri"].as_str().expect("a URI").to_owned();
        let (label, _) = uri.split_once('?').expect("parameters");
        label.rsplit_once(':').expect("an issuer").1.to_owned()
    };
    let first = label(&[]);
    assert!(first.starts_with("alice@") && !first.contains("default"));
    assert_eq!(
        label(&["--device", "device-2"]),
        format!("{first}%20%28device-2%29")
    );
    assert_eq!(
        label(&["--device", "phone", "--label", "a"]),
        "a%20%28phone%29"
    );
    // A label that holds the device's name by chance is that of other devices, too.
    for device in ["tab", "pad"] {
        assert_eq!(
            label(&["--device", device, "--label", "my tab"]),
            format!("my%20tab%20%28{device}%29")
        );
    }
    assert_eq!(
        label(&["--device", "x", "--label", "{device}/{user}"]),
        "x%2Falice"
    );
}

#[test]
fn the_host_stands_in_a_uri_once_where_it_is_the_issuer() {
    let _place = world::enter();
    let mut setup = Setup::new();
    setup.settings = setup.settings.replace("    issuer: tests\n", "");
    let daemon = setup.start();
    let told = daemon.totpctl_json(&["enroll", "alice", "--yes"], "");
    let uri = told["uri"].as_str().expect("a URI");
    let host = gethostname().expect("a name").into_string().expect("text");
    assert!(uri.starts_with("otpauth://totp/alice?secret="), "{uri}");
    assert!(uri.ends_with(&format!("&issuer={host}")), "{uri}");
}

#[test]
fn a_picture_that_does_not_fit_into_the_window_is_not_drawn_and_it_is_said_why() {
    let _place = world::enter();
    let daemon = Daemon::start();
    for (locale, lines, label, drawn) in [
        ("C.UTF-8", 24, "firstname.lastname", true),
        ("C.UTF-8", 24, &"long".repeat(20), false),
        ("C.UTF-8", 40, &"long".repeat(20), true),
        ("C", 24, "alice", false),
        ("C", 60, "alice", true),
    ] {
        let mut command = Command::new(world::built("totpctl"));
        command.arg("--socket").arg(daemon.login_socket());
        command.args(["enroll", "alice", "--device", "phone", "--label", label]);
        command.env("LC_ALL", locale).env("TERM", "xterm");
        let terminal = Terminal::of_size(&command, 100, lines);
        terminal.wait_for("Code that the new device shows now: ");
        let said = if drawn {
            "Scan the QR code"
        } else {
            "no QR code is drawn: it needs a window of "
        };
        terminal.wait_for(said);
        terminal.wait_for("Key: ");
    }
}

#[test]
fn a_picture_at_the_prompt_leaves_room_for_the_key_and_the_prompt() {
    let _place = world::enter();
    for (label, drawn) in [
        ("alice@login01.example.org", true),
        (&"long".repeat(15), false),
    ] {
        let mut setup = Setup::new().with("enroll-at-login: true\n");
        let names = format!("    issuer: tests\n    label: \"{label}\"\n");
        setup.settings = setup.settings.replace("    issuer: tests\n", &names);
        let daemon = setup.start();
        let ticket = ticket(&daemon, "alice");
        let stack = Stack::of(&daemon, "small-window", "enroll retry=1");
        let replies = [Reply::text(&ticket), Reply::Fail(PamCode::CONV_ERR)];
        let login = stack.replies("alice", replies);
        let told = &login.told()[0];
        assert_eq!(told.contains('▀'), drawn, "{told}");
        assert!(told.lines().count() < 24 + 1, "{told}");
        let picture = told.lines().filter(|line| line.contains('█')).count();
        assert!(picture <= 21, "{told}");
    }
}

#[test]
fn keys_and_codes_that_go_to_a_file_that_others_can_read_are_warned_of() {
    let _place = world::enter();
    let daemon = Daemon::start();
    daemon.enroll("bob");
    let path = daemon.setup.folder.join("printed");
    let mut made = 0;
    let mut warned = |mode: u32, arguments: &[&str]| {
        let file = File::create(&path).expect("a file");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("its mode");
        let mut command = Command::new(world::built("totpctl"));
        command
            .arg("--socket")
            .arg(daemon.login_socket())
            .args(arguments);
        if arguments.contains(&"enroll") {
            made += 1;
            command.args(["--device", &format!("phone-{made}")]);
        }
        let output = command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(Stdio::piped())
            .output()
            .expect("totpctl");
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        said.matches("a file that other users can read").count()
    };
    for arguments in [
        &["enroll", "alice", "--yes"][..],
        &["--json", "enroll", "alice", "--yes"],
        &["recovery-codes", "bob"],
        &["bypass", "bob"],
        &["ticket", "carol"],
        &["export", "passlib", "bob"],
    ] {
        assert_eq!(warned(0o644, arguments), 1, "{arguments:?}");
        assert_eq!(warned(0o600, arguments), 0, "{arguments:?}");
    }
    assert_eq!(warned(0o644, &["show", "bob"]), 0, "no secret is in it");
}

#[test]
fn a_pasted_uri_enrols_with_all_that_it_says() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let uri = "otpauth://totp/Big%20Co:pat?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&algorithm=SHA256&digits=8&period=60&issuer=Big%20Co\n";
    let enroll = ["enroll", "pat", "--key", "-", "--yes"];
    let told = daemon.totpctl_json(&enroll, uri);
    let said = |field: &str| told[field].clone();
    let expected = [
        ("key", json!("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")),
        ("alg", json!("sha256")),
        ("digits", json!(8)),
        ("period", json!(60)),
    ];
    for (field, value) in expected {
        assert_eq!(said(field), value, "{field}");
    }
    let shown = said("uri");
    let shown: &Value = &shown;
    assert!(
        shown
            .as_str()
            .is_some_and(|uri| uri.starts_with("otpauth://totp/Big%20Co:pat?"))
    );
    let again = [&enroll[..], &["--device", "other", "--digits", "6"]].concat();
    let refused = daemon.totpctl(&again, uri);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("leave out --kind"));
    let hotp = "otpauth://hotp/pat?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&counter=1";
    assert_eq!(daemon.totpctl(&enroll, hotp).status.code(), Some(2));
}
