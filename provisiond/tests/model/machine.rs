//! The shipped daemon, from a message to its reply, on a clock and with a store that the test
//! moves. In one thread, unless a test makes others.

use std::fs::{self, Permissions};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use common::config::audit::AuditSettings;
use common::config::{Settings, Trust};
use provisiond::audit::skew::Skews;
use provisiond::audit::{Audit, Target};
use provisiond::clock::Clock;
use provisiond::clock::mark::{BootId, Reading};
use provisiond::identity::caller::{Caller, Peer};
use provisiond::identity::names::Names;
use provisiond::identity::permission::Visitor;
use provisiond::records::Records;
use provisiond::server::dispatch::{Replies, dispatch};
use provisiond::service::{Service, SettingsSource};
use provisiond::store::Store;
use provisiond::store::sled::{Place, SledStore};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::time::UNNOTICED;

/// The daemon, its clocks and its files.
pub(crate) struct Machine {
    folder: TempDir,
    clocks: Arc<Mutex<Clocks>>,
    audit: Audit,
    around: Around,
    service: Option<Service>,
}

/// What stands between the daemon and its store.
pub(crate) type Around = Box<dyn Fn(SledStore) -> Box<dyn Store> + Send + Sync>;

/// Seconds.
#[derive(Clone, Copy)]
pub(crate) struct Clocks {
    pub(crate) boot: u128,
    pub(crate) wall: u64,
    pub(crate) running: u64,
    /// The kernel holds its clock for right.
    pub(crate) synchronised: bool,
}

impl Machine {
    pub(crate) fn start(wall: u64) -> Self {
        Self::start_with(wall, "", Box::new(|store| Box::new(store)))
    }

    /// With more lines of settings, and a store in the test's hand.
    pub(crate) fn start_with(wall: u64, more: &str, around: Around) -> Self {
        let place = Path::new("/dev/shm");
        let folder = if place.is_dir() {
            tempfile::tempdir_in(place)
        } else {
            tempfile::tempdir()
        };
        let clocks = Arc::new(Mutex::new(Clocks {
            boot: 1,
            wall,
            running: 1000,
            synchronised: true,
        }));
        let audit = Audit::start(Target::Stderr, AuditSettings::default()).expect("a thread");
        let mut machine = Self {
            folder: folder.expect("a folder"),
            clocks,
            audit,
            around,
            service: None,
        };
        let settings = machine.path("settings.yaml");
        fs::write(&settings, format!("{SETTINGS}{more}")).expect("settings");
        fs::set_permissions(&settings, Permissions::from_mode(0o600)).expect("their mode");
        machine.run();
        machine
    }

    pub(crate) fn clocks(&self) -> Clocks {
        *self.clocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn change_clocks(&self, change: impl FnOnce(&mut Clocks)) {
        change(&mut self.clocks.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// What a process of root's is told: the reply's parameters, or the error's short name.
    pub(crate) fn call(&self, pid: i32, method: &str, parameters: &Value) -> Result<Value, String> {
        self.call_by(Peer { uid: 0, pid }, method, parameters)
    }

    /// The same of any process. A name service and a store that have other things to do are waited
    /// for.
    pub(crate) fn call_by(
        &self,
        peer: Peer,
        method: &str,
        parameters: &Value,
    ) -> Result<Value, String> {
        let service = self.service.as_ref().expect("a running daemon");
        let (ours, theirs) = UnixStream::pair().expect("sockets");
        let replies = Replies::within(theirs.as_fd(), Duration::from_secs(60));
        let names = service.names.asking().until(replies.deadline);
        let settings = service.settings();
        let caller = Caller::identify(peer, &settings.roles, names)
            .ok()
            .flatten();
        let visitor = Visitor {
            peer,
            caller,
            names,
        };
        let call = json!({ "method": format!("{}.{method}", common::wire::protocol::NAME), "parameters": parameters });
        dispatch(
            service,
            (&visitor, settings),
            call.to_string().as_bytes(),
            &replies,
        )
        .expect("a reply");
        drop(theirs);
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut &ours, &mut bytes).expect("a reply");
        let reply: Value =
            serde_json::from_slice(bytes.strip_suffix(b"\0").expect("a whole reply"))
                .expect("JSON");
        match reply["error"].as_str() {
            Some(error) => Err(error.rsplit('.').next().unwrap_or(error).to_owned()),
            None => Ok(reply["parameters"].clone()),
        }
    }

    /// Ends the daemon and starts it again on the same files.
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.run();
    }

    /// The same with another boot of the machine in between, which lasts `seconds` by the clock.
    pub(crate) fn boot(&mut self, seconds: i64) {
        self.stop();
        self.begin_a_boot(seconds);
        self.run();
    }

    /// The same, and while the machine is off its whole disk is put back as it was when the copy
    /// was made.
    pub(crate) fn boot_with_the_copied_disk(&mut self, seconds: i64) {
        self.stop();
        self.copy_store("copy", "store");
        fs::copy(self.path("copy.marker"), self.path("store.marker")).expect("a marker");
        self.begin_a_boot(seconds);
        self.run();
    }

    fn begin_a_boot(&self, seconds: i64) {
        self.change_clocks(|clocks| {
            let wall = clocks.wall.saturating_add_signed(seconds);
            *clocks = Clocks {
                boot: clocks.boot + 1,
                wall,
                running: UNNOTICED,
                ..*clocks
            };
        });
        // It is on a tmpfs.
        fs::remove_file(self.path("mirror")).expect("a mirror");
    }

    /// Keeps a copy of the store as it is now.
    pub(crate) fn keep_a_copy(&mut self) {
        self.stop();
        self.copy_store("store", "copy");
        fs::copy(self.path("store.marker"), self.path("copy.marker")).expect("a marker");
        self.run();
    }

    /// Puts the store back as it was when the copy was made.
    pub(crate) fn restore_the_copy(&mut self) {
        self.stop();
        self.copy_store("copy", "store");
        self.run();
    }

    /// Copies a store and its journal.
    fn copy_store(&self, from: &str, to: &str) {
        for ending in ["", ".journal"] {
            let [from, to] = [from, to].map(|name| self.path(&format!("{name}{ending}")));
            copy(&from, &to);
        }
    }

    fn stop(&mut self) {
        if let Some(service) = self.service.take() {
            service.records.close();
        }
    }

    fn run(&mut self) {
        let trust = Trust::new(nix::unistd::Uid::effective().as_raw(), None);
        let source = SettingsSource {
            path: self.path("settings.yaml"),
            trust,
        };
        let settings: Settings = source.load().expect("settings");
        let clocks = Arc::clone(&self.clocks);
        let read = move || {
            let Clocks {
                boot,
                wall,
                running,
                ..
            } = *clocks.lock().unwrap_or_else(PoisonError::into_inner);
            let micros = |seconds: u64| i64::try_from(seconds * 1_000_000).expect("a time");
            Reading {
                boot: BootId::from(boot),
                wall: micros(wall),
                running: micros(running),
            }
        };
        let clocks = Arc::clone(&self.clocks);
        let synchronised = move || {
            let clocks = clocks.lock().unwrap_or_else(PoisonError::into_inner);
            Some(clocks.synchronised)
        };
        let clock = Clock::new(read, synchronised, |_| ());
        let place = Place {
            path: self.path("store"),
            cache_mib: 1,
            mirror: Some(self.path("mirror")),
        };
        let store = SledStore::open(&place, Arc::clone(&clock), |_| (), |why| panic!("{why}"))
            .expect("a store");
        let names = Names::start().expect("threads");
        let records = Records::new((self.around)(store), Arc::clone(&clock));
        let skews = Skews::start(self.audit.clone()).expect("a thread");
        self.service = Some(Service::new(
            records,
            clock,
            self.audit.clone(),
            skews,
            names,
            settings,
            source,
        ));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for Machine {
    /// Before its folder goes.
    fn drop(&mut self) {
        self.stop();
    }
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder").map_while(Result::ok) {
        match entry.file_type().expect("its kind").is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy")),
        }
    }
}

const SETTINGS: &str = "totp: {context: {secrets: {1: a secret of the model's test}}}\n\
                        enroll-at-login: true\n\
                        provisiond: {helpdesk-group: games}\n\
                        limits: {trusted-sources: [192.0.2.0/24]}\n\
                        rules: [{name: guest, users: [bin], services: [door], from: [192.0.2.1]}]\n";
