//! The daemon without the feature `fleet`: settings of a fleet end its start with a sentence.

use std::net::TcpListener;
use std::sync::Arc;

use common::config::{RelaySettings, Settings};

use super::run::{Begun, End, pulse};
use crate::server::{Server, Sockets};
use crate::service::{Service, SettingsSource};

/// Why the daemon cannot be part of the fleet.
#[derive(Debug, thiserror::Error)]
#[error(
    "the settings have '{0}', and this provisiond was built without the feature 'fleet': install the one that has it, or \
     remove that section"
)]
pub(super) struct CannotServe(&'static str);

/// What a verifier listens with: nothing.
pub(super) struct Listening;

pub(super) fn listen(settings: &Settings) -> Result<Option<TcpListener>, CannotServe> {
    match settings.fleet {
        Some(_) => Err(CannotServe("provisiond.fleet")),
        None => Ok(None),
    }
}

pub(super) fn listening(
    _listener: Option<TcpListener>,
    _settings: &Settings,
    _source: &SettingsSource,
) -> Result<Option<Listening>, CannotServe> {
    Ok(None)
}

pub(super) fn start_server(
    service: Arc<Service>,
    sockets: Sockets,
    _listening: Option<Listening>,
) -> Result<Server, End> {
    Ok(Server::start(service, sockets, pulse())?)
}

pub(super) fn serve_as_relay(_begun: Begun) -> Result<(), End> {
    Err(CannotServe("provisiond.upstream").into())
}

pub(super) fn check_relay(
    _settings: &RelaySettings,
    _source: &SettingsSource,
) -> Result<(), CannotServe> {
    Err(CannotServe("provisiond.upstream"))
}

pub(super) fn check_verifier(
    settings: &Settings,
    _source: &SettingsSource,
) -> Result<(), CannotServe> {
    listen(settings).map(drop)
}
