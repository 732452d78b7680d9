//! Load: a thousand silent clients and a flood at once, again and again, or few descriptors. Root logs in
//! all the while, and the daemon's memory stays what it was.

use std::fs;
use std::os::unix::net::UnixStream;

use serde_json::json;
use tests::daemon::{Daemon, Setup};
use tests::libpam::PamCode;
use tests::memory_group::MemoryGroup;
use tests::stack::Stack;
use tests::stranger::{Crowd, Flood, connect_as};
use tests::wire::Caller;
use tests::world;

use crate::meanwhile::{wait_until, while_people_log_in};

#[test]
fn a_thousand_silent_clients_and_a_flood_leave_root_its_logins_and_the_daemon_its_memory() {
    let _place = world::enter_alone();
    let group = MemoryGroup::new(64 << 20);
    let mut setup = Setup::new();
    setup.group = Some(group.door());
    let daemon = setup.start();
    let users: Vec<String> = (0..63).map(|n| format!("silent-{n}")).collect();
    world::make_accounts(&users);
    let socket = daemon.open_socket();
    let call = json!({ "user": "alice" });
    let mut memory = Vec::new();
    for _ in 0..4 {
        while_people_log_in(&daemon, || {
            let _flood = Flood::begin((4_500_000, 3000), 64, &socket, ("Show", &call));
            let gather = |user: &String| Crowd::gather(Caller::user(user).uid, 16, &socket);
            let crowds: Vec<Crowd> = users.iter().map(gather).collect();
            let answered = crowds.iter().map(Crowd::outcome);
            let answered = answered.map(|told| told.served + told.busy + told.closed);
            assert_eq!(answered.sum::<usize>(), 1008);
        });
        wait_until(|| connections(&daemon) <= 4, "the crowd to be forgotten");
        memory.push(memory_of(daemon.pid()));
    }
    assert_eq!(group.kills(), 0, "64 MiB are enough");
    let (first, last) = (memory[0], memory[memory.len() - 1]);
    assert!(last <= first + (4 << 10), "it grows: {memory:?} KiB");
}

#[test]
fn with_64_descriptors_silent_clients_take_root_no_login() {
    let _place = world::enter();
    let mut setup = Setup::new();
    setup.descriptors = Some(64);
    let daemon = setup.start();
    let users: Vec<String> = (0..5).map(|n| format!("user-{n}")).collect();
    let devices = daemon.enroll_many(&users);
    let stack = Stack::of(&daemon, "few-descriptors", "retry=1");
    let bob = Caller::user("bob").uid;
    for (user, device) in users.iter().zip(&devices) {
        let silent = |_| connect_as(bob, &daemon.open_socket());
        let silent: Vec<UnixStream> = (0..40).map(silent).collect();
        let login = stack.login(user, &[&device.code()]);
        assert_eq!(login.code, PamCode::SUCCESS, "{user}");
        drop(silent);
    }
    assert!(daemon.log.with(&["event=store_failed"]).is_empty());
}

fn connections(daemon: &Daemon) -> u64 {
    let status = daemon.call("Status", &json!({})).expect("a status");
    status["connections"].as_u64().expect("a number")
}

/// What the process has for itself, in KiB.
fn memory_of(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number
        .and_then(|number| number.parse().ok())
        .expect("a number")
}
