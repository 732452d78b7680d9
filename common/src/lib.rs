//! What both ends of the socket agree on: names, secret types, the protocol, framing and the blocking client;
//! behind the feature `sealing`, the formats at rest.
//!
//! The PAM module uses this crate without `sealing`, so that a login process never links a cipher, a store or a
//! settings parser.

#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, which is what it should do")
)]

pub mod answer;
pub mod client;
pub mod device;
pub mod event;
pub mod frame;
pub mod json;
pub mod protocol;
pub mod secret;
pub mod service;
pub mod span;
pub mod spare;
pub mod text;
pub mod user;
mod words;

#[cfg(feature = "sealing")]
pub mod audit;
#[cfg(feature = "sealing")]
pub mod calendar;
#[cfg(feature = "sealing")]
pub mod config;
#[cfg(feature = "sealing")]
pub mod enckey;
#[cfg(feature = "sealing")]
pub mod exemptions;
#[cfg(feature = "sealing")]
mod given;
#[cfg(feature = "sealing")]
pub mod grace;
#[cfg(feature = "sealing")]
pub mod limits;
#[cfg(feature = "sealing")]
pub mod lineage;
#[cfg(feature = "sealing")]
pub mod otpauth;
#[cfg(feature = "qr")]
pub mod qr;
#[cfg(feature = "sealing")]
pub mod recovery;
#[cfg(feature = "sealing")]
pub mod roles;
#[cfg(feature = "sealing")]
pub mod roll_out;
#[cfg(feature = "sealing")]
pub mod rules;
#[cfg(feature = "sealing")]
pub mod secrets;
#[cfg(feature = "sealing")]
pub mod totp;
