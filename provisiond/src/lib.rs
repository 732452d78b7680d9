//! The daemon: it alone owns the keys and gives the verdict.
//!
//! # A login, from room to room
//!
//! ```text
//! server     a connection and its permit → one message → dispatch
//! identity   the kernel's credentials → a caller with a role → what the role permits → whose record the call means
//! login      what is trusted of the caller's report → exempt? → judge → effects → the reply
//! policy     record + answer + time → verdict + next record      (pure; called under the user's lock)
//! records    load → decide → replace, one call at a time for each user
//! store      durable before anything is answered: one committer thread, sled, our own fdatasync
//! in_memory  what a restart may forget: graces, refunds, limits of sources and callers
//! audit      a line for the log, an event for `totpctl log`
//! ```
//!
//! # The rooms
//!
//! A room uses the rooms of the lines below its own and none above or beside it. `tests/rooms.rs`
//! reads the `use` lines and keeps it so.
//!
//! | room | what it does | what it refuses to know |
//! |---|---|---|
//! | `process` | from the command line to the exit code: privileges, sockets, signals | what a call is |
//! | `relay` | on a login host of a fleet: passes the calls of logins on to verifiers, and keeps what two codes are judged by while none can be reached | records |
//! | `server` | connections in, replies out, deadlines, the table from method to handler | records, verdicts |
//! | `login` | the calls Challenge and Verify | connections |
//! | `admin` | what administrators and users see and change of records | connections |
//! | `enrolment` | a user's devices and codes: made, proven, confirmed, replaced | connections |
//! | `service` | what every handler has at hand: a call, the settings, the log, one way to change a record | methods |
//! | `identity` | callers, roles, permissions, the name service | records |
//! | `records` | reads and changes records, one call at a time for each user | verdicts |
//! | `in_memory` | bounded tables that a restart empties: rate limits, graces, refunds | records, the store |
//! | `audit` | lines of the log, events, measured clock skew | calls |
//! | `policy` | the verdict: window, price of a guess, quarantine, issued codes. Pure | clocks, stores, logs |
//! | `store` | bytes made durable: sled, the committer, the marker | what the bytes mean |
//! | `record` | the record of one user: devices, guess budget, drift, spent steps, codes. Pure | clocks, stores, logs |
//! | `clock` | the time of a call; clock jumps and boots, and the doubts that lead to a quarantine | users |

#![deny(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        reason = "a test that overflows fails, which is what it should do"
    )
)]

// Public are those that the crate's own tests use.
mod admin;
pub mod audit;
pub mod clock;
mod enrolment;
pub mod identity;
pub mod in_memory;
mod login;
pub mod policy;
pub mod process;
pub mod record;
pub mod records;
#[cfg(feature = "fleet")]
mod relay;
pub mod server;
pub mod service;
pub mod store;
