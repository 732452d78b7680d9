//! Connections of other people. The kernel remembers the process that connected a socket, whichever
//! process uses it later (unix(7), SO_PEERCRED), so one process lends its uid and the tests keep
//! the connection: see `stranger.rs`.
//!
//!   stranger one UID SOCKET              connects standard input, which is a socket
//!   stranger crowd UID COUNT SOCKET      COUNT connections at once, each with one call, until standard input ends
//!   stranger queues UID Call|Reply SOCKET    what waits in the connections of others: see `queues.rs`
//!   stranger flood UID UIDS COUNT SOCKET METHOD PARAMETERS
//!                                        COUNT connections of UIDS uids from UID on that call again and again, and
//!                                        are opened anew when they are closed, until it is killed

#![forbid(unsafe_code)]

use std::io::{BufRead, BufReader, Read, Write, stdin, stdout};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{UnixAddr, connect};
use nix::unistd::{Gid, Uid, seteuid, setgroups, setresgid, setresuid};
use serde_json::json;
use tests::queues::{self, Way};
use tests::wire;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["one", uid, socket] => one(number(uid), Path::new(socket)),
        ["crowd", uid, count, socket] => crowd(number(uid), number(count), Path::new(socket)),
        ["queues", uid, way, socket] => queues(number(uid), way, Path::new(socket)),
        ["flood", uid, uids, count, socket, method, parameters] => {
            let parameters = serde_json::from_str(parameters).expect("parameters");
            let (first, uids) = (number(uid), number(uids));
            let call = wire::request(method, &parameters);
            flood((first, uids), number(count), Path::new(socket), &call);
        }
        _ => panic!("see the source for the usage"),
    }
}

fn one(uid: u32, socket: &Path) {
    become_user(uid);
    connect(
        stdin().as_raw_fd(),
        &UnixAddr::new(socket).expect("an address"),
    )
    .expect("a connection");
}

fn crowd(uid: u32, count: u32, socket: &Path) {
    become_user(uid);
    let all: Vec<UnixStream> = (0..count)
        .map(|_| UnixStream::connect(socket).expect("a connection"))
        .collect();
    let call = wire::request("org.varlink.service.GetInfo", &json!({}));
    // A connection that the daemon refused at once takes no call.
    all.iter()
        .for_each(|mut stream| drop(stream.write_all(&call)));
    let (mut served, mut busy, mut closed) = (0, 0, 0);
    for stream in &all {
        match answer(stream).as_str() {
            "" => closed += 1,
            text if text.contains("Busy") => busy += 1,
            _ => served += 1,
        }
    }
    let mut out = stdout().lock();
    writeln!(out, "served {served} busy {busy} closed {closed}")
        .and_then(|()| out.flush())
        .expect("the tests listen");
    let _ = stdin().read(&mut [0]);
}

fn queues(uid: u32, way: &str, socket: &Path) {
    become_user(uid);
    let way = [Way::Call, Way::Reply]
        .into_iter()
        .find(|known| format!("{known:?}") == way);
    for line in queues::see(socket, way.expect("a way")) {
        println!("{line}");
    }
}

fn flood((first, uids): (u32, u32), count: u32, socket: &Path, call: &[u8]) -> ! {
    let mut uid = (first..first + uids).cycle();
    let mut open = || {
        let uid = Uid::from_raw(uid.next().expect("a uid"));
        seteuid(uid).expect("another uid");
        let stream = UnixStream::connect(socket).expect("a connection");
        seteuid(Uid::from_raw(0)).expect("root again");
        stream.set_nonblocking(true).expect("a setting");
        // The daemon may have closed it already.
        let _ = (&stream).write_all(call);
        stream
    };
    let mut all: Vec<UnixStream> = (0..count).map(|_| open()).collect();
    let mut answers = 0;
    loop {
        let mut awaited: Vec<PollFd<'_>> = all
            .iter()
            .map(|stream| PollFd::new(stream.as_fd(), PollFlags::POLLIN))
            .collect();
        poll(&mut awaited, PollTimeout::NONE).expect("a wait");
        let ready: Vec<bool> = awaited.iter().map(|fd| fd.any() == Some(true)).collect();
        for (stream, _) in all.iter_mut().zip(ready).filter(|(_, ready)| *ready) {
            let mut some = [1; 0x10000];
            let goes_on = match stream.read(&mut some) {
                Ok(0) | Err(_) => false,
                Ok(_) if !some.contains(&0) => true,
                Ok(_) => {
                    answers += 1;
                    stream.write_all(call).is_ok()
                }
            };
            if !goes_on {
                *stream = open();
            }
        }
        if answers > 500 {
            println!("flooding");
            answers = i32::MIN;
        }
    }
}

/// One message, without its NUL; nothing if the connection ends before.
fn answer(stream: &UnixStream) -> String {
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a timeout");
    let mut text = Vec::new();
    let _ = BufReader::new(stream).read_until(0, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

fn become_user(uid: u32) {
    let (user, group) = (Uid::from_raw(uid), Gid::from_raw(uid));
    setgroups(&[]).expect("setgroups");
    setresgid(group, group, group).expect("setresgid");
    setresuid(user, user, user).expect("setresuid");
}

fn number(text: &str) -> u32 {
    text.parse().expect("a number")
}
