//! Types of values in the settings: spans of time, dates, times in this machine's zone, groups with
//! dates, and values that must be present.

pub mod calendar;
pub(crate) mod decimal;
pub(crate) mod given;
pub mod group_days;
pub(crate) mod read_over;
pub mod span;
