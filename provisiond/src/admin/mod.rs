//! What administrators and users see and change of records.

pub(crate) mod accounts;
pub(crate) mod devices;
pub(crate) mod events;
pub(crate) mod list;
pub(crate) mod show;
pub(crate) mod status;
