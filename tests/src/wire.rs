//! The socket without our own client: JSON as written in the interface file, also as another user.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::lines::PATIENCE;
use crate::world;

/// Calls `method` (without the interface's name) once, as root.
///
/// # Errors
/// The error reply's short name and its parameters.
pub fn call(socket: &Path, method: &str, parameters: &Value) -> Result<Value, (String, Value)> {
    let stream =
        UnixStream::connect(socket).unwrap_or_else(|e| panic!("{}: {e}", socket.display()));
    parse(&exchange(stream, &request(method, parameters)))
}

/// The same of a daemon that may be dead, or dies meanwhile: nothing if there is no reply.
pub fn call_if_alive(
    socket: &Path,
    method: &str,
    parameters: &Value,
) -> Option<Result<Value, (String, Value)>> {
    let stream = UnixStream::connect(socket).ok()?;
    let answer = exchange(stream, &request(method, parameters));
    answer.contains(&0).then(|| parse(&answer))
}

/// Calls `method` once, in a process of another user.
///
/// # Errors
/// As [`call`], and `("connect", why)` when the socket is closed to that user.
pub fn call_as(
    caller: &Caller,
    socket: &Path,
    method: &str,
    parameters: &Value,
) -> Result<Value, (String, Value)> {
    let mut worker = Command::new(world::built("login-worker"))
        .args([
            "call",
            &caller.uid.to_string(),
            &caller.gid.to_string(),
            &caller.groups(),
        ])
        .arg(socket)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the worker");
    worker
        .stdin
        .take()
        .expect("its input")
        .write_all(&request(method, parameters))
        .expect("a request");
    let output = worker.wait_with_output().expect("its answer");
    match String::from_utf8_lossy(&output.stdout).strip_prefix("cannot connect: ") {
        Some(why) => Err(("connect".into(), why.trim().into())),
        None => parse(&output.stdout),
    }
}

/// Sends raw bytes, closes our half, and returns what comes back until the other side closes.
#[must_use]
pub fn exchange(mut stream: UnixStream, bytes: &[u8]) -> Vec<u8> {
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut answer = Vec::new();
    // The other side may close before it has read everything.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let _ = stream.read_to_end(&mut answer);
    answer
}

/// A call as it travels, with its NUL.
#[must_use]
pub fn request(method: &str, parameters: &Value) -> Vec<u8> {
    let method = if method.contains('.') {
        method.to_owned()
    } else {
        format!("{}.{method}", common::wire::protocol::NAME)
    };
    let mut bytes = json!({ "method": method, "parameters": parameters })
        .to_string()
        .into_bytes();
    bytes.push(0);
    bytes
}

/// A call that wants several replies.
#[must_use]
pub fn request_more(method: &str, parameters: &Value) -> Vec<u8> {
    let mut call = request(method, parameters);
    call.splice(1..1, *b"\"more\":true,");
    call
}

/// Reads one reply.
///
/// # Errors
/// The error reply's short name and its parameters.
///
/// # Panics
/// When it is no reply.
pub fn parse(answer: &[u8]) -> Result<Value, (String, Value)> {
    let text = answer.split(|byte| *byte == 0).next().unwrap_or_default();
    let reply: Value = serde_json::from_slice(text)
        .unwrap_or_else(|e| panic!("no reply ({e}): {:?}", String::from_utf8_lossy(answer)));
    let parameters = reply["parameters"].clone();
    match reply["error"].as_str() {
        Some(name) => Err((
            name.rsplit('.').next().unwrap_or(name).to_owned(),
            parameters,
        )),
        None => Ok(parameters),
    }
}

/// The credentials of a process that calls the daemon.
#[derive(Clone, Debug)]
pub struct Caller {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Further groups.
    pub groups: Vec<u32>,
}

impl Caller {
    /// A user of the world, in the groups that the account database says.
    #[must_use]
    pub fn user(name: &str) -> Self {
        let user = world::user(name);
        let name = std::ffi::CString::new(name).expect("a name");
        let groups = nix::unistd::getgrouplist(&name, user.gid).expect("groups");
        Self {
            uid: user.uid.as_raw(),
            gid: user.gid.as_raw(),
            groups: groups.into_iter().map(|group| group.as_raw()).collect(),
        }
    }

    /// A number that may have no name.
    #[must_use]
    pub fn number(uid: u32) -> Self {
        Self {
            uid,
            gid: uid,
            groups: Vec::new(),
        }
    }

    fn groups(&self) -> String {
        self.groups
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(",")
    }
}
