//! The unwinder that is linked into the module: a panic ends at the module's border, also beside
//! other unwinders, and loading the module leaves nothing behind.

use std::process::Command;

use tests::daemon::Daemon;
use tests::libpam::PamCode;
use tests::program::copy;
use tests::stack::{Stack, auth_line, module};
use tests::tracee::{library, program, wrapped};
use tests::world;

#[test]
fn a_panic_of_the_module_is_an_abort_in_a_program_of_c_and_one_line_in_the_log() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let code = daemon.enroll("alice").code();
    let stack = Stack::of(&daemon, "panic-in-c", "");
    let mut application = Command::new(program("panicking", include_str!("application.c")));
    application
        .env("LD_PRELOAD", broken_clock())
        .args(["plain".as_ref(), stack.confdir()])
        .args([stack.service(), "alice", &code, "alice", &code]);
    let output = application.output().expect("an application");
    let aborted = format!("alice: {}\n", PamCode::ABORT.0);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        aborted.repeat(2),
        "{output:?}"
    );
    assert!(output.stderr.is_empty(), "{output:?}");
    assert_eq!(panics("panic-in-c"), 2, "one for each login");
    let login = stack.login("alice", &[&code]);
    assert_eq!(login.code, PamCode::SUCCESS, "the code was not used up");
}

#[test]
fn two_modules_panic_in_one_process_each_with_its_own_unwinder() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let code = daemon.enroll("alice").code();
    let another = world::scratch_folder("another-module").join("pam_another.so");
    copy(&module(), &another);
    let line = auth_line(&daemon, "");
    let [ours, another] = [module(), another].map(|path| path.display().to_string());
    let both = format!("{line}{}", line.replace(&ours, &another));
    let stack = Stack::new("panic-twice", &both);
    // The worker is a Rust program: it has loaded libgcc_s.so.1, a third unwinder.
    let mut env = Command::new("env");
    env.arg(format!("LD_PRELOAD={}", broken_clock().display()));
    let ended = wrapped(env, &stack, "alice", &code);
    assert_eq!(ended.code, Some(PamCode::ABORT), "{ended:?}");
    assert_eq!(panics("panic-twice"), 2, "one of each module");
}

#[test]
fn ten_thousand_times_loaded_the_module_is_gone_and_leaves_no_memory_behind() {
    let _place = world::enter();
    let again = program("loaded-again", include_str!("loaded_again.c"));
    let again = again.to_str().expect("a path in UTF-8");
    let module = module();
    let output = world::run(again, &[module.to_str().expect("a path in UTF-8"), "10000"]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        told.starts_with("still loaded: no\nmore mappings: 0\n"),
        "{told}"
    );
    let pages = told
        .lines()
        .find_map(|line| line.strip_prefix("more pages: "));
    // A page a hundred rounds would be a hundred; the C library's own tables may grow by some.
    assert!(
        pages
            .and_then(|n| n.parse::<i64>().ok())
            .is_some_and(|n| n < 50),
        "{told}"
    );
}

/// Lines about a panic in the log of a service's logins.
fn panics(service: &str) -> usize {
    let wanted = [&*format!("({service}:auth)"), "panicked at"];
    world::syslog().wait_for(&wanted);
    world::syslog().with(&wanted).len()
}

fn broken_clock() -> std::path::PathBuf {
    library("broken-clock", include_str!("broken_clock.c"))
}
