//! The store on real etcd: faults of the cluster, each a sentence; what a lost answer leaves; and a
//! store that was put back from an older state.

mod certificates;
mod cluster;
mod faults;
mod going_back;
mod members;
mod moving;
mod preparing;
mod settling;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use common::config::EtcdSettings;
use common::names::user::UserName;

pub(in crate::store) use self::cluster::shared;
use self::cluster::{Cluster, trust};
use super::*;

/// A machine whose daemon keeps its records on that cluster, below a prefix of its own.
pub(in crate::store) struct Machine {
    settings: EtcdSettings,
    folder: tempfile::TempDir,
}

impl Machine {
    pub(in crate::store) fn of(cluster: &Cluster) -> Self {
        static PREFIXES: AtomicU32 = AtomicU32::new(0);
        let number = PREFIXES.fetch_add(1, Ordering::SeqCst);
        Self::below(cluster, &format!("/test/{number}/"))
    }

    /// One more machine of the fleet that uses this prefix.
    fn below(cluster: &Cluster, prefix: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = cluster.settings(prefix, folder.path());
        Self { settings, folder }
    }

    pub(in crate::store) fn open_with(&self, clock: Arc<Clock>) -> Result<EtcdStore, OpenError> {
        self.open_hearing(clock, |_| (), |why| panic!("{why}"))
    }

    fn open_hearing(
        &self,
        clock: Arc<Clock>,
        tell: impl Fn(Told) + Send + Sync + 'static,
        fatal: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<EtcdStore, OpenError> {
        let mirror = Some(self.mirror());
        let (settings, trust) = (&self.settings, &trust());
        EtcdStore::open(
            &Place {
                settings,
                trust,
                mirror,
            },
            clock,
            tell,
            fatal,
        )
    }

    fn open(&self) -> EtcdStore {
        self.open_with(Clock::of_this_machine(|_| ())).unwrap()
    }

    /// A store, and what it tells.
    fn open_and_hear(&self) -> (EtcdStore, Receiver<String>) {
        let (tells, heard) = channel();
        let fails = tells.clone();
        let tell = move |told| {
            let word = match told {
                Told::NotReached(why) => why,
                Told::Reached => REACHED.to_owned(),
            };
            _ = tells.send(word);
        };
        let fatal = move |why: &str| _ = fails.send(format!("fatal: {why}"));
        let clock = Clock::of_this_machine(|_| ());
        (self.open_hearing(clock, tell, fatal).unwrap(), heard)
    }

    fn why_not(&self) -> String {
        let opened = self.open_with(Clock::of_this_machine(|_| ()));
        opened.err().unwrap().to_string()
    }

    fn mirror(&self) -> PathBuf {
        self.folder.path().join("generation")
    }

    fn witness(&self) -> PathBuf {
        self.folder.path().join("store.etcd")
    }
}

const REACHED: &str = "reached";

fn user(name: &str) -> UserName {
    UserName::new(name).unwrap()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn within(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(seconds)
}

fn done(answer: Result<Outcome, Unavailable>) -> Version {
    match answer {
        Ok(Outcome::Done(version)) => version,
        other => panic!("{other:?}"),
    }
}

fn loaded(store: &EtcdStore, name: &str) -> Option<Vec<u8>> {
    store.load(&user(name)).unwrap().map(|stored| stored.bytes)
}
