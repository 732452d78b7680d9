//! The wire between the daemon and its clients: framing, the protocol's messages, events, and the
//! blocking client.

pub mod client;
pub mod event;
pub mod frame;
pub mod json;
pub mod kept;
pub mod protocol;
pub mod text;
