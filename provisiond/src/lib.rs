//! The daemon: it alone owns the keys and gives the verdict.

#![deny(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, which is what it should do")
)]

pub mod admin;
pub mod audit;
pub mod clock;
pub mod enrolment;
pub mod identity;
pub mod in_memory;
pub mod login;
pub mod policy;
pub mod process;
pub mod record;
pub mod records;
pub mod server;
pub mod service;
pub mod store;
