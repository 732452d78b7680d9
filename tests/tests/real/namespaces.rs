//! Process ids and namespaces: a caller's rights are those of its uid outside of all namespaces, whatever
//! its pid is, there or here.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};

use tests::daemon::Daemon;
use tests::wire::Caller;
use tests::world;

#[test]
fn a_caller_that_is_root_in_namespaces_of_its_own_has_the_rights_of_its_uid_outside() {
    let _place = world::enter();
    let daemon = Daemon::start();
    daemon.enroll("alice");
    daemon.enroll("bob");
    let inside = [
        "unshare",
        "--user",
        "--map-root-user",
        "--pid",
        "--fork",
        "--mount-proc",
    ];
    let as_bob = |arguments: &[&str]| {
        // The daemon's root has no number in there.
        let seen = [&["--server-uid", "65534"], arguments].concat();
        totpctl_as("bob", &inside, &daemon, &seen)
    };
    let who = run_as("bob", &inside, &["sh", "-c", "id -u; echo $$"]);
    assert_eq!(said(&who), "0\n1\n", "root, and the first process: {who:?}");
    for refused in [
        &["show", "alice"][..],
        &["list"],
        &["status"],
        &["revoke", "alice"],
    ] {
        let told = as_bob(refused);
        assert_eq!(told.status.code(), Some(4), "{refused:?}: {told:?}");
    }
    let own = as_bob(&["show", "bob"]);
    assert!(own.status.success(), "{own:?}");
    let uid = Caller::user("bob").uid;
    let lines = daemon.logged(&["event=not_permitted ", &format!(" uid={uid} ")]);
    assert!(
        !lines.is_empty() && lines.iter().all(|line| !line.ends_with(" pid=1")),
        "{lines:?}"
    );
}

/// The kernel gives a pid again once its process is gone.
#[test]
fn a_process_that_has_the_pid_of_one_of_roots_has_its_own_rights() {
    let _place = world::enter_alone();
    let daemon = Daemon::start();
    daemon.enroll("alice");
    let mut tries = 0;
    let (root, own) = loop {
        tries += 1;
        assert!(tries < 50, "no pid was given again");
        let mut first = totpctl(&daemon, &["show", "alice"])
            .stdout(Stdio::null())
            .spawn()
            .expect("totpctl");
        let pid = first.id();
        let root = first.wait().expect("its end");
        // The next process of this namespace gets the number behind this one (proc(5)).
        fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).expect("its number");
        let mut second = totpctl(&daemon, &["show", "alice"]);
        let bob = Caller::user("bob");
        second
            .uid(bob.uid)
            .gid(bob.gid)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let second = second.spawn().expect("totpctl");
        let is_same = second.id() == pid;
        let own = second.wait_with_output().expect("its end");
        if is_same {
            break (root, own);
        }
    };
    assert!(root.success());
    assert_eq!(own.status.code(), Some(4), "{own:?}");
    assert!(own.stdout.is_empty(), "{own:?}");
}

/// Runs totpctl on the open socket as that user, behind the words of `before`.
fn totpctl_as(user: &str, before: &[&str], daemon: &Daemon, arguments: &[&str]) -> Output {
    let (program, socket) = (world::for_everyone("totpctl"), daemon.open_socket());
    let own = [&program, &socket].map(|path| path.to_str().expect("a path").to_owned());
    let own = [own[0].as_str(), "--socket", own[1].as_str()];
    run_as(user, before, &[&own[..], arguments].concat())
}

fn run_as(user: &str, before: &[&str], command: &[&str]) -> Output {
    let mut setpriv = Command::new("setpriv");
    setpriv.args(["--reuid", user, "--regid", user, "--clear-groups", "--"]);
    setpriv
        .args(before)
        .args(command)
        .output()
        .expect("setpriv")
}

fn totpctl(daemon: &Daemon, arguments: &[&str]) -> Command {
    let mut totpctl = Command::new(world::for_everyone("totpctl"));
    totpctl
        .arg("--socket")
        .arg(daemon.open_socket())
        .args(arguments);
    totpctl
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
