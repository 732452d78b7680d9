//! Values of settings that YAML has no type for: spans of time, dates and times of this machine's zone.

pub mod calendar;
pub(crate) mod given;
pub mod span;
