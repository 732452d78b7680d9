//! Reads PAM service files (`/etc/pam.d`) as Linux-PAM does, and tells whether a stack can let a
//! login in without asking pam_totp, or locks every user out.
//!
//! - `files`: where service files and modules are, and how they are read.
//! - `line`, `control`, `code`: one line of a file: continuations, words, the control field.
//! - `read`: a service with everything that it includes, as one chain of handlers.
//! - `walk`: what libpam does with one answer of one module. The only place that knows it.
//! - `play`: one login, with a given answer of each module.
//! - `explore`: all logins at once: every answer that each module can give.
//! - `known`: what modules of distributions can answer.
//! - `exemption`: the line that exempts a group on purpose.
//! - `check`, `finding`: what is wrong with a stack, where, and the next step.
//!
//! The crate loads no module and knows no daemon. It is a library, because totpctl, the real tests
//! and the fuzzer use it.

#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used,
        reason = "a test that panics fails, which is what it should do"
    )
)]

mod check;
mod code;
mod control;
mod exemption;
mod explore;
mod files;
mod finding;
mod known;
mod line;
mod play;
mod read;
mod walk;

pub use self::check::{Circumstances, check, sisters};
pub use self::code::Code;
pub use self::control::{Action, Control};
pub use self::files::{Disk, Files, Folders};
pub use self::finding::{Finding, Place, Severity};
pub use self::play::{Played, play};
pub use self::read::{Handler, Kind, Module, Stack, read};
