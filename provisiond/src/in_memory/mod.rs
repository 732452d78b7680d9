//! Bounded tables that a restart forgets.

pub mod free_attempts;
pub mod grace;
pub mod quota;
pub mod refunds;
pub mod slots;
pub mod source_limit;
pub mod streams;
