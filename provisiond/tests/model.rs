//! The daemon as it is shipped, against a model that is much simpler: random steps of logins,
//! typos, replays, clocks that are set, boots, restarts, stores that are put back, lost devices,
//! and what administrators do. No code opens two logins, no more guesses are judged than there are,
//! and every refusal of a code that a device shows has a reason.
//!
//! `model/reference.rs` holds what must be true of the users in `model/people.rs`. The other files
//! hold what happens. PAM_TOTP_MODEL_STEPS is how many steps, PAM_TOTP_SEED makes the same ones
//! come again.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that overflows or panics fails, which is what it should do"
)]

#[path = "model/accounts.rs"]
mod accounts;
#[path = "model/clocks.rs"]
mod clocks;
#[path = "model/devices.rs"]
mod devices;
#[path = "model/issued.rs"]
mod issued;
#[path = "model/logins.rs"]
mod logins;
#[path = "model/machine.rs"]
mod machine;
#[path = "model/meanwhile.rs"]
mod meanwhile;
#[path = "model/memory.rs"]
mod memory;
#[path = "model/people.rs"]
mod people;
#[path = "model/reach.rs"]
mod reach;
#[path = "model/reference.rs"]
mod reference;
#[path = "model/time.rs"]
mod time;
#[path = "model/world.rs"]
mod world;

use world::World;

#[test]
fn no_code_opens_twice_no_budget_is_exceeded_and_every_refusal_has_a_reason() {
    silence_the_log();
    let number = |variable: &str| {
        std::env::var(variable)
            .ok()
            .map(|text| text.parse::<u64>().unwrap())
    };
    let seed = number("PAM_TOTP_SEED").unwrap_or(1);
    let steps = number("PAM_TOTP_MODEL_STEPS").unwrap_or(20_000);
    println!("PAM_TOTP_SEED={seed} PAM_TOTP_MODEL_STEPS={steps}");
    let outcomes = World::new(seed).live_through(steps);
    println!("{outcomes:?}");
    for outcome in EXPECTED {
        assert!(
            outcomes.contains_key(*outcome),
            "none of {steps} steps came to '{outcome}'"
        );
    }
}

/// The log of a million logins is of no use. A failure is printed on standard output.
fn silence_the_log() {
    let nothing = std::fs::File::options()
        .write(true)
        .open("/dev/null")
        .unwrap();
    nix::unistd::dup2_stderr(&nothing).unwrap();
    std::panic::set_hook(Box::new(|failure| println!("{failure}")));
}

/// What has to come about, or the steps are not what they should be.
const EXPECTED: &[&str] = &[
    "accepted",
    "never enrolled",
    "no device that counts",
    "used",
    "in doubt",
    "budget",
    "counted elsewhere",
    "does not count",
    "a code of no device: accepted",
    "a code of no device: rejected",
    "a code of no device: refused",
    "a code of no device: disabled",
    "a proof was taken",
    "a proof was not taken",
    "exempt",
    "the clock is right",
    "resynchronised",
    "too far off",
    "unsure where it is",
    "out of reach",
    "too far",
    "too far after many wrong pairs",
    "guesses back, helpdesk true: done",
    "guesses back, helpdesk true: BadParameter",
    "guesses back, helpdesk true: PermissionDenied",
    "guesses back, helpdesk false: done",
    "lost everything and is back",
    "wrong codes came back",
    "no more comes back today",
    "wrong again",
    "a whole disk was put back",
    "a first login was lost",
    "a whole disk was put back",
    "a first login was lost",
];
