//! passlib's `totp` formats, for import and export: read by passlib's rules, written byte for byte
//! as passlib writes them.
//!
//! Pure: no store, no clock, no spent steps. `docs/lineage.md` lists what is read, what is refused,
//! and why.

pub mod enckey;
mod json;
pub mod matching;
mod reading;
pub mod record;
pub mod token;
pub mod uri;
