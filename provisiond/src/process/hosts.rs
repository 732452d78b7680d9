//! The daemon in a fleet: as a relay of a login host, and as a verifier that listens for relays.

use std::net::TcpListener;
use std::sync::Arc;

use common::config::fleet::WhenCutOff;
use common::config::{RelaySettings, Settings};
use sd_notify::NotifyState;

use super::notify;
use super::run::{Begun, End, drain_deadline, pulse, wait_for_the_end};
use crate::audit::Line;
use crate::identity::names::Names;
use crate::relay::{CannotRelay, Relay};
use crate::server::remote::Listening;
use crate::server::tls::{BadFiles, Kept, for_relay, for_verifier};
use crate::server::{Server, Sockets};
use crate::service::{Service, SettingsSource};

/// Why the daemon cannot be part of the fleet.
#[derive(Debug, thiserror::Error)]
pub(super) enum CannotServe {
    #[error("cannot listen on {address} ('provisiond.fleet.listen'): {error}")]
    Listen {
        address: std::net::SocketAddr,
        error: std::io::Error,
    },
    #[error("the settings have just become a verifier's: start the daemon again")]
    Changed,
    #[error(transparent)]
    Files(#[from] BadFiles),
    #[error(transparent)]
    Relay(#[from] CannotRelay),
}

/// The socket for relays. Made while the process may be root, because the port may be a privileged
/// one.
pub(super) fn listen(settings: &Settings) -> Result<Option<TcpListener>, CannotServe> {
    let listen = |fleet: &common::config::fleet::Fleet| {
        let address = fleet.listen;
        TcpListener::bind(address).map_err(|error| CannotServe::Listen { address, error })
    };
    settings.fleet.as_ref().map(listen).transpose()
}

/// The socket, and the files of TLS as the daemon's account reads them.
pub(super) fn listening(
    listener: Option<TcpListener>,
    settings: &Settings,
    source: &SettingsSource,
) -> Result<Option<Listening>, CannotServe> {
    let both = listener.zip(settings.fleet.as_ref());
    let listening = both
        .map(|(listener, fleet)| Listening::new(listener, fleet.tls.clone(), source.trust.clone()));
    Ok(listening.transpose()?)
}

/// Starts to serve.
pub(super) fn start_server(
    service: Arc<Service>,
    sockets: Sockets,
    listening: Option<Listening>,
) -> Result<Server, End> {
    Ok(Server::start_for_fleet(
        service,
        sockets,
        listening,
        pulse(),
    )?)
}

/// Serves until a signal ends it.
pub(super) fn serve_as_relay(begun: Begun) -> Result<(), End> {
    begun.become_the_daemon()?;
    let common::config::Part::Relay(settings) = begun.source.load_part()? else {
        return Err(CannotServe::Changed.into());
    };
    let audit = begun.start_log(settings.audit)?;
    let Begun {
        signals,
        source,
        sockets,
        ..
    } = begun;
    let relay = Relay::start(*settings, source, audit, Names::start()?);
    let relay = Arc::new(relay.map_err(CannotServe::Relay)?);
    let desk = Arc::clone(&relay);
    let mut server = Server::start(desk, sockets, pulse())?;
    let line = Line::new("started").with("version", env!("CARGO_PKG_VERSION"));
    relay.audit.write(line.with("store", "none"));
    notify(&[NotifyState::Ready]);
    relay.look_up_names();
    wait_for_the_end(&signals, || _ = relay.reload());
    notify(&[NotifyState::Stopping]);
    server.drain(drain_deadline());
    relay.audit.write(Line::new("stopped"));
    relay.audit.flush();
    Ok(())
}

/// Says whether a relay could start with these settings.
pub(super) fn check_relay(
    settings: &RelaySettings,
    source: &SettingsSource,
) -> Result<(), CannotServe> {
    let tls = settings.upstream.tls.clone();
    Kept::read(tls, source.trust.clone(), for_relay)?;
    let servers = settings.upstream.servers.iter().map(ToString::to_string);
    println!(
        "{}: the settings can be used; this is a relay, and asks {}",
        source.path.display(),
        servers.collect::<Vec<_>>().join(", ")
    );
    if settings.upstream.when_cut_off == WhenCutOff::TwoCodes {
        println!("{WHEN_CUT_OFF}");
    }
    Ok(())
}

/// Says what is wrong with the files that a verifier of a fleet needs.
pub(super) fn check_verifier(
    settings: &Settings,
    source: &SettingsSource,
) -> Result<(), CannotServe> {
    if let Some(fleet) = &settings.fleet {
        Kept::read(fleet.tls.clone(), source.trust.clone(), for_verifier)?;
        let rules = fleet.hosts.iter().filter(|rule| rule.offline_copy);
        let names: Vec<_> = rules.map(|rule| format!("'{}'", rule.name)).collect();
        if !names.is_empty() {
            println!("{COPIES_FOR}: {}", names.join(", "));
        }
    }
    Ok(())
}

const WHEN_CUT_OFF: &str = "while no verifier can be reached, two codes open a login here, if the verifiers give this host \
                            copies ('offline-copy: true' in its rule there; 'totpctl status' says if they refuse)";
const COPIES_FOR: &str = "hosts of these rules get offline copies, by which two codes open a login while they reach no verifier, if \
                          their settings have 'policy.when-cut-off: two-codes'";
