//! Memory: the daemon serves many users in 64 MiB; when other programs have taken all memory, the kernel
//! kills it in the middle of logins, and what it has acknowledged holds after the next start.

use std::os::unix::process::ExitStatusExt;

use nix::sys::signal::Signal;
use serde_json::json;
use tests::daemon::Setup;
use tests::libpam::PamCode;
use tests::memory_group::MemoryGroup;
use tests::stack::Stack;
use tests::world;

const LIMIT: u64 = 64 << 20;

#[test]
fn a_daemon_that_the_kernel_kills_for_want_of_memory_forgets_nothing_that_it_has_acknowledged() {
    let _place = world::enter_alone();
    let group = MemoryGroup::new(LIMIT);
    let mut setup = Setup::new();
    setup.group = Some(group.door());
    let mut daemon = setup.start();
    let stack = Stack::of(&daemon, "short-of-memory", "retry=1");
    let mut refused = 0;
    for round in 0..3 {
        // The first that the kernel kills.
        let score = format!("/proc/{}/oom_score_adj", daemon.pid());
        std::fs::write(score, "1000").expect("its score");
        let users: Vec<String> = (0..40).map(|n| format!("user-{round}-{n}")).collect();
        let devices = daemon.enroll_many(&users);
        let before = group.kills();
        assert!(round > 0 || before == 0, "64 MiB are enough");
        let mut crowd = group.crowd();
        // Until the daemon is gone; a login that comes then is refused at once.
        let told = users.iter().zip(&devices).map(|(user, device)| {
            let (wrong, code) = (device.wrong(), device.code());
            let told = [&wrong, &code].map(|typed| stack.login(user, &[typed]).code);
            (user, code, told)
        });
        let told: Vec<_> = told.collect();
        assert_eq!(daemon.wait().signal(), Some(Signal::SIGKILL as i32));
        assert!(group.kills() > before, "by the kernel");
        let _ = crowd.kill();
        crowd.wait().expect("its end");
        daemon.start_again();
        for (user, code, [wrong, right]) in told {
            refused += usize::from(right == PamCode::AUTHINFO_UNAVAIL);
            assert!(
                [PamCode::SUCCESS, PamCode::AUTHINFO_UNAVAIL].contains(&right),
                "{right:?}"
            );
            let charged = u64::from(wrong == PamCode::AUTH_ERR);
            assert!(
                daemon.budget(user) <= 5 - charged,
                "{user}: a guess came back"
            );
            let again = stack.login(user, &[&code]).code;
            let is_new = again == PamCode::SUCCESS && right != PamCode::SUCCESS;
            assert!(is_new || again == PamCode::AUTH_ERR, "{user}: {again:?}");
        }
        let status = daemon.call("Status", &json!({})).expect("its state");
        let known = (round + 1) * users.len();
        let told = (&status["incomplete"], &status["users"]);
        assert_eq!(told, (&json!(false), &json!(known)), "{status}");
    }
    assert!(refused > 0, "no login met a daemon that was gone");
    let doubts = daemon.log.with(&["event=store_"]);
    assert!(doubts.is_empty(), "{doubts:?}");
}
