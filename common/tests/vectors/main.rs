//! Every case of the vectors made with passlib 1.7.4, and of RFC 6238 and RFC 4226.
//!
//! `written`, `accepted`, `undetectable` and `rejected` hold as they stand. The others are decided
//! in `docs/lineage.md`, one by one, and these tests read the decisions there.

#![forbid(unsafe_code)]
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that panics fails, which is what it should do"
)]

mod cases;
mod codes;
mod load;
mod records;
mod rfc;
mod secrets;
mod uris;
