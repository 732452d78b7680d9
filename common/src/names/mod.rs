//! Types for the names of users, devices and PAM services. A value exists only if the name is
//! valid.

pub mod device;
pub mod service;
pub mod user;
