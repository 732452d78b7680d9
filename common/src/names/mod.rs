//! Names that exist only if they are right: of users, of their devices, of PAM services.

pub mod device;
pub mod service;
pub mod user;
