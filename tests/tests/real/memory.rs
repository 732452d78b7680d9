//! The memory of the daemon and of the login: the processes that can read it, and the secrets that
//! lie in it.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};

use common::secret::Key;
use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tests::daemon::{Daemon, Setup, authenticator};
use tests::libpam::PamCode;
use tests::lines::Lines;
use tests::stack::Stack;
use tests::worker::{Gate, Worker};
use tests::world;

#[test]
fn nobody_but_root_reads_the_daemons_memory_and_a_crash_leaves_no_core() {
    let _place = world::enter();
    let mut daemon = Daemon::start();
    for user in [world::DAEMON, "alice"] {
        let mut reader = Command::new("setpriv");
        reader.args([
            "--reuid",
            user,
            "--regid",
            user,
            "--clear-groups",
            "--",
            "head",
            "-c",
            "1",
        ]);
        let output = reader
            .arg(format!("/proc/{}/mem", daemon.pid()))
            .output()
            .expect("setpriv");
        assert!(
            !output.status.success() && output.stdout.is_empty(),
            "{user}: {output:?}"
        );
        assert!(
            String::from_utf8_lossy(&output.stderr).contains("Permission denied"),
            "{user}: {output:?}"
        );
    }
    let limits = fs::read_to_string(format!("/proc/{}/limits", daemon.pid())).expect("its limits");
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .expect("the limit of core files");
    assert_eq!(
        core.split_whitespace().rev().take(3).collect::<Vec<_>>(),
        ["bytes", "0", "0"],
        "{limits}"
    );
    daemon.signal(Signal::SIGABRT);
    assert!(!daemon.wait().success());
}

#[test]
fn the_check_of_the_settings_is_hardened_like_the_daemon() {
    let _place = world::enter();
    let setup = Setup::new();
    setup.write();
    let check = setup.command();
    let traced = Command::new("strace")
        .args(["-e", "trace=prctl,setresuid,openat", "--"])
        .arg(check.get_program())
        .args(check.get_args())
        .arg("--check")
        .output()
        .expect("strace");
    let calls = String::from_utf8_lossy(&traced.stderr).into_owned();
    let at = |what: &str| {
        calls
            .rfind(what)
            .unwrap_or_else(|| panic!("no {what}: {calls}"))
    };
    let hardened = at("PR_SET_DUMPABLE, SUID_DUMP_DISABLE");
    assert!(at("setresuid(") < hardened, "{calls}");
    let named = setup.folder.join("secrets");
    let named = calls.find(named.to_str().expect("a path in UTF-8"));
    assert!(Some(hardened) < named, "{calls}");
    // What root's part reads, it reads after it was hardened, too.
    let first = calls.find("PR_SET_DUMPABLE, SUID_DUMP_DISABLE");
    assert!(first < calls.find("/etc/pam-totp/secrets"), "{calls}");
}

#[test]
fn the_daemons_memory_is_locked_and_where_the_system_forbids_it_the_log_says_so() {
    let _place = world::enter();
    let allowed = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY).is_ok();
    if !allowed {
        eprintln!(
            "root may not lift the limit of locked memory here (CAP_SYS_RESOURCE): only the warning is seen"
        );
    }
    let daemon = Daemon::start();
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("its status");
    let locked = status
        .lines()
        .find_map(|line| line.strip_prefix("VmLck:"))
        .expect("what is locked");
    let kilobytes: u64 = locked
        .split_whitespace()
        .next()
        .and_then(|number| number.parse().ok())
        .expect("a number");
    if !allowed {
        daemon.log.wait_for(&["event=memory_not_locked"]);
    }
    let warnings = daemon.logged(&["event=memory_not_locked"]).len();
    assert_eq!(
        (kilobytes > 1024, warnings),
        (allowed, usize::from(!allowed)),
        "{status}"
    );
    assert!(
        daemon.totpctl(&["status"], "").status.success(),
        "and it serves"
    );
}

/// The first line of all is one about memory that cannot be locked.
#[test]
fn where_the_log_is_json_every_line_is_an_object_from_the_first_on() {
    let _place = world::enter();
    let setup = Setup::new().with("audit: {format: json}\n");
    setup.write();
    let daemon = setup.command();
    let mut bound = Command::new("setpriv");
    bound.args([
        "--bounding-set",
        "-ipc_lock",
        "--",
        "prlimit",
        "--memlock=0",
        "--",
    ]);
    bound
        .arg(daemon.get_program())
        .args(daemon.get_args())
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = bound.spawn().expect("setpriv");
    let log = Lines::default();
    log.follow(child.stderr.take().expect("its standard error"));
    log.wait_for(&["started"]);
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).expect("a signal");
    assert!(child.wait().expect("its end").success());
    log.wait_for(&["stopped"]);
    let lines = log.text();
    let events: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    assert_eq!(events[0]["event"], "memory_not_locked", "{lines}");
}

#[test]
fn after_a_login_no_key_is_left_in_the_daemons_memory_nor_was_one_ever_in_the_logins() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let told = daemon
        .call("Enroll", &json!({ "user": "alice", "active": true }))
        .expect("a device");
    let text = told["key"].as_str().expect("its key").to_owned();
    let key = Key::from_base32(&text).expect("base32");
    let code = authenticator(&told).code();
    let (gate, stack) = (Gate::new(), Stack::of(&daemon, "memory", "retry=1"));
    let mut login = Worker::start(&stack, &gate);
    let _ = login.begin("alice");
    login.type_code(&code);
    assert_eq!(login.finish().code, PamCode::SUCCESS);
    for secret in [key.expose(), text.as_bytes()] {
        assert_eq!(
            places(daemon.pid(), secret),
            0,
            "of {} bytes, in the daemon",
            secret.len()
        );
        assert_eq!(
            places(login.pid(), secret),
            0,
            "of {} bytes, in the login",
            secret.len()
        );
    }
    assert!(
        places(daemon.pid(), b"an application secret of the tests") > 0,
        "what must be there is found"
    );
    assert!(
        places(login.pid(), b"alice") > 0,
        "what must be there is found"
    );
}

/// In how many places of a process's memory these bytes stand.
pub(crate) fn places(pid: u32, bytes: &[u8]) -> usize {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("its mappings");
    let memory = File::open(format!("/proc/{pid}/mem")).expect("its memory");
    let regions = maps.lines().filter_map(|line| {
        let mut fields = line.split_whitespace();
        let (range, access) = (fields.next()?, fields.next()?);
        let (from, to) = range.split_once('-')?;
        let (from, to) = (
            u64::from_str_radix(from, 16).ok()?,
            u64::from_str_radix(to, 16).ok()?,
        );
        access
            .starts_with("rw")
            .then_some((from, usize::try_from(to - from).ok()?))
    });
    regions
        .map(|(from, length)| {
            let mut region = vec![0; length];
            let read = memory.read_at(&mut region, from).unwrap_or(0);
            region[..read]
                .windows(bytes.len())
                .filter(|window| *window == bytes)
                .count()
        })
        .sum()
}
