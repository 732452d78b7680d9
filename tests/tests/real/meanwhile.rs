//! Logins during an attack: users log in, and none of them may notice it.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use tests::daemon::Daemon;
use tests::libpam::PamCode;
use tests::lines::PATIENCE;
use tests::stack::Stack;

/// Plays `attack` while users log in through the real module, one after the other. All of them must
/// get in, and none may have to wait.
pub(crate) fn while_people_log_in<T>(daemon: &Daemon, attack: impl FnOnce() -> T) -> T {
    let users: Vec<String> = (0..PEOPLE).map(|n| format!("calm-{n:03}")).collect();
    let people: Vec<_> = users.iter().zip(daemon.enroll_many(&users)).collect();
    let stack = Stack::of(daemon, "calm", "retry=1");
    let (attacking, over) = channel::<()>();
    std::thread::scope(|scope| {
        let logins = scope.spawn(move || {
            let mut count = 0;
            for (user, device) in people {
                for code in device.pair() {
                    let begun = Instant::now();
                    assert_eq!(
                        stack.login(user, &[&code]).code,
                        PamCode::SUCCESS,
                        "login {count}"
                    );
                    assert!(
                        begun.elapsed() < CALMLY,
                        "login {count} took {:?}",
                        begun.elapsed()
                    );
                    count += 1;
                    if over.recv_timeout(PAUSE) == Err(RecvTimeoutError::Disconnected) {
                        return count;
                    }
                }
            }
            panic!("the attack lasted longer than {count} logins");
        });
        let outcome = attack();
        drop(attacking);
        let count = logins
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        assert!(count > 0);
        outcome
    })
}

/// Looks again and again.
pub(crate) fn wait_until(mut reached: impl FnMut() -> bool, what: &str) {
    let begun = Instant::now();
    while !reached() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::yield_now();
    }
}

/// What the daemon promises: how long a message may take, and how long the unprivileged and root may
/// be silent.
pub(crate) const MESSAGE: Duration = Duration::from_secs(2);
pub(crate) const IDLE: Duration = Duration::from_secs(2);
pub(crate) const IDLE_ROOT: Duration = Duration::from_secs(30);
/// Room for a slow machine.
pub(crate) const SLACK: Duration = Duration::from_secs(2);
/// The pause of a slow attacker between two calls, and of a user between two logins.
pub(crate) const PAUSE: Duration = Duration::from_millis(50);
/// Users that log in, twice each, and the longest that one of them waits.
const PEOPLE: usize = 120;
const CALMLY: Duration = Duration::from_secs(2);
