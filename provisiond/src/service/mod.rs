//! The daemon's state, shared by all handlers: settings in force and their reload, records, log,
//! limits.

pub(crate) mod aliases;
pub(crate) mod call;
pub(crate) mod change;
mod fleet;
pub mod importer;
pub(crate) mod log;
pub(crate) mod renamed;
mod secrets;
pub(crate) mod settings_names;
pub(crate) mod uid_binding;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use common::config::{ConfigError, Part, Settings, Trust};
use common::wire::protocol::{Error, IMPORTER_SOCKET, Method};

use self::call::Call;
use self::importer::Importer;
use crate::audit::skew::Skews;
use crate::audit::{Audit, Line};
use crate::clock::moment::Moment;
use crate::clock::{self, Clock};
use crate::identity::names::Names;
use crate::in_memory::counters::Counters;
use crate::in_memory::enrolments::Enrolments;
use crate::in_memory::free_attempts::{Attempt, FreeAttempts};
use crate::in_memory::grace::Graces;
use crate::in_memory::hosts::Hosts;
use crate::in_memory::offline::OfflineCopies;
use crate::in_memory::peers::Peers;
use crate::in_memory::quota::LogQuota;
use crate::in_memory::refunds::Refunds;
use crate::in_memory::repeats::Repeats;
use crate::in_memory::source_limit::SourceLimits;
use crate::in_memory::streams::Streams;
use crate::records::Records;

/// The daemon's state.
pub struct Service {
    /// The records in the store.
    pub records: Records,
    /// The clock.
    pub clock: Arc<Clock>,
    /// The log.
    pub audit: Audit,
    /// Measurements of how far devices' clocks are off.
    pub skews: Skews,
    /// The name service.
    pub names: Names,
    /// Recent wrong codes that an accepted login may refund.
    pub(crate) refunds: Refunds,
    /// Fingerprints of recent wrong answers: a repeat is not charged again.
    pub(crate) repeats: Repeats,
    /// Fingerprints of recently accepted answers: a repeat behind a password is no part of it.
    pub(crate) accepted: Repeats,
    /// The source limit: wrong codes of each network (rate limit of brute force).
    pub(crate) source_limits: SourceLimits,
    /// The rate limit of log lines.
    pub(crate) log_quota: LogQuota,
    /// Recently accepted codes, which let the user in without another.
    pub(crate) graces: Graces,
    /// Enrolments under way, of which one makes a user's next device.
    pub(crate) enrolments: Enrolments,
    /// Wrong answers of users' own processes that cost the account nothing (rate limit).
    pub(crate) free_attempts: FreeAttempts,
    /// The counters of the metrics.
    pub(crate) counters: Counters,
    /// The hosts of the fleet that have called.
    pub(crate) hosts: Hosts,
    /// The offline copies that hosts have got of late.
    pub(crate) offline_copies: OfflineCopies,
    /// The other daemons of the store.
    pub(crate) peers: Peers,
    /// The number of open connections.
    pub connections: AtomicU64,
    /// The open streams of `List` and `Events`.
    pub(crate) streams: Streams,
    /// Root's process that imports one user's file at a login.
    pub(crate) importer: Importer,
    /// Held by the rotation that is under way.
    pub(crate) rotation: Mutex<()>,
    /// When the daemon started, in Unix seconds.
    pub started: u64,
    /// The uids that verifiers run under, as the name service has said when the settings were read.
    verifier_uids: RwLock<HashSet<u32>>,
    settings: RwLock<Arc<Settings>>,
    source: SettingsSource,
}

/// Where the settings come from.
#[derive(Clone, Debug)]
pub struct SettingsSource {
    /// The file.
    pub path: PathBuf,
    /// The owners and modes that the file may have.
    pub trust: Trust,
}

impl SettingsSource {
    /// Reads and checks the settings.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn load(&self) -> Result<Settings, ConfigError> {
        Settings::load_to_seal(&self.path, &self.trust)
    }

    /// The same, where they may be a relay's.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn load_part(&self) -> Result<Part, ConfigError> {
        Part::load(&self.path, &self.trust)
    }
}

impl Service {
    /// The state at the start of the daemon.
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
        // Nothing is replaced, so that nothing can be missing.
        let _ = records.put_in_force(&settings.secrets);
        Self {
            records,
            clock,
            audit,
            skews,
            names,
            refunds: Refunds::default(),
            repeats: Repeats::default(),
            accepted: Repeats::default(),
            source_limits: SourceLimits::default(),
            log_quota: LogQuota::default(),
            graces: Graces::default(),
            enrolments: Enrolments::default(),
            free_attempts: FreeAttempts::default(),
            counters: Counters::default(),
            hosts: Hosts::default(),
            offline_copies: OfflineCopies::default(),
            peers: Peers::default(),
            connections: AtomicU64::new(0),
            streams: Streams::default(),
            importer: Importer::at(IMPORTER_SOCKET.into()),
            rotation: Mutex::default(),
            started: clock::now(),
            verifier_uids: RwLock::default(),
            settings: RwLock::new(Arc::new(settings)),
            source,
        }
    }

    /// The same with another importer than that of this machine.
    #[must_use]
    pub fn with_importer(self, importer: Importer) -> Self {
        Self { importer, ..self }
    }

    /// The settings in force. One call uses one copy to its end.
    #[must_use]
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reload: reads the settings again and puts them in force as a whole. On any error the old
    /// settings stay.
    ///
    /// # Errors
    /// The sentence for the administrator.
    pub fn reload(&self) -> Result<(), String> {
        let outcome = self
            .source
            .load()
            .map_err(|e| e.to_string())
            .and_then(|settings| {
                self.check_secrets(&settings);
                self.settle_counts();
                self.adopt(settings)
            });
        self.audit.write(match &outcome {
            Ok(()) => Line::new("reloaded").with("settings", self.source.path.display()),
            Err(why) => Line::new("reload_failed").with("reason", why).error(),
        });
        if outcome.is_ok() {
            self.look_up_names();
            // New secrets may open more records.
            let _ = self.records.note_more_uids(&self.settings().secrets);
            self.settle_counts();
            self.tell_missing_secrets();
        }
        outcome
    }

    fn adopt(&self, settings: Settings) -> Result<(), String> {
        let mut current = self
            .settings
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if current.store != settings.store {
            return Err("the store cannot change while the daemon runs: restart it".into());
        }
        let listens = |settings: &Settings| {
            let fleet = settings.fleet.as_ref();
            fleet.map(|fleet| (fleet.listen, fleet.tls.clone()))
        };
        if listens(&current) != listens(&settings) {
            return Err(
                "the fleet's address and files cannot change while the daemon runs: restart it"
                    .into(),
            );
        }
        self.records
            .put_in_force(&settings.secrets)
            .map_err(|needed| needed.to_string())?;
        self.audit.obey(settings.audit);
        *current = Arc::new(settings);
        Ok(())
    }

    /// The one reading of the clock that a call of this method is judged by. A question judges no
    /// code, and so measures no device's clock.
    #[must_use]
    pub fn moment(&self, method: Method) -> Moment {
        let rolled_back_tick = self.records.rolled_back_tick();
        match method {
            Method::Challenge | Method::OfflineCopy => {
                self.clock.moment_of_question(rolled_back_tick)
            }
            _ => self.clock.moment(rolled_back_tick),
        }
    }

    /// How many connections are open.
    #[must_use]
    pub fn open_connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Begins a free attempt, if the caller has one left. Processes of root, administrators and the
    /// helpdesk have no limit.
    ///
    /// # Errors
    /// [`Error::Busy`].
    pub(crate) fn may_try(&self, call: &Call<'_>) -> Result<Attempt<'_>, Error> {
        let attempt = self.free_attempts.begin(call.tries());
        attempt.ok_or_else(|| Error::busy(TOO_OFTEN))
    }

    /// Counts a wrong answer of the caller that the account was not charged for.
    pub fn was_wrong_for_free(&self, call: &Call<'_>) {
        if let Some(tries) = call.tries() {
            self.free_attempts.count(tries);
        }
    }
}

const TOO_OFTEN: &str = "your processes sent twenty wrong codes within an hour: wait a few minutes, or ask an administrator";
