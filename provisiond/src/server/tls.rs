//! TLS between the hosts of a fleet: mutual, and of version 1.3 only. Files become configurations
//! (`files.rs`), a TCP connection becomes a link that carries frames (`link.rs`), and each failure
//! becomes a sentence (`problem.rs`).
//!
//! No session is resumed: each connection proves both certificates anew.

mod files;
mod link;
mod problem;

pub use self::files::{BadFiles, Kept, for_relay, for_verifier};
pub use self::link::{Link, Shown};
pub use self::problem::Problem;
