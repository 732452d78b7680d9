//! `try`: plays a login through the machine's own stack, without a code and with one, and tells
//! whether the module was asked.
//!
//! - `login`: one play: the items that the application sets, the questions, libpam's answer.
//! - `judge`: what two plays show. Pure.
//!
//! The daemon's log is the witness that the module was asked: libpam's answer alone does not tell.

mod judge;
mod login;

pub(crate) use self::judge::{Asked, Ground, Line, Outcome, Played, Step, judge};
pub(crate) use self::login::Login;
