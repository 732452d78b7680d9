//! What a server serves at its sockets: the judge of this machine ([`Service`]), or the relay of a
//! login host.

use std::sync::atomic::AtomicU64;

use common::wire::frame::FrameError;
use common::wire::protocol::Method;

use super::dispatch::{Replies, dispatch};
use crate::audit::Audit;
use crate::identity::caller::{Caller, Peer};
use crate::identity::names::{Found, Names};
use crate::identity::permission::Visitor;
use crate::service::Service;

/// What answers calls.
pub trait Desk: Send + Sync + 'static {
    /// The log.
    fn audit(&self) -> &Audit;

    /// The name service.
    fn names(&self) -> &Names;

    /// Whether a verifier runs under that uid, as far as the name service has said.
    fn is_a_verifiers(&self, uid: u32) -> bool;

    /// How many verifiers the settings name.
    fn count_verifiers(&self) -> usize;

    /// The number of open connections.
    fn connections(&self) -> &AtomicU64;

    /// Counts a connection that was refused for its number.
    fn connection_refused(&self);

    /// Whether calls can be answered at all.
    fn is_well(&self) -> bool;

    /// The caller, with its role.
    ///
    /// # Errors
    /// The name service did not answer.
    fn identify(&self, peer: Peer) -> Found<Caller>;

    /// Answers one message of a process. Settings and role are read anew for each: an administrator
    /// removed from the group loses the role on open connections, too.
    ///
    /// # Errors
    /// The connection failed.
    fn answer(
        &self,
        peer: Peer,
        message: &[u8],
        replies: &Replies<'_>,
    ) -> Result<Answered, FrameError>;
}

/// A message that was answered.
pub struct Answered {
    /// Its caller, if it has a role.
    pub caller: Option<Caller>,
    /// Its method, if it is one of ours.
    pub method: Option<Method>,
}

impl Desk for Service {
    fn audit(&self) -> &Audit {
        &self.audit
    }

    fn names(&self) -> &Names {
        &self.names
    }

    fn is_a_verifiers(&self, uid: u32) -> bool {
        Self::is_a_verifiers(self, uid)
    }

    fn count_verifiers(&self) -> usize {
        Self::count_verifiers(self)
    }

    fn connections(&self) -> &AtomicU64 {
        &self.connections
    }

    fn connection_refused(&self) {
        self.counters.connection_refused();
    }

    fn is_well(&self) -> bool {
        self.records.health().is_ok()
    }

    fn identify(&self, peer: Peer) -> Found<Caller> {
        let names = self.names.asking_for(peer);
        Caller::identify(peer, &self.settings().roles, names)
    }

    fn answer(
        &self,
        peer: Peer,
        message: &[u8],
        replies: &Replies<'_>,
    ) -> Result<Answered, FrameError> {
        let (names, settings) = (self.names.asking_for(peer), self.settings());
        let caller = Caller::identify(peer, &settings.roles, names);
        let visitor = Visitor {
            peer,
            caller: caller.ok().flatten(),
            names,
        };
        let method = dispatch(self, (&visitor, settings), message, replies)?;
        Ok(Answered {
            caller: visitor.caller,
            method,
        })
    }
}
