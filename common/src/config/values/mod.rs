//! Types of values in the settings: spans of time, dates, times in this machine's zone, and values
//! that must be present.

pub mod calendar;
pub(crate) mod decimal;
pub(crate) mod given;
pub(crate) mod read_over;
pub mod span;
