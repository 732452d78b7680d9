//! `Status` of a relay: which verifiers it reaches, and why not the others.

use common::wire::protocol::{ClockState, StatusReply};

use super::Relay;
use super::upstream::Upstream;
use crate::clock::sys;
use std::sync::atomic::Ordering;

impl Relay {
    /// The state of the daemon and of its verifiers.
    pub(super) fn status(&self, upstream: &Upstream) -> StatusReply {
        StatusReply {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: self.started,
            store: "none".to_owned(),
            users: 0,
            generation: 0,
            incomplete: false,
            users_known: None,
            default_tag: String::new(),
            wrong_secrets: Vec::new(),
            sealed: None,
            connections: self.connections.load(Ordering::Relaxed),
            audit_lost: self.audit.lost(),
            events_lost: 0,
            clock: match sys::synchronised() {
                Some(false) => ClockState::Unsynchronised,
                Some(true) | None => ClockState::Ok,
            },
            quarantine_until: None,
            acceptable: None,
            copy: None,
            upstream: Some(upstream.told()),
            fleet: None,
            offline: self.alone.as_ref().map(|alone| alone.told()),
        }
    }
}
