//! What the kernel tells every process of other people's Unix sockets (sock_diag(7), which `ss -x`
//! shows): their names, and how many bytes wait in each.
//!
//! [`waiting`] asks as `nobody`, in a process of its own.

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};

use crate::lines::PATIENCE;
use crate::world;

/// The direction in which something waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The server has not read it yet.
    Call,
    /// The client has not read it yet.
    Reply,
}

/// How much `nobody` sees waiting at a server's socket, as soon as something waits there: one line
/// for each connection.
///
/// # Panics
/// When nothing waits there in time.
#[must_use]
pub fn waiting(path: &Path, way: Way) -> Vec<String> {
    let uid = world::user("nobody").uid.to_string();
    let mut stranger = Command::new(world::for_everyone("stranger"));
    stranger.args(["queues", &uid, &format!("{way:?}")]);
    let output = stranger.arg(path).output().expect("a stranger");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("lines");
    text.lines().map(str::to_owned).collect()
}

/// The same, as the user that this process runs as.
///
/// # Panics
/// When nothing waits there in time.
#[must_use]
pub fn see(path: &Path, way: Way) -> Vec<String> {
    let begun = Instant::now();
    loop {
        let seen = look(path, way);
        if !seen.is_empty() {
            return seen;
        }
        assert!(begun.elapsed() < PATIENCE, "nothing waits");
        std::thread::yield_now();
    }
}

fn look(path: &Path, way: Way) -> Vec<String> {
    let all = sockets();
    let of_server = all.values().filter(|socket| {
        socket.state == ESTABLISHED && socket.name == path.as_os_str().as_encoded_bytes()
    });
    let lines = of_server.filter_map(|server| {
        let client = all.get(&server.peer)?;
        let waits = match way {
            Way::Call => server,
            Way::Reply => client,
        };
        let told = format!(
            "{} wait; memory of the client's {}, of the server's {}",
            waits.unread, client.sent, server.sent
        );
        (waits.unread > 0).then_some(told)
    });
    lines.collect()
}

/// A Unix socket, as far as every process may know it.
#[derive(Default)]
struct Seen {
    state: u8,
    name: Vec<u8>,
    peer: u32,
    unread: u32,
    sent: u32,
}

/// All Unix sockets of this machine, by their inodes.
fn sockets() -> BTreeMap<u32, Seen> {
    let kernel = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkSockDiag,
    )
    .expect("a netlink socket");
    send(kernel.as_raw_fd(), &request(), MsgFlags::empty()).expect("a request");
    let mut all = BTreeMap::new();
    while take_some(&kernel, &mut all) {}
    all
}

/// A `struct nlmsghdr` and a `struct unix_diag_req`: all sockets in all states.
fn request() -> Vec<u8> {
    let numbers = |numbers: &[u32]| {
        numbers
            .iter()
            .flat_map(|n| n.to_ne_bytes())
            .collect::<Vec<_>>()
    };
    let kind = [
        SOCK_DIAG_BY_FAMILY.to_ne_bytes(),
        REQUEST_DUMP.to_ne_bytes(),
    ]
    .concat();
    let family = [AddressFamily::Unix as u8, 0, 0, 0];
    let (all_states, shown) = (u32::MAX, SHOW_NAME | SHOW_PEER | SHOW_QUEUES);
    let body = [&family[..], &numbers(&[all_states, 0, shown, 0, 0])].concat();
    let length = u32::try_from(HEADER + body.len()).expect("a short request");
    [numbers(&[length]), kind, numbers(&[0, 0]), body].concat()
}

/// Takes some messages over. Returns whether more follow.
fn take_some(kernel: &OwnedFd, all: &mut BTreeMap<u32, Seen>) -> bool {
    let mut bytes = vec![0; 64 * 1024];
    let came = recv(kernel.as_raw_fd(), &mut bytes, MsgFlags::empty()).expect("an answer");
    bytes.truncate(came);
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        let (message, after) = split(rest, number(rest, 0));
        match u16::from_ne_bytes([message[4], message[5]]) {
            SOCK_DIAG_BY_FAMILY => {
                drop(all.insert(number(message, HEADER + 4), seen(&message[HEADER..])))
            }
            END_OF_DUMP => return false,
            other => panic!("the kernel answers with {other}: {message:?}"),
        }
        rest = after;
    }
    true
}

/// A `struct unix_diag_msg` and its attributes.
fn seen(message: &[u8]) -> Seen {
    let mut seen = Seen {
        state: message[2],
        ..Seen::default()
    };
    let mut attributes = &message[16..];
    while !attributes.is_empty() {
        let [length, kind] =
            [0, 2].map(|at| u16::from_ne_bytes([attributes[at], attributes[at + 1]]));
        let (attribute, after) = split(attributes, length.into());
        let value = &attribute[4..];
        match kind {
            NAME => seen.name = value.strip_suffix(b"\0").unwrap_or(value).to_vec(),
            PEER => seen.peer = number(value, 0),
            QUEUES => (seen.unread, seen.sent) = (number(value, 0), number(value, 4)),
            _ => {}
        }
        attributes = after;
    }
    seen
}

/// The first `length` bytes, and what follows them at the next multiple of four.
fn split(bytes: &[u8], length: u32) -> (&[u8], &[u8]) {
    let length = usize::try_from(length).expect("a length");
    let next = length.next_multiple_of(4).min(bytes.len());
    (&bytes[..length], &bytes[next..])
}

fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

// linux/netlink.h, linux/sock_diag.h, linux/unix_diag.h.
const HEADER: usize = 16;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const REQUEST_DUMP: u16 = 0x301;
const END_OF_DUMP: u16 = 3;
const SHOW_NAME: u32 = 1;
const SHOW_PEER: u32 = 4;
const SHOW_QUEUES: u32 = 16;
const NAME: u16 = 0;
const PEER: u16 = 2;
const QUEUES: u16 = 4;
/// TCP_ESTABLISHED.
const ESTABLISHED: u8 = 1;
