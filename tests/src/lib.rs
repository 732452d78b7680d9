//! Drives the real module through the real libpam, sshd, sudo and su, against the real daemon and
//! totpctl.
//!
//! Everything here runs in the world that `tests/in-private-world` makes; outside it
//! [`world::enter`] says so and fails. The programs under test are those beside the test binary, so
//! build the whole workspace first; `make test` does both. Nothing here sleeps to wait:
//! [`lines::Lines`] waits for what a program says.

#![forbid(unsafe_code)]

pub mod clocks;
pub mod connection;
pub mod daemon;
pub mod disk;
pub mod fleet;
pub mod founding;
pub mod guide;
pub mod libpam;
pub mod linear;
pub mod lines;
mod log_page;
pub mod machine;
pub mod memory_group;
pub mod migration;
pub mod network;
pub mod oathtool;
pub mod odd_names;
pub mod program;
pub mod python;
pub mod queues;
pub mod race;
pub mod random;
pub mod sshd;
pub mod stack;
pub mod strace;
pub mod stranger;
pub mod terminal;
pub mod tracee;
pub mod wire;
pub mod worker;
pub mod world;

/// A count from the environment, for runs that are longer or shorter than usual.
///
/// # Panics
/// If it is no number.
#[must_use]
pub fn count(variable: &str, usual: usize) -> usize {
    match std::env::var(variable) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{variable}={text} is no number")),
        Err(_) => usual,
    }
}
