//! A user's devices and codes: made, proven, confirmed, replaced.

pub(crate) mod confirm;
pub(crate) mod enroll;
pub(crate) mod new_device;
pub(crate) mod passlib;
pub(crate) mod proof;
pub(crate) mod recovery;
pub(crate) mod resync;
