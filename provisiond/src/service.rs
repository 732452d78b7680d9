//! What every handler has at hand: the settings in force, the records, the log.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use common::config::{ConfigError, Settings, Trust};
use common::protocol::Error;
use common::user::UserName;

use crate::audit::{Audit, Line, Unwritten};
use crate::caller::{Caller, Peer, Role};
use crate::clock::{self, Clock, Look};
use crate::grace::Graces;
use crate::named::Named;
use crate::names::{Asking, Found, Names};
use crate::patience::{Patience, Tries};
use crate::quota::{Allowance, Quotas};
use crate::records::{Access, Failure, Records};
use crate::refunds::Refunds;
use crate::repeats::Repeats;
use crate::skew::Skews;
use crate::spray::Sprays;
use crate::streams::Streams;
use crate::throttle::Moment;

/// The daemon's state.
pub struct Service {
    /// Records in the store.
    pub records: Records,
    /// The time.
    pub clock: Arc<Clock>,
    /// The log.
    pub audit: Audit,
    /// How far people's clocks are off.
    pub skews: Skews,
    /// The name service.
    pub names: Names,
    /// What a login may get back.
    pub refunds: Refunds,
    /// Wrong answers of late.
    pub repeats: Repeats,
    /// Wrong codes of each network.
    pub sprays: Sprays,
    /// Lines of the log that each uid may cause.
    pub quotas: Quotas<u32>,
    /// Refused attempts of each user that the log tells one by one.
    pub refusals: Quotas<UserName>,
    /// Codes that were accepted lately.
    pub graces: Graces,
    /// What people's own processes were wrong at for free.
    pub patience: Patience,
    /// Connections open now.
    pub connections: AtomicU64,
    /// Lists and events on their way now.
    pub streams: Streams,
    /// When the daemon started, in Unix seconds.
    pub started: u64,
    settings: RwLock<Arc<Settings>>,
    source: SettingsSource,
}

/// Where the settings come from.
#[derive(Clone, Debug)]
pub struct SettingsSource {
    /// The file.
    pub path: PathBuf,
    /// Who may own it.
    pub trust: Trust,
}

impl SettingsSource {
    /// Reads them.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn load(&self) -> Result<Settings, ConfigError> {
        Settings::load_to_seal(&self.path, &self.trust)
    }
}

/// One call that is being answered.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// Who calls.
    pub caller: &'a Caller,
    /// Whose record it is about.
    pub user: &'a UserName,
    /// What the name service says of that user.
    pub named: &'a Named,
    /// The questions that the call may put to the name service besides. They share its second.
    pub names: Asking<'a>,
    /// The caller must prove to have a device of that user.
    pub proof: bool,
    /// When the caller stops waiting.
    pub deadline: Instant,
}

impl Service {
    /// Puts the parts together.
    #[must_use]
    pub fn new(
        records: Records,
        clock: Arc<Clock>,
        audit: Audit,
        skews: Skews,
        names: Names,
        settings: Settings,
        source: SettingsSource,
    ) -> Self {
        Self {
            records,
            clock,
            audit,
            skews,
            names,
            refunds: Refunds::default(),
            repeats: Repeats::default(),
            sprays: Sprays::default(),
            quotas: Quotas::of_processes(),
            refusals: Quotas::of_refusals(),
            graces: Graces::default(),
            patience: Patience::default(),
            connections: AtomicU64::new(0),
            streams: Streams::default(),
            started: clock::now(),
            settings: RwLock::new(Arc::new(settings)),
            source,
        }
    }

    /// The settings in force; one call uses one copy to its end.
    #[must_use]
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the settings again and puts them in force as a whole. On any error the old ones stay.
    ///
    /// # Errors
    /// The sentence that says why not.
    pub fn reload(&self) -> Result<(), String> {
        let outcome = self.source.load().map_err(|e| e.to_string()).and_then(|settings| self.adopt(settings));
        self.audit.write(match &outcome {
            Ok(()) => Line::new("reloaded").with("settings", self.source.path.display()),
            Err(why) => Line::new("reload_failed").with("reason", why).error(),
        });
        if outcome.is_ok() {
            self.warn_of_unknown_names();
        }
        outcome
    }

    fn adopt(&self, settings: Settings) -> Result<(), String> {
        let mut current = self.settings.write().unwrap_or_else(PoisonError::into_inner);
        if current.store != settings.store {
            return Err("the store cannot change while the daemon runs: restart it".into());
        }
        self.audit.obey(settings.audit);
        *current = Arc::new(settings);
        Ok(())
    }

    /// Who a process is, by the settings and the account database of now.
    ///
    /// # Errors
    /// [`NoAnswer`](crate::names::NoAnswer).
    pub fn identify(&self, peer: Peer, names: Asking<'_>) -> Found<Caller> {
        Caller::identify(peer, &self.settings().roles, names)
    }

    /// The one reading of the clock that a call is judged by.
    #[must_use]
    pub fn moment(&self) -> Moment {
        let Look { now, tick, doubt, synchronised } = self.clock.look();
        let rolled_back_tick = self.records.rolled_back_tick();
        Moment { now, tick, rolled_back_tick, doubt, synchronised }
    }

    /// How many connections are open.
    #[must_use]
    pub fn open_connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Writes a line about a call, and who called.
    pub fn log(&self, call: &Call<'_>, line: Line) {
        // What it is about has happened.
        let _ = self.log_before(call, line);
    }

    /// Writes a line without which the caller does not get what it says.
    ///
    /// # Errors
    /// [`Unwritten`], where the settings require the line.
    pub fn log_before(&self, call: &Call<'_>, line: Line) -> Result<(), Unwritten> {
        self.require(call.caller.peer, self.signed(call, line))
    }

    /// A line about a call, with who called.
    #[must_use]
    pub fn signed(&self, call: &Call<'_>, line: Line) -> Line {
        let (role, peer) = (call.caller.role, call.caller.peer);
        line.with("role", role.word()).with("uid", peer.uid).with("pid", peer.pid)
    }

    /// Writes a line that `peer` has caused, within its quota.
    pub fn log_for(&self, peer: Peer, line: Line) {
        let _ = self.require(peer, line);
    }

    fn require(&self, peer: Peer, line: Line) -> Result<(), Unwritten> {
        if peer.is_root() {
            return self.audit.require(line);
        }
        let allowance = self.quotas.count(peer.uid);
        self.log_forgotten(self.quotas.settle_forgotten());
        match allowance {
            Allowance::Write { left_out: 0 } => self.audit.require(line),
            Allowance::Write { left_out } => {
                self.audit.write(Line::new("lines_left_out").with("uid", peer.uid).with("lines", left_out).warning());
                self.audit.require(line)
            }
            Allowance::LeaveOut => self.audit.left_out(),
        }
    }

    /// Tells that lines were left out about many of whom nobody knows any more who they were.
    pub(crate) fn log_forgotten(&self, lines: u32) {
        if lines > 0 {
            self.audit.write(Line::new("lines_left_out").with("lines", lines).warning());
        }
    }

    /// Whether the caller may be wrong for free once more. Root's and administrators' processes do not run out of it.
    ///
    /// # Errors
    /// [`Error::Busy`].
    pub fn may_try(&self, call: &Call<'_>) -> Result<(), Error> {
        let patient = call.tries().is_none_or(|tries| self.patience.has_any(&tries));
        if patient { Ok(()) } else { Err(Error::busy(TOO_OFTEN)) }
    }

    /// Remembers that the caller was wrong and the account was not charged for it.
    pub fn was_wrong_for_free(&self, call: &Call<'_>) {
        if let Some(tries) = call.tries() {
            self.patience.try_it(tries);
        }
    }

    /// Logs that a change was refused, and why.
    pub fn log_refused(&self, event: &'static str, call: &Call<'_>, error: &Error) {
        let (name, _) = error.to_wire();
        let line = call.line(event).with("refused", name.rsplit('.').next().unwrap_or_default());
        self.log(call, line.warning());
    }

    /// What the caller of an administrative method is told when a record cannot be read or changed; the log is told
    /// more.
    pub fn failure(&self, failure: &Failure, call: &Call<'_>) -> Error {
        if matches!(failure, Failure::Unknown) {
            // A change that may be durable may have taken a device away.
            self.graces.end(call.user);
        }
        self.log(call, call.line("failed").with("reason", failure).error());
        match failure {
            Failure::Busy => Error::busy(MANY_WAIT),
            Failure::Unavailable | Failure::Unknown | Failure::CannotWrite(_) => Error::StoreUnavailable,
            Failure::Damaged(_) => Error::RecordDamaged,
        }
    }
}

impl<'a> Call<'a> {
    /// Begins a line about the user.
    #[must_use]
    pub fn line(&self, event: &'static str) -> Line {
        Line::new(event).with("user", self.user.as_str()).with_some("spelt", self.named.other_spelling())
    }

    fn tries(&self) -> Option<Tries> {
        let uid = self.caller.peer.uid;
        match self.caller.role {
            Role::Own => Some(Tries::Own(uid)),
            Role::Verifier => Some(Tries::For(uid, self.user.clone())),
            Role::Helpdesk | Role::Admin | Role::Root => None,
        }
    }

    /// The way to the record that the call is about.
    #[must_use]
    pub fn access(&self, settings: &'a Settings) -> Access<'a> {
        Access {
            user: self.user,
            root: self.caller.peer.is_root(),
            secrets: &settings.secrets,
            deadline: self.deadline,
        }
    }
}

const MANY_WAIT: &str = "too many attempts of this user wait to be judged: try again in a moment";
const TOO_OFTEN: &str = "twenty wrong codes within an hour are as many as your own processes may try: wait a few minutes, or ask \
                         an administrator";
