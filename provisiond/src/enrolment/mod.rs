//! A user's devices and codes: made, proven, confirmed, replaced.

pub mod confirm;
pub mod enroll;
pub mod new_device;
pub mod passlib;
pub mod proof;
pub mod recovery;
pub mod resync;
