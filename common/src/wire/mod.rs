//! What travels between the daemon and its clients: framing, messages, events, and the blocking client.

pub mod client;
pub mod event;
pub mod frame;
pub mod json;
pub mod protocol;
pub mod text;
