//! A login host that reaches no verifier: with `when-cut-off: two-codes` and a copy of the verifier's, two
//! codes open a login, once.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};

use common::secret::Key;
use nix::sys::signal::Signal;
use serde_json::json;
use tests::clocks::Clocks;
use tests::daemon::{Daemon, Setup};
use tests::fleet::{Authority, Tls, listening_at, relay, relay_to, verifier};
use tests::libpam::PamCode;
use tests::network::Network;
use tests::oathtool::Authenticator;
use tests::race::{Race, successes};
use tests::stack::{Login, Stack};
use tests::strace::Strace;
use tests::world;

use crate::memory::places;

const HOSTS: &str = "{web: {names: ['*.web.test'], services: [sshd, sudo], users-groups: [alice, carol], \
                     offline-copy: true}}";
const HOSTS_WITHOUT: &str =
    "{web: {names: ['*.web.test'], services: [sshd], users-groups: [alice]}}";
/// Seconds of a time step.
const STEP: i64 = 30;

/// A verifier, a relay that goes on alone, and the clocks of both.
struct Site {
    clocks: Clocks,
    verifier: Daemon,
    relay: Daemon,
    alice: Authenticator,
    tls: Tls,
}

impl Site {
    fn start() -> Self {
        let (authority, clocks) = (Authority::new(), Clocks::new());
        let (setup, port) = verifier(&authority.verifier(), HOSTS);
        let verifier = clocks.of(setup).start();
        let alice = verifier.enroll("alice");
        let tls = authority.host("web1.web.test");
        let relay = clocks.of(two_codes(relay(&tls, &[port]))).start();
        relay.log.wait_for(&["event=verifier_reached"]);
        Self {
            clocks,
            verifier,
            relay,
            alice,
            tls,
        }
    }

    /// The same after a login of alice's, once the host has a copy, and after the verifier has ended.
    fn cut_off() -> Self {
        let mut site = Self::start();
        site.gets_copy("alice", &site.alice.clone());
        site.verifier.kill();
        site.clocks.pass(10 * STEP);
        site
    }

    fn gets_copy(&self, user: &str, device: &Authenticator) {
        let code = device.code_when(self.clocks.now());
        assert_eq!(self.login(user, &code).code, PamCode::SUCCESS);
        self.relay.log.wait_for(&["event=offline_copy ", user]);
    }

    fn login(&self, user: &str, typed: &str) -> Login {
        Stack::of(&self.relay, "sshd", "retry=1").login(user, &[typed])
    }

    /// The code so many steps from now.
    fn code(&self, steps: i64) -> String {
        self.alice.code_when(self.clocks.now() + steps * STEP)
    }

    /// The pair whose first code is shown so many steps from now.
    fn pair(&self, steps: i64) -> String {
        format!("{} {}", self.code(steps), self.code(steps + 1))
    }

    fn is_let_in(&self, typed: &str) -> bool {
        self.login("alice", typed).code == PamCode::SUCCESS
    }

    /// The one file of a user.
    fn file(&self) -> PathBuf {
        let folder = fs::read_dir(self.relay.setup.state.join("offline"));
        let mut files: Vec<_> = folder
            .expect("the folder")
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| fs::read(path).is_ok_and(|bytes| bytes.len() > 1000))
            .collect();
        assert_eq!(files.len(), 1, "{files:?}");
        files.remove(0)
    }
}

#[test]
fn two_codes_open_one_login_at_a_host_that_is_cut_off_and_none_after_it() {
    let _place = world::enter();
    let mut site = Site::cut_off();
    let pair = site.pair(0);
    for typed in [site.code(0), site.code(1)] {
        let login = site.login("alice", &typed);
        assert_eq!(login.code, PamCode::AUTH_ERR, "one code is not enough");
        let prompt = login.prompts().concat();
        assert!(prompt.contains("and the next)"), "{prompt}");
    }
    assert!(
        !site.is_let_in(&site.pair(1)),
        "no pair begins at an odd step"
    );
    assert!(site.is_let_in(&pair));
    let line = site.relay.log.wait_for(&[
        "event=relayed user=alice service=sshd verdict=accepted alone=true role=root uid=0 ",
    ]);
    assert!(!line.contains("server="), "{line}");
    assert!(!site.is_let_in(&pair), "a replay");
    site.clocks.pass(2 * STEP);
    let overlapping = format!("{} {}", site.code(-1), site.code(0));
    assert!(!site.is_let_in(&overlapping), "one of its codes is used");
    assert!(
        site.is_let_in(&site.pair(0)),
        "the next pair is another one"
    );
    site.relay.log.wait_for(&["event=cut_off"]);

    // The verifier hears of it, and takes none of these codes.
    let used = [site.code(0), site.code(1)];
    site.verifier.start_again();
    site.verifier.log.wait_for(&[
        "event=spent_offline user=alice device=",
        "host=web1.web.test",
    ]);
    site.relay.log.wait_for(&["event=cut_off_ended"]);
    let here = Stack::of(&site.verifier, "sshd", "retry=1");
    for code in &used {
        assert_eq!(here.login("alice", &[code]).code, PamCode::AUTH_ERR);
        site.verifier.audited("alice", "already_used");
    }
    assert!(!site.is_let_in(&used.join(" ")));
    site.clocks.pass(2 * STEP);
    assert!(site.is_let_in(&site.code(0)), "one code is enough again");
}

#[test]
fn a_user_that_the_host_has_no_copy_of_sees_and_hears_the_same() {
    let _place = world::enter();
    let site = Site::cut_off();
    let wrong = "000000 000001";
    let [alice, carol, nobody] =
        ["alice", "carol", "no-such-user"].map(|user| site.login(user, wrong));
    assert_eq!(alice.code, PamCode::AUTH_ERR);
    for other in [carol, nobody] {
        assert_eq!(other.code, alice.code);
        assert_eq!(other.prompts(), alice.prompts());
        assert_eq!(other.told(), alice.told());
    }
    site.relay.log.wait_for(&[
        "event=relayed user=carol service=sshd verdict=rejected reason=no_offline_copy alone=true",
    ]);
    // What the host's rule does not name is refused alone, too.
    let su = Stack::of(&site.relay, "su", "retry=1");
    assert_eq!(su.login("alice", &[&site.pair(0)]).code, PamCode::AUTH_ERR);
    assert!(site.is_let_in(&site.pair(0)));
}

#[test]
fn a_used_pair_stays_used_over_restarts_and_when_the_clock_is_set_back() {
    let _place = world::enter();
    let mut site = Site::cut_off();
    let pair = site.pair(0);
    assert!(site.is_let_in(&pair));
    site.relay.kill();
    site.relay.start_again();
    assert!(!site.is_let_in(&pair), "after kill -9");
    assert!(site.relay.terminate().success());
    site.relay.start_again();
    assert!(!site.is_let_in(&pair), "after a restart");
    site.clocks.pass(4 * STEP);
    assert!(site.is_let_in(&site.pair(0)));
    let unused = site.pair(-2);
    site.clocks.set_by(-2 * STEP);
    for earlier in [pair, unused] {
        assert!(!site.is_let_in(&earlier), "the clock was set back");
    }
}

#[test]
fn a_pair_that_a_verifier_has_taken_opens_nothing_when_the_host_is_cut_off_then() {
    let _place = world::enter();
    let mut site = Site::start();
    site.gets_copy("alice", &site.alice.clone());
    site.clocks.pass(10 * STEP);
    let pair = site.pair(0);
    assert!(site.is_let_in(&pair));
    site.verifier.kill();
    assert!(!site.is_let_in(&pair));
    site.clocks.pass(12 * STEP);
    assert!(site.is_let_in(&site.pair(0)));
}

#[test]
fn a_verifier_that_is_back_hears_of_a_used_pair_before_it_judges_another_login_of_that_host() {
    let _place = world::enter();
    let mut site = Site::cut_off();
    let pair = site.pair(0);
    assert!(site.is_let_in(&pair));
    site.verifier.start_again();
    assert!(
        !site.is_let_in(&pair),
        "at once, before the thread has reported"
    );
    site.verifier
        .log
        .wait_for(&["event=spent_offline user=alice "]);
}

#[test]
fn a_host_that_is_killed_while_it_writes_lets_in_by_a_pair_once_at_most() {
    let _place = world::enter();
    let mut site = Site::cut_off();
    for call in ["write", "fsync", "rename", "renameat", "renameat2"] {
        let pair = site.pair(0);
        // The first write is another one's, such as a line of the log.
        let killer = Strace::attach(&site.relay, &format!("{call}:signal=SIGKILL"));
        let first = site.is_let_in(&pair);
        killer.abandon();
        let was_killed = site.relay.wait_if_killed();
        if was_killed {
            site.relay.start_again();
        }
        let logins = [first, site.is_let_in(&pair), site.is_let_in(&pair)];
        let count = logins.iter().filter(|is_in| **is_in).count();
        assert!(count <= 1, "{call}: {logins:?}");
        assert!(!first || !was_killed, "{call}: it answered before it wrote");
        site.clocks.pass(2 * STEP);
    }
    assert!(site.is_let_in(&site.pair(0)));
}

#[test]
fn of_two_logins_with_one_pair_at_once_one_succeeds() {
    let _place = world::enter_alone();
    let site = Site::cut_off();
    let stack = Stack::of(&site.relay, "sshd", "retry=1");
    let mut race = Race::new(&stack, 4);
    for round in 0..10 {
        let outcomes = race.round("alice", &site.pair(0));
        assert_eq!(successes(&outcomes), 1, "{round}: {outcomes:?}");
        site.clocks.pass(2 * STEP);
    }
}

#[test]
fn after_ten_wrong_pairs_no_pair_is_judged_for_an_hour_also_after_a_restart() {
    let _place = world::enter();
    let mut site = Site::cut_off();
    for _ in 0..10 {
        assert!(!site.is_let_in("000000 000001"));
    }
    assert!(!site.is_let_in(&site.pair(0)));
    site.relay
        .log
        .wait_for(&[" reason=too_many_pairs alone=true"]);
    site.relay.kill();
    site.relay.start_again();
    site.clocks.pass(30 * 60);
    assert!(!site.is_let_in(&site.pair(0)));
    site.clocks.pass(30 * 60);
    assert!(site.is_let_in(&site.pair(0)));
}

#[test]
fn a_damaged_copy_opens_nothing() {
    let _place = world::enter();
    let site = Site::cut_off();
    let (file, pair) = (site.file(), site.pair(0));
    let whole = fs::read(&file).expect("the copy");
    let try_with = |bytes: &[u8]| {
        fs::write(&file, bytes).expect("a file");
        fs::set_permissions(&file, Permissions::from_mode(0o644)).expect("chmod");
        site.is_let_in(&pair)
    };
    let step = (whole.len() / 20).max(1);
    for at in (0..whole.len()).step_by(step).chain([whole.len() - 1]) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        assert!(!try_with(&damaged), "the byte {at}");
        assert!(!file.exists(), "it is not looked at again");
    }
    for cut in [0, 1, whole.len() / 2, whole.len() - 1] {
        assert!(!try_with(&whole[..cut]), "{cut} bytes");
    }
    site.relay
        .log
        .wait_for(&["event=offline_copy_failed user=alice "]);
    assert!(try_with(&whole), "the whole one");
}

#[test]
fn the_copy_of_a_user_that_may_not_log_in_any_more_goes() {
    let _place = world::enter();
    let site = Site::start();
    let carol = site.verifier.enroll("carol");
    site.gets_copy("alice", &site.alice);
    site.gets_copy("carol", &carol);
    let disabled = site.verifier.totpctl(&["disable", "alice", "--all"], "");
    assert!(disabled.status.success(), "{disabled:?}");
    assert!(!site.is_let_in(&site.code(1)));
    site.relay
        .log
        .wait_for(&["event=offline_copy_removed user=alice"]);
    let status = site.relay.totpctl_json(&["status"], "");
    let known = json!({ "two_codes": true, "copies": 1, "refused": false });
    assert_eq!(status["offline"], known);
}

#[test]
fn without_the_setting_or_the_right_to_a_copy_a_login_that_is_cut_off_is_refused() {
    let _place = world::enter();
    let (authority, clocks) = (Authority::new(), Clocks::new());
    let (setup, port) = verifier(&authority.verifier(), HOSTS_WITHOUT);
    let mut judge = clocks.of(setup).start();
    let alice = judge.enroll("alice");
    let tls = authority.host("web1.web.test");
    let with_setting = clocks.of(two_codes(relay(&tls, &[port]))).start();
    let without = clocks.of(relay(&tls, &[port])).start();
    for relay in [&with_setting, &without] {
        relay.log.wait_for(&["event=verifier_reached"]);
    }
    let code = alice.code_when(clocks.now());
    assert_eq!(login(&with_setting, &code), PamCode::SUCCESS);
    with_setting.log.wait_for(&[
        "event=offline_copy_failed",
        "give this host no offline copies",
    ]);
    judge.log.wait_for(&[
        "event=not_permitted method=OfflineCopy user=alice host=web1.web.test ",
        "reason=no_offline_copy",
    ]);
    let status = with_setting.totpctl(&["status"], "");
    let said = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(said.contains("'offline-copy: true'"), "{said}");
    judge.kill();
    clocks.pass(10 * STEP);
    let pair = [0, STEP].map(|later| alice.code_when(clocks.now() + later));
    assert_eq!(login(&with_setting, &pair.join(" ")), PamCode::AUTH_ERR);
    assert_eq!(login(&without, &pair.join(" ")), PamCode::AUTHINFO_UNAVAIL);
    assert!(!without.setup.state.join("offline").exists());
}

#[test]
fn a_verifier_that_does_not_answer_or_refuses_the_host_is_not_out_of_reach() {
    let _place = world::enter();
    let mut site = Site::start();
    site.gets_copy("alice", &site.alice.clone());
    site.clocks.pass(10 * STEP);
    site.verifier.freeze();
    for _ in 0..3 {
        assert_eq!(
            site.login("alice", &site.pair(0)).code,
            PamCode::AUTHINFO_UNAVAIL
        );
    }
    site.verifier.thaw();
    site.relay.log.wait_for_many(2, &["event=verifier_reached"]);
    site.verifier.setup.settings += "    revoked: [web1.web.test]\n";
    site.verifier.setup.write();
    let reloaded = site.verifier.totpctl(&["reload"], "");
    assert!(reloaded.status.success(), "{reloaded:?}");
    for _ in 0..3 {
        assert!(!site.is_let_in(&site.pair(2)));
    }
    let alone = site.relay.log.with(&["event=relayed ", " alone=true"]);
    assert!(alone.is_empty(), "{alone:?}");
}

#[test]
fn a_host_whose_cable_is_pulled_goes_on_alone_and_reports_when_it_is_back() {
    let _place = world::enter();
    let (network, authority, clocks) = (Network::new(), Authority::new(), Clocks::new());
    let [judge, web] = [1, 2].map(|number| network.host(number));
    let address = format!("{}:6238", judge.address());
    let tls = authority.verifier_at(&judge.address());
    let mut setup = listening_at(Setup::new(), &address, &tls, HOSTS);
    setup.host = Some(judge);
    let verifier = clocks.of(setup).start();
    let alice = verifier.enroll("alice");
    let mut setup = two_codes(relay_to(&authority.host("web1.web.test"), &address));
    setup.host = Some(web.clone());
    let host = clocks.of(setup).start();
    host.log.wait_for(&["event=verifier_reached"]);
    let code = alice.code_when(clocks.now());
    assert_eq!(login(&host, &code), PamCode::SUCCESS);
    host.log.wait_for(&["event=offline_copy "]);
    web.cut_off();
    clocks.pass(10 * STEP);
    let pair = [0, STEP].map(|later| alice.code_when(clocks.now() + later));
    // The first login may still wait for a reply on a connection of before.
    let logins = [(); 3].map(|()| login(&host, &pair.join(" ")));
    let successes = logins.iter().filter(|code| **code == PamCode::SUCCESS);
    assert_eq!(successes.count(), 1, "{logins:?}");
    web.join();
    verifier.log.wait_for(&["event=spent_offline user=alice "]);
    assert_eq!(login(&host, &pair.join(" ")), PamCode::AUTH_ERR);
}

#[test]
fn with_the_setting_back_at_deny_the_copies_are_removed() {
    let _place = world::enter();
    let mut site = Site::cut_off();
    site.file();
    let settings = site.relay.setup.settings.clone();
    site.relay.setup.settings = settings.replace("two-codes", "deny");
    site.relay.setup.write();
    let reloaded = site.relay.totpctl(&["reload"], "");
    assert!(reloaded.status.success(), "{reloaded:?}");
    site.relay
        .log
        .wait_for(&["event=offline_copy_removed user=alice"]);
    assert_eq!(
        site.login("alice", &site.pair(0)).code,
        PamCode::AUTHINFO_UNAVAIL
    );
}

#[test]
fn a_host_that_can_go_on_alone_holds_no_key_and_no_code() {
    let _place = world::enter_alone();
    let site = Site::cut_off();
    assert!(site.is_let_in(&site.pair(0)));
    let key = Key::from_base32(&site.alice.key).expect("base32");
    let mut secrets = vec![key.expose().to_vec(), site.alice.key.clone().into_bytes()];
    // Codes that were not typed yet, as a pair and in the form in which they are hashed.
    for step in [2, 4, 6] {
        secrets.push(site.pair(step).into_bytes());
        secrets.push(site.pair(step).replace(' ', "").into_bytes());
    }
    let file = fs::read(site.file()).expect("the copy");
    for secret in &secrets {
        assert_eq!(places(site.relay.pid(), secret), 0);
        assert!(!file.windows(secret.len()).any(|part| part == &secret[..]));
    }
    assert!(places(site.relay.pid(), b"alice") > 0);
    let _ = &site.tls;
}

/// A relay that goes on alone.
fn two_codes(setup: Setup) -> Setup {
    let copies = setup.state.join("offline");
    let lines = format!(
        "    copies: {}\npolicy: {{when-cut-off: two-codes}}\n",
        copies.display()
    );
    setup.with(&lines)
}

fn login(relay: &Daemon, typed: &str) -> PamCode {
    let stack = Stack::of(relay, "sshd", "retry=1");
    stack.login("alice", &[typed]).code
}

/// Whether a daemon was killed.
trait Killed {
    fn wait_if_killed(&mut self) -> bool;
}

impl Killed for Daemon {
    fn wait_if_killed(&mut self) -> bool {
        let is_there = Path::new(&format!("/proc/{}/exe", self.pid())).exists();
        if is_there && self.totpctl(&["status"], "").status.success() {
            return false;
        }
        self.wait().signal() == Some(Signal::SIGKILL as i32)
    }
}
