//! The relay: the daemon of a login host that keeps no key, no application secret and no record. It
//! checks local callers like any daemon, and passes `Challenge` and `Verify` on to the verifiers of
//! the fleet. All other methods about users are called on a verifier.
//!
//! It knows no record, judges no code while a verifier can be reached (see [`alone`]), and holds a
//! typed code for as long as one call takes.

mod alone;
mod forward;
mod log;
mod status;
mod upstream;
mod verifier;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use common::config::fleet::WhenCutOff;
use common::config::roles::Roles;
use common::config::{Part, RelaySettings};
use common::wire::frame::FrameError;
use common::wire::protocol::{self, Error, Method};

use self::alone::Alone;
use self::upstream::Upstream;
use crate::audit::{Audit, Line};
use crate::clock;
use crate::identity::caller::{Caller, Peer};
use crate::identity::names::{Found, Names};
use crate::identity::permission::{Permitted, Visitor, permitted};
use crate::in_memory::quota::LogQuota;
use crate::server::desk::{Answered, Desk};
use crate::server::dispatch::{Message, Replies, Stop, with_method};
use crate::service::SettingsSource;
use crate::service::settings_names::uids_of_verifiers;

/// The relay's state.
pub(crate) struct Relay {
    /// The log.
    pub audit: Audit,
    names: Names,
    log_quota: LogQuota,
    connections: AtomicU64,
    refused: AtomicU64,
    started: u64,
    verifier_uids: RwLock<HashSet<u32>>,
    in_force: RwLock<InForce>,
    /// What it does while no verifier can be reached. `None`: it refuses every login then.
    alone: Option<Arc<Alone>>,
    source: SettingsSource,
}

/// The settings, and the connections that they name.
#[derive(Clone)]
struct InForce {
    settings: Arc<RelaySettings>,
    upstream: Arc<Upstream>,
}

impl Relay {
    /// The state at the start of the daemon. Begins to connect to the verifiers.
    ///
    /// # Errors
    /// The files of TLS cannot be used, or the system has no thread to give.
    pub(crate) fn start(
        settings: RelaySettings,
        source: SettingsSource,
        audit: Audit,
        names: Names,
    ) -> Result<Self, CannotRelay> {
        let upstream = Arc::new(Upstream::start(&settings.upstream, &source.trust, &audit)?);
        let alone = Alone::start(&settings.upstream, Arc::clone(&upstream), &audit);
        let alone = alone.map_err(|error| CannotRelay::Copies {
            folder: settings.upstream.copies.clone(),
            error,
        })?;
        let in_force = InForce {
            settings: Arc::new(settings),
            upstream,
        };
        Ok(Self {
            audit,
            names,
            log_quota: LogQuota::default(),
            connections: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            started: clock::now(),
            verifier_uids: RwLock::default(),
            in_force: RwLock::new(in_force),
            alone,
            source,
        })
    }

    /// Asks the name service about the names of the settings: after a start, and when other settings
    /// are in force.
    pub(crate) fn look_up_names(&self) {
        let settings = self.in_force().settings;
        let uids = uids_of_verifiers(&settings.roles, self.names.asking());
        *self
            .verifier_uids
            .write()
            .unwrap_or_else(PoisonError::into_inner) = uids;
        for section in &settings.left_alone {
            let line = Line::new("unknown_section").with("setting", section);
            self.audit.write(line.warning());
        }
    }

    /// Reads the settings again and puts them in force as a whole. On any error the old settings stay.
    ///
    /// # Errors
    /// The sentence for the administrator.
    pub(crate) fn reload(&self) -> Result<(), String> {
        let outcome = self.adopt();
        self.audit.write(match &outcome {
            Ok(()) => Line::new("reloaded").with("settings", self.source.path.display()),
            Err(why) => Line::new("reload_failed").with("reason", why).error(),
        });
        if outcome.is_ok() {
            self.look_up_names();
        }
        outcome
    }

    fn adopt(&self) -> Result<(), String> {
        let path = &self.source.path;
        let part = Part::load(path, &self.source.trust).map_err(|why| why.to_string())?;
        let Part::Relay(settings) = part else {
            return Err("a relay becomes a verifier when the daemon is restarted".into());
        };
        let before = self.in_force();
        let (new, old) = (&settings.upstream, &before.settings.upstream);
        let goes_on_alone = new.when_cut_off == WhenCutOff::TwoCodes;
        if (goes_on_alone && self.alone.is_none()) || new.copies != old.copies {
            return Err(RESTART.into());
        }
        let upstream = if (&new.servers, &new.tls) == (&old.servers, &old.tls) {
            before.upstream
        } else {
            let upstream = Upstream::start(new, &self.source.trust, &self.audit);
            Arc::new(upstream.map_err(|why| why.to_string())?)
        };
        if let Some(alone) = &self.alone {
            alone.obey(new.when_cut_off, Arc::clone(&upstream));
        }
        self.audit.obey(settings.audit);
        let in_force = InForce {
            settings: Arc::from(settings),
            upstream,
        };
        *self
            .in_force
            .write()
            .unwrap_or_else(PoisonError::into_inner) = in_force;
        Ok(())
    }

    fn in_force(&self) -> InForce {
        let in_force = self.in_force.read();
        in_force.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn roles<T>(&self, look: impl FnOnce(&Roles) -> T) -> T {
        look(&self.in_force().settings.roles)
    }

    /// Checks the caller like any daemon, by the same table, and answers the call.
    fn handle(
        &self,
        visitor: &Visitor<'_>,
        in_force: &InForce,
        method: Method,
        message: &Message<'_>,
    ) -> Result<(), Stop> {
        let subject = message.subject();
        let permitted = permitted(visitor, method, &subject, &in_force.settings.roles);
        let permitted = permitted.map_err(|refusal| {
            if refusal.error == Error::PermissionDenied {
                let user = subject.user.as_deref();
                self.log_not_permitted(visitor, method.name(), user, refusal.reason);
            }
            Stop::Error(refusal.error)
        })?;
        self.run(&permitted, in_force, method, message)
    }

    /// The methods that a relay has.
    fn run(
        &self,
        permitted: &Permitted,
        in_force: &InForce,
        method: Method,
        message: &Message<'_>,
    ) -> Result<(), Stop> {
        let deadline = message.replies.deadline;
        let login = forward::Login {
            relay: self,
            upstream: &in_force.upstream,
            permitted,
            deadline,
        };
        match method {
            Method::Challenge => message.answer(|wish| login.challenge(wish)),
            Method::Verify => message.answer(|wish| login.verify(wish)),
            Method::Status => {
                message.answer(|protocol::Status {}| Ok(self.status(&in_force.upstream)))
            }
            Method::Reload => message.answer(|protocol::Reload {}| {
                let done = self.reload().map(|()| protocol::Nothing {});
                done.map_err(|why| Error::bad("settings", why))
            }),
            _ => Err(Stop::Varlink((
                "MethodNotImplemented",
                "method",
                message.request.method.clone().into_owned(),
            ))),
        }
    }
}

impl Desk for Relay {
    fn audit(&self) -> &Audit {
        &self.audit
    }

    fn names(&self) -> &Names {
        &self.names
    }

    fn is_a_verifiers(&self, uid: u32) -> bool {
        let uids = self.verifier_uids.read();
        uids.unwrap_or_else(PoisonError::into_inner).contains(&uid)
    }

    fn count_verifiers(&self) -> usize {
        self.roles(|roles| roles.verifiers.len())
    }

    fn connections(&self) -> &AtomicU64 {
        &self.connections
    }

    fn connection_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// A relay whose verifiers are down would not get better by a restart.
    fn is_well(&self) -> bool {
        true
    }

    fn identify(&self, peer: Peer) -> Found<Caller> {
        self.roles(|roles| Caller::identify(peer, roles, self.names.asking_for(peer)))
    }

    fn answer(
        &self,
        peer: Peer,
        message: &[u8],
        replies: &Replies<'_>,
    ) -> Result<Answered, FrameError> {
        let (names, in_force) = (self.names.asking_for(peer), self.in_force());
        let caller = Caller::identify(peer, &in_force.settings.roles, names);
        let visitor = Visitor {
            peer,
            caller: caller.ok().flatten(),
            names,
        };
        let method = with_method(message, replies, |method, message| {
            self.handle(&visitor, &in_force, method, message)
        })?;
        Ok(Answered {
            caller: visitor.caller,
            method,
        })
    }
}

/// Why the relay cannot start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CannotRelay {
    /// The files of TLS.
    #[error(transparent)]
    Files(#[from] crate::server::tls::BadFiles),
    /// The system.
    #[error("cannot start: {0}")]
    System(#[from] std::io::Error),
    /// The folder of the offline copies.
    #[error("cannot use '{}' ('provisiond.upstream.copies'): {error}", folder.display())]
    Copies {
        folder: PathBuf,
        error: std::io::Error,
    },
}

const RESTART: &str = "'policy.when-cut-off: two-codes' and 'copies' are in force after a restart of the daemon: restart it";
