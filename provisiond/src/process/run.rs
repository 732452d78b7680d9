//! Runs the daemon: command line options, `--check`, start, signals (reload, stop), exit codes.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use common::config::audit::AuditSettings;
use common::config::values::group_days::GroupDays;
use common::config::{
    ConfigError, DEFAULT_SETTINGS, Part, RelaySettings, Settings, StoreSettings, Trust,
};
use common::wire::text::printable;
use data_encoding::BASE64_NOPAD;
use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::geteuid;
use sd_notify::NotifyState;
use zeroize::Zeroizing;

use crate::audit::skew::Skews;
use crate::audit::{Audit, Line, Target};
use crate::clock::mark::Reason;
use crate::clock::sys;
use crate::clock::{self, Clock, noticing};
use crate::identity::names::Names;
use crate::process::migrate::Side;
use crate::process::startup::{self, CannotStart};
use crate::process::{backup, etcd, hosts, memory, migrate, notify, opening};
use crate::records::Records;
use crate::server::{Pulse, Sockets};
use crate::service::importer::Importer;
use crate::service::{Service, SettingsSource};
use crate::store::moving::NotMoved;
use crate::store::sled::OpenError;

/// Enrols users, seals their TOTP keys and alone judges their codes.
#[derive(Debug, Parser)]
#[command(name = "provisiond", version, about, long_about = None)]
pub struct Arguments {
    /// The settings file [default: $PAM_TOTP_SETTINGS, else /etc/pam-totp/settings.yaml]
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Where the sockets and the mirror of the store's generation lie
    #[arg(long, value_name = "DIR", default_value = "/run/pam-totp")]
    runtime_dir: PathBuf,
    /// Where audit lines go
    #[arg(long, value_enum, value_name = "WHERE", default_value = "syslog")]
    log: Log,
    /// Check the settings and the application secrets, say what is wrong, and exit;
    /// 'totpctl doctor' checks PAM, sshd and the running daemon as well
    #[arg(long, conflicts_with = "new_secret")]
    check: bool,
    /// Print a line for the secrets file, with a new random application secret, and exit
    #[arg(long)]
    new_secret: bool,
    /// Write a backup of the store to standard output, and exit: see 'totpctl backup'
    #[arg(long, group = "backups")]
    backup: bool,
    /// Say what is in the backup on standard input, and whether the application secrets open it, and exit
    #[arg(long, group = "backups")]
    check_backup: bool,
    /// Put the backup on standard input in the place of the store, while no daemon runs, and exit
    #[arg(long, group = "backups")]
    restore: bool,
    /// With --restore: also if the store has users; it is kept beside the new one
    #[arg(long, requires = "restore")]
    replace: bool,
    /// Move all records to the store of the settings in FILE, while no daemon of this machine runs, and
    /// exit: see 'totpctl migrate'
    #[arg(long, group = "backups", value_name = "FILE")]
    migrate_to: Option<PathBuf>,
    /// Make the user and the role in etcd that the store needs, as etcd's root, whose certificate and key
    /// are read from standard input, and exit
    #[arg(long, group = "backups")]
    prepare_etcd: bool,
    /// With --prepare-etcd: also make etcd's user root, and turn authentication on
    #[arg(long, requires = "prepare_etcd")]
    enable_auth: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Log {
    /// The system's log, facility authpriv
    Syslog,
    /// Standard error
    Stderr,
}

/// Does what the command line says. Prints the reason of a failure on standard error.
#[must_use]
pub fn run(arguments: Arguments) -> ExitCode {
    let done = if arguments.new_secret {
        new_secret()
    } else if arguments.check {
        check(&arguments)
    } else if arguments.backup {
        back_up(&arguments)
    } else if arguments.check_backup {
        check_backup(&arguments)
    } else if arguments.restore {
        put_back(&arguments)
    } else if let Some(to) = &arguments.migrate_to {
        migrate(&arguments, to)
    } else if arguments.prepare_etcd {
        prepare_etcd(&arguments)
    } else {
        serve(&arguments)
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(end) => {
            eprintln!("provisiond: {end}");
            ExitCode::from(end.exit_code())
        }
    }
}

/// The failures that end the daemon.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    #[error(transparent)]
    Settings(#[from] ConfigError),
    #[error(transparent)]
    Store(#[from] OpenError),
    #[error(transparent)]
    Etcd(#[from] etcd::CannotOpen),
    #[error(transparent)]
    Start(#[from] CannotStart),
    #[error("cannot start: {0}")]
    System(#[from] std::io::Error),
    #[error(transparent)]
    Hosts(#[from] hosts::CannotServe),
    #[error(transparent)]
    Backup(#[from] backup::Failure),
    #[error("{0}")]
    NotPrepared(String),
    #[error(transparent)]
    NotMoved(#[from] NotMoved),
    #[error("the system gave no random bytes: try again later")]
    NoRandomness,
}

impl End {
    /// 70 if a restart may mend the failure, 78 if the administrator has to.
    fn exit_code(&self) -> u8 {
        match self {
            Self::Settings(_)
            | Self::Hosts(_)
            | Self::Start(CannotStart::NoAccount | CannotStart::Sockets | CannotStart::Folder(_)) => {
                78
            }
            Self::Store(error) if error.needs_the_administrator() => 78,
            Self::Etcd(error) if error.needs_the_administrator() => 78,
            Self::Backup(_) | Self::NotPrepared(_) | Self::NotMoved(_) => 1,
            Self::Store(_)
            | Self::Etcd(_)
            | Self::Start(_)
            | Self::System(_)
            | Self::NoRandomness => opening::STORE_FAILED,
        }
    }
}

fn back_up(arguments: &Arguments) -> Result<(), End> {
    let (settings, _) = as_the_daemon(arguments)?;
    backup::make(&settings)?.print();
    Ok(())
}

fn check_backup(arguments: &Arguments) -> Result<(), End> {
    let (settings, _) = as_the_daemon(arguments)?;
    backup::check(&settings)?.print();
    Ok(())
}

fn put_back(arguments: &Arguments) -> Result<(), End> {
    let account = startup::daemon_account()?;
    let mirror = startup::generation_mirror(&arguments.runtime_dir, account).ok();
    let (settings, _) = as_the_daemon(arguments)?;
    backup::put_back(&settings, mirror, arguments.replace)?.print();
    Ok(())
}

fn migrate(arguments: &Arguments, to: &Path) -> Result<(), End> {
    let account = startup::daemon_account()?;
    let mirror = startup::generation_mirror(&arguments.runtime_dir, account).ok();
    let from = source_as_the_daemon(arguments)?;
    let to = SettingsSource {
        path: to.to_owned(),
        trust: from.trust.clone(),
    };
    let side = |source: &SettingsSource| -> Result<Side, End> {
        Ok(Side {
            file: source.path.clone(),
            settings: source.load()?,
        })
    };
    let (old, new) = (side(&from)?, side(&to)?);
    migrate::run(&old, &new, &from.trust, mirror.as_deref())?.print();
    Ok(())
}

fn prepare_etcd(arguments: &Arguments) -> Result<(), End> {
    let source = source_as_the_daemon(arguments)?;
    let settings = source.load()?;
    let prepared = etcd::prepare(&settings.store, &source.trust, arguments.enable_auth);
    prepared.map_err(|why| End::NotPrepared(why.to_string()))
}

/// Becomes the daemon's account, and reads the settings as it does.
fn as_the_daemon(arguments: &Arguments) -> Result<(Settings, PathBuf), End> {
    let source = source_as_the_daemon(arguments)?;
    Ok((source.load()?, source.path))
}

/// Becomes the daemon's account.
fn source_as_the_daemon(arguments: &Arguments) -> Result<SettingsSource, End> {
    startup::harden()?;
    // Where the system does not allow it, the daemon itself says so.
    let _ = memory::lock();
    let account = startup::daemon_account()?;
    let source = source(arguments, account);
    startup::drop_privileges(account)?;
    // The change of uid has reset the dumpable flag.
    startup::harden()?;
    Ok(source)
}

fn new_secret() -> Result<(), End> {
    let mut random = Zeroizing::new([0; 32]);
    getrandom::fill(random.as_mut()).map_err(|_| End::NoRandomness)?;
    let secret = Zeroizing::new(BASE64_NOPAD.encode(random.as_ref()));
    // The time as a tag: the newest secret is the numerically greatest, and so the default.
    println!("{}: {}", clock::now(), *secret);
    Ok(())
}

fn check(arguments: &Arguments) -> Result<(), End> {
    // As the daemon's account, so that root hears of files that the daemon could not read.
    let source = source_as_the_daemon(arguments)?;
    let settings = match source.load_part()? {
        Part::Judge(settings) => settings,
        Part::Relay(settings) => {
            hosts::check_relay(&settings, &source)?;
            name_ignored(&settings.left_alone);
            return Ok(());
        }
    };
    hosts::check_verifier(&settings, &source)?;
    if let StoreSettings::Etcd(shared) = &settings.store {
        etcd::check(shared, &source.trust)?;
    }
    println!(
        "{}: the settings can be used; new keys are sealed under '{}'",
        source.path.display(),
        settings.secrets.default_tag()
    );
    name_groups_without_ticket(&settings.enroll_at_login.without_ticket_until);
    if settings.import_at_login {
        name_import(&Importer::in_folder(&arguments.runtime_dir));
    }
    name_ignored(&settings.left_alone);
    Ok(())
}

/// Says that logins import files from home folders: it is for a time only, too.
fn name_import(importer: &Importer) {
    println!(
        "a login imports the google-authenticator's file of a user without a record: switch it off when the roll-out ends."
    );
    if !importer.is_there() {
        println!(
            "no importer listens, so that no file is imported; to start it: systemctl enable --now pam-totp-importer.socket"
        );
    }
}

/// Names the groups whose members can enrol with the first factor alone: it holds for a time only,
/// and is easily forgotten in a file.
fn name_groups_without_ticket(days: &GroupDays) {
    if !days.is_empty() {
        let until: Vec<String> = days
            .0
            .iter()
            .map(|(scope, day)| format!("'{}' until {day}", printable(scope.as_str())))
            .collect();
        println!(
            "users that can enrol at the prompt without a ticket, with the first factor alone: {}.",
            until.join(", ")
        );
    }
}

/// Names the sections that the daemon ignores. They are no error: the file may hold other programs'
/// settings.
fn name_ignored(sections: &[String]) {
    if !sections.is_empty() {
        let names: Vec<String> = sections
            .iter()
            .map(|name| format!("'{}'", printable(name)))
            .collect();
        println!(
            "ignored sections: {}. Check the spelling; sections of other programs are fine.",
            names.join(", ")
        );
    }
}

fn serve(arguments: &Arguments) -> Result<(), End> {
    // Only this thread waits for signals, so every later thread must have them blocked.
    let signals = block_signals()?;
    startup::harden()?;
    startup::lift_file_limit();
    // Before the first secret is read into memory.
    let locked = memory::lock();
    let account = startup::daemon_account()?;
    let source = source(arguments, account);
    // Bad settings end the start here, before it touches what a running daemon may use.
    let part = source.load_part()?;
    let sockets = startup::sockets(&arguments.runtime_dir)?;
    let begun = Begun {
        signals,
        locked,
        account,
        source,
        sockets,
        log: arguments.log,
    };
    match part {
        Part::Judge(settings) => {
            let listener = hosts::listen(&settings)?;
            let mirror = startup::generation_mirror(&arguments.runtime_dir, account);
            serve_as_judge(begun, mirror, listener, &arguments.runtime_dir)
        }
        Part::Relay(_) => hosts::serve_as_relay(begun),
    }
}

/// What both parts of a daemon begin with, while they may be root.
pub(super) struct Begun {
    pub(super) signals: SigSet,
    locked: Result<(), Errno>,
    account: startup::Account,
    pub(super) source: SettingsSource,
    pub(super) sockets: Sockets,
    log: Log,
}

impl Begun {
    /// Gives root up.
    pub(super) fn become_the_daemon(&self) -> Result<(), End> {
        startup::drop_privileges(self.account)?;
        // The change of uid has reset the dumpable flag, which allows debuggers and core files
        // (prctl(2), PR_SET_DUMPABLE).
        Ok(startup::harden()?)
    }

    /// Starts the log.
    pub(super) fn start_log(&self, settings: AuditSettings) -> Result<Audit, End> {
        let target = match self.log {
            Log::Syslog => Target::Syslog,
            Log::Stderr => Target::Stderr,
        };
        let audit = Audit::start(target, settings)?;
        if let Err(errno) = self.locked {
            audit.write(not_locked(errno));
        }
        Ok(audit)
    }
}

fn serve_as_judge(
    begun: Begun,
    mirror: std::io::Result<PathBuf>,
    listener: Option<TcpListener>,
    runtime_dir: &Path,
) -> Result<(), End> {
    begun.become_the_daemon()?;
    let settings = begun.source.load()?;
    let listening = hosts::listening(listener, &settings, &begun.source)?;
    let audit = begun.start_log(settings.audit)?;
    audit.remember(settings.store.path())?;
    let mirror = mirror
        .inspect_err(|error| audit.write(without_mirror(error)))
        .ok();
    let Begun {
        signals,
        source,
        sockets,
        ..
    } = begun;
    let clock = watched_clock(&audit);
    let around = (&clock, &audit, &signals);
    let Some(store) = opening::open(&settings.store, &source.trust, mirror, around)? else {
        return Ok(());
    };
    opening::tell_concern(&settings.store, &audit);
    noticing::start(Arc::clone(&clock))?;
    let records = Records::new(store, Arc::clone(&clock));
    // A store that cannot be read now is read again when a uid is first asked for.
    let _ = records.take_stock(&settings.secrets, opening::goes_on);
    let skews = Skews::start(audit.clone())?;
    let service = Service::new(
        records,
        clock,
        audit,
        skews,
        Names::start()?,
        settings,
        source,
    );
    let service = Arc::new(service.with_importer(Importer::in_folder(runtime_dir)));
    service.check_secrets(&service.settings());
    let mut server = hosts::start_server(Arc::clone(&service), sockets, listening)?;
    tell_started(&service);
    service.tell_missing_secrets();
    notify(&[NotifyState::Ready]);
    service.look_up_names();
    if matches!(service.settings().store, StoreSettings::Etcd(_)) {
        service.keep_in_touch()?;
    }
    // A bad settings file is logged and changes nothing.
    wait_for_the_end(&signals, || _ = service.reload());
    notify(&[NotifyState::Stopping]);
    service.audit.end_following();
    server.drain(drain_deadline());
    service.records.close();
    service.audit.write(Line::new("stopped"));
    service.skews.flush();
    service.audit.flush();
    Ok(())
}

/// When calls in progress are no longer waited for.
pub(super) fn drain_deadline() -> Instant {
    let now = Instant::now();
    now.checked_add(DRAIN_TIME).unwrap_or(now)
}

/// Where the settings are. Called before root is dropped: the default file of secrets may be root's
/// alone, as it may be under systemd, which reads it as root.
fn source(arguments: &Arguments, account: startup::Account) -> SettingsSource {
    let named = arguments
        .settings
        .clone()
        .or_else(|| std::env::var_os("PAM_TOTP_SETTINGS").map(PathBuf::from));
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let trust = Trust::new(account.uid.as_raw(), credentials);
    let path = named.unwrap_or_else(|| PathBuf::from(DEFAULT_SETTINGS));
    // A relay has no use for secrets, even if this machine has some. Settings that cannot be read are
    // no relay's; loading them says why.
    let wants_secrets = geteuid().is_root() && !RelaySettings::are_in(&path, &trust);
    SettingsSource {
        path,
        trust: match wants_secrets {
            true => trust.with_secrets_read_as_root(),
            false => trust,
        },
    }
}

/// The clock, which logs each of its events as one line.
fn watched_clock(audit: &Audit) -> Arc<Clock> {
    let log = audit.clone();
    Clock::of_this_machine(move |event| {
        let line = match event.reason {
            Reason::StoreRolledBack => Line::new("store_rolled_back").with(
                "reason",
                "the store was rolled back to an older state; codes from before are refused",
            ),
            reason => Line::new("clock_event")
                .with("reason", reason.word())
                .with("seconds", event.seconds),
        };
        log.write(line.with("at", event.at).warning());
    })
}

fn not_locked(errno: Errno) -> Line {
    let line = Line::new("memory_not_locked").with("error", errno);
    line.with(
        "reason",
        "keys may be swapped out: raise LimitMEMLOCK, or encrypt the swap area",
    )
    .warning()
}

fn without_mirror(error: &std::io::Error) -> Line {
    let line = Line::new("mirror_unavailable").with("error", error);
    line.with(
        "reason",
        "a roll-back of the store is found by the marker alone: run \
         'systemd-tmpfiles --create pam-totp.conf', then restart the daemon",
    )
    .warning()
}

fn tell_started(service: &Service) {
    let health = service.records.health().ok();
    let users = health.as_ref().map(|health| health.users);
    let line = Line::new("started")
        .with("version", env!("CARGO_PKG_VERSION"))
        .with_some("store", health.map(|health| health.kind));
    service.audit.write(line.with_some("users", users));
    if let Some(missing) = service.records.incomplete() {
        let line = Line::new("store_incomplete")
            .with_some("users", users)
            .with("known", missing.users)
            .with("reason", USERS_MAY_BE_MISSING);
        service.audit.write(line.error());
    }
    if sys::synchronised().is_none() {
        let line = Line::new("clock_sync_unknown").with(
            "reason",
            "the kernel does not tell whether its clock is synchronised",
        );
        service.audit.write(line);
    }
}

fn block_signals() -> Result<SigSet, End> {
    let signals: SigSet = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP]
        .into_iter()
        .collect();
    signals.thread_block().map_err(std::io::Error::from)?;
    Ok(signals)
}

/// Reloads on SIGHUP, returns on SIGTERM and SIGINT.
pub(super) fn wait_for_the_end(signals: &SigSet, reload: impl Fn()) {
    loop {
        match signals.wait() {
            Ok(Signal::SIGHUP) => {
                let reloading =
                    NotifyState::monotonic_usec_now().map(|now| [NotifyState::Reloading, now]);
                reloading.iter().for_each(|states| notify(states));
                reload();
                notify(&[NotifyState::Ready]);
            }
            Ok(_) => return,
            Err(_) => {}
        }
    }
}

/// The signs of life for the service manager, if it watches the daemon.
pub(super) fn pulse() -> Option<Pulse> {
    let alive = || notify(&[NotifyState::Watchdog]);
    sd_notify::watchdog_enabled().map(|within| Pulse::new(within, alive))
}

const USERS_MAY_BE_MISSING: &str = "the store is damaged, or older than it was: users that it does not hold are refused, \
                                    and no user is enrolled, until a good copy is put back or root runs \
                                    'totpctl store accept-loss'";
/// How long calls in progress may take when the daemon stops.
const DRAIN_TIME: Duration = Duration::from_secs(2);
