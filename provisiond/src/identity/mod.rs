//! Who calls, whom a call means, and what the caller may do.

pub mod caller;
pub mod names;
pub mod permission;
pub mod resolved;
pub mod target;
