//! The formats of the system that this one comes from, passlib's `totp`: read by every rule, written byte for byte.
//!
//! Offline and pure: no store, no clock, no spent steps. What is read, refused and why: `docs/lineage.md`.

pub mod enckey;
mod json;
pub mod matching;
mod reading;
pub mod record;
pub mod token;
pub mod uri;
