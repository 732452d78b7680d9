//! Bounded tables that a restart forgets.

pub(crate) mod free_attempts;
pub(crate) mod grace;
pub(crate) mod quota;
pub mod refunds;
pub(crate) mod repeats;
pub(crate) mod slots;
pub(crate) mod source_limit;
pub(crate) mod streams;
