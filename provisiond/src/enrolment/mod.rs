//! Enrolment: a user's devices and issued codes are made, proven, confirmed, resynchronised and
//! replaced.

pub(crate) mod confirm;
pub(crate) mod enroll;
pub(crate) mod export;
pub(crate) mod import;
pub(crate) mod new_device;
mod passlib;
pub(crate) mod proof;
pub(crate) mod recovery;
pub(crate) mod resync;
