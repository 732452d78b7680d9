//! Identity: which caller is at the socket, which user the call means, and what the caller may do
//! (authentication and authorisation).

pub mod caller;
pub mod names;
pub mod permission;
pub mod resolved;
pub mod target;
