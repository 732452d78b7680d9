//! What administrators and users see and change of records.

pub mod accounts;
pub mod devices;
pub mod events;
pub mod list;
pub mod show;
pub mod status;
