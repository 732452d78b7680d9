//! What the daemon knows of the fleet: the other daemons of its store, with which it exchanges notes, and
//! the hosts that have asked it.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::config::Settings;
use common::wire::protocol::FleetState;
use nix::unistd::gethostname;

use super::Service;
use crate::clock;
use crate::in_memory::peers::{Heard, Told};

impl Service {
    /// Exchanges notes with the other daemons of the store every few seconds, until the process ends.
    /// A store that does not work says so by itself.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn keep_in_touch(self: &Arc<Self>) -> io::Result<()> {
        let service = Arc::clone(self);
        let thread = std::thread::Builder::new().name("notes".into());
        let begun = thread.spawn(move || {
            loop {
                service.exchange_notes();
                std::thread::sleep(pause());
            }
        });
        begun.map(drop)
    }

    fn exchange_notes(&self) {
        let settings = self.settings();
        let Ok(note) = serde_json::to_vec(&note(&settings)) else {
            return;
        };
        let gone = self.peers.gone(clock::now());
        let Ok(notes) = self.records.exchange_notes(&note, &gone) else {
            return;
        };
        let heard = notes.iter().map(|note| Heard {
            name: &note.name,
            is_own: note.is_own,
            revision: note.revision,
            text: &note.text,
        });
        self.peers.hear(heard, clock::now(), Instant::now());
    }

    /// What `Status` tells of the fleet. `None`: the daemon is in none.
    pub(crate) fn fleet(&self, settings: &Settings) -> Option<FleetState> {
        let verifiers = self.peers.told(Instant::now());
        let is_in_one = settings.fleet.is_some() || !verifiers.is_empty();
        is_in_one.then(|| FleetState {
            verifiers,
            hosts: self.hosts.told(),
        })
    }
}

fn note(settings: &Settings) -> Told {
    let host = gethostname().unwrap_or_default();
    Told {
        host: host.to_string_lossy().into_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        default_tag: settings.secrets.default_tag().to_string(),
        tags: settings.secrets.tags().map(ToString::to_string).collect(),
        now: clock::now(),
    }
}

/// Another one each time, so that two daemons that look at each other do so at every distance.
fn pause() -> Duration {
    let mut random = [0];
    _ = getrandom::fill(&mut random);
    let [random] = random;
    LEAST.saturating_add(Duration::from_millis(u64::from(random).saturating_mul(20)))
}

/// The longest pause is five seconds more.
const LEAST: Duration = Duration::from_secs(5);
