//! One login in a process of its own (`login-worker once`) to which something is done: strace makes
//! its system calls fail, or a preloaded library its allocations.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::libpam::PamCode;
use crate::stack::Stack;
use crate::world;

/// A login that has ended, one way or the other.
#[derive(Debug)]
pub struct Ended {
    /// What libpam returned, if the process lived to say so.
    pub code: Option<PamCode>,
    /// How the process ended. Under strace that is how strace ended, which repeats it.
    pub status: ExitStatus,
    /// Its standard error, and in between the system calls that strace saw.
    pub said: String,
    /// From the process's start to its end.
    pub took: Duration,
}

/// Logs in under strace with these arguments.
#[must_use]
pub fn traced(arguments: &[&str], stack: &Stack, user: &str, code: &str) -> Ended {
    let mut strace = Command::new("strace");
    strace
        .args(["--follow-forks", "--quiet=all", "--string-limit=256"])
        .args(arguments);
    strace.arg(world::built("login-worker"));
    logged_in(strace, stack, user, code)
}

/// Logs in with `library` preloaded, which finds `fail` in its environment.
#[must_use]
pub fn short_of_memory(library: &Path, fail: &str, stack: &Stack, user: &str, code: &str) -> Ended {
    let mut worker = Command::new(world::built("login-worker"));
    worker
        .env("LD_PRELOAD", library)
        .env("FAIL_ALLOCATION", fail);
    logged_in(worker, stack, user, code)
}

/// Logs in by a program that runs another, such as `prlimit`, with its own arguments.
#[must_use]
pub fn wrapped(mut command: Command, stack: &Stack, user: &str, code: &str) -> Ended {
    command.arg(world::built("login-worker"));
    logged_in(command, stack, user, code)
}

fn logged_in(mut command: Command, stack: &Stack, user: &str, code: &str) -> Ended {
    let begun = Instant::now();
    command
        .arg("once")
        .arg(stack.confdir())
        .args([stack.service(), user, code]);
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("a login");
    Ended {
        code: String::from_utf8_lossy(&stdout).lines().find_map(code_of),
        status,
        said: String::from_utf8_lossy(&stderr).into_owned(),
        took: begun.elapsed(),
    }
}

fn code_of(line: &str) -> Option<PamCode> {
    let event: Value = serde_json::from_str(line).expect("an event");
    event["code"]
        .as_i64()
        .map(|code| PamCode(i32::try_from(code).expect("a PAM code")))
}

/// A system call as strace writes it: its name, and the rest of its line.
pub type SystemCall<'a> = (&'a str, &'a str);

/// The system calls of a traced login before libpam's calls began, and those from there to their
/// end.
///
/// # Panics
/// When strace saw no beginning and no end.
#[must_use]
pub fn before_and_during(said: &str) -> (Vec<SystemCall<'_>>, Vec<SystemCall<'_>>) {
    let mut calls: Vec<_> = said
        .lines()
        .filter_map(|line| line.split_once('('))
        .collect();
    let at = |calls: &[SystemCall<'_>], moment: &str| {
        let is_it = |(name, rest): &SystemCall<'_>| *name == "write" && rest.contains(moment);
        calls
            .iter()
            .position(is_it)
            .unwrap_or_else(|| panic!("no {moment}:\n{said}"))
    };
    let end = at(&calls, "End");
    calls.truncate(end);
    let begin = at(&calls, "Begin");
    let during = calls.split_off(begin + 1);
    (calls, during)
}

/// Compiles a C source into a library that can be preloaded, or is a module of the name service.
#[must_use]
pub fn library(name: &str, source: &str) -> PathBuf {
    let library = format!("{name}.so.2");
    compiled(name, &library, source, &["-shared", "-fPIC"], &[])
}

/// Compiles a C source into a program that uses libpam.
#[must_use]
pub fn program(name: &str, source: &str) -> PathBuf {
    compiled(name, name, source, &["-g", "-pthread"], &["-lpam"])
}

fn compiled(
    folder: &str,
    name: &str,
    source: &str,
    options: &[&str],
    libraries: &[&str],
) -> PathBuf {
    let folder = world::scratch_folder(folder);
    let (text, made) = (folder.join("source.c"), folder.join(name));
    std::fs::write(&text, source).expect("a source");
    let path = |path: &Path| path.to_str().expect("a path in UTF-8").to_owned();
    let (text, to) = (path(&text), path(&made));
    world::run(
        "cc",
        &[
            &["-O1", "-Wall", "-Werror"],
            options,
            &["-o", &to, &text],
            libraries,
        ]
        .concat(),
    );
    made
}
