//! Types of values in the settings: spans of time, dates, times in this machine's zone, groups with
//! dates, values that must be present, and maps in the order of the file.

pub mod calendar;
pub(crate) mod decimal;
pub(crate) mod given;
pub mod group_days;
pub(crate) mod in_order;
pub(crate) mod read_over;
pub mod span;
