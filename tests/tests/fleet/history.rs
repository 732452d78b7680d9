//! What happened, as the checker of histories reads it.

use std::time::{SystemTime, UNIX_EPOCH};

use tests::libpam::PamCode;
use tests::linear::Operation;
use tests::linear::logins::Told;
use tests::worker::Outcome;

/// Nanoseconds, on the clock of the login processes.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let since = since.expect("a clock after 1970").as_nanos();
    u64::try_from(since).expect("a clock of our age")
}

/// A login by the code of that step. Neither let in nor refused by a verdict, it is in doubt: the code
/// may be spent, or may be so later.
pub(crate) fn attempt(outcome: &Outcome, device: u32, step: u64) -> Operation<Told> {
    let (call, ended) = match outcome.code {
        PamCode::SUCCESS => (Told::Accepted(device, step), Some(outcome.returned)),
        PamCode::AUTH_ERR => (Told::Refused(device, step), Some(outcome.returned)),
        _ => (Told::Accepted(device, step), None),
    };
    Operation {
        call,
        begun: outcome.released,
        ended,
    }
}
