//! The daemon: it alone owns the keys and gives the verdict.

#![deny(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, which is what it should do")
)]

pub mod accounts;
pub mod admin;
pub mod aftermath;
pub mod audit;
mod bound;
pub mod caller;
pub mod clock;
pub mod codes;
pub mod commit;
pub mod counter;
pub mod decoy;
pub mod devices;
pub mod dispatch;
pub mod drift;
pub mod enroll;
pub mod events;
pub mod exemption;
mod first_login;
pub mod grace;
pub mod judging;
#[expect(unsafe_code, reason = "no safe wrapper of adjtimex(2) is known")]
pub mod kernel;
mod listing;
pub mod memory;
pub mod migrate;
pub mod named;
pub mod names;
pub mod new_device;
pub mod patience;
pub mod permission;
pub mod places;
pub mod policy;
pub mod proof;
pub mod quota;
pub mod record;
pub mod records;
pub mod recovery;
pub mod refunded;
pub mod refunds;
pub mod repeats;
pub mod restriction;
pub mod resync;
pub mod rules;
pub mod run;
pub mod server;
pub mod service;
pub mod skew;
pub mod source;
pub mod spare;
mod spellings;
pub mod spent;
pub mod spray;
pub mod startup;
pub mod status;
pub mod store;
pub mod streams;
pub mod strict;
pub mod target;
pub mod throttle;
pub mod tombstone;
pub mod turns;
pub mod unknown_names;
pub mod verify;
