//! Administration: what administrators, helpdesk and users see and change of records, events and
//! the daemon's status and metrics.

pub(crate) mod accounts;
pub(crate) mod devices;
pub(crate) mod events;
pub(crate) mod list;
pub(crate) mod metrics;
pub(crate) mod rotate;
pub(crate) mod show;
pub(crate) mod status;
