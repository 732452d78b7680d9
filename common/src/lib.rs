//! The library that module, daemon and client share: names, secret types, the protocol, framing and
//! the blocking client; behind the feature `sealing`, the settings, codes, and the formats at rest.
//!
//! The PAM module uses this crate without `sealing`, so that a login process never links a cipher,
//! a store or a settings parser.

#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        reason = "a test that overflows fails, which is what it should do"
    )
)]

pub mod answer;
pub mod issued;
pub mod names;
pub mod secret;
pub mod wire;
mod words;

#[cfg(feature = "sealing")]
pub mod config;
#[cfg(feature = "sealing")]
pub mod enckey;
#[cfg(feature = "sealing")]
pub mod lineage;
#[cfg(feature = "sealing")]
pub mod otpauth;
#[cfg(feature = "sealing")]
pub mod pairs;
#[cfg(feature = "qr")]
pub mod qr;
#[cfg(feature = "sealing")]
pub mod secrets;
#[cfg(feature = "sealing")]
pub mod totp;
