//! Arms and disarms the systemd units that take an unconfirmed set-up back: a timer that looks
//! twice a minute, and a service that runs at the next boot.

use std::fs::File;

use nix::unistd::syncfs;

use super::programs::{has_systemd, run};
use crate::exit::Failure;

/// Starts the timer, and makes it survive a reboot. Returns when that is durable.
pub(crate) fn arm() -> Result<(), Failure> {
    let armed = || -> Result<(), String> {
        run("systemctl", &["enable", "--quiet", SERVICE, TIMER])?;
        run("systemctl", &["start", TIMER])?;
        run("systemctl", &["is-active", "--quiet", TIMER])?;
        // systemctl makes links in /etc, and does not wait for the disk.
        let etc = File::open("/etc").map_err(|error| error.to_string())?;
        syncfs(&etc).map_err(|errno| errno.desc().to_owned())
    };
    armed().map_err(|told| {
        Failure::SetUp(format!(
            "the rollback cannot be armed, and nothing was changed: {told}: reinstall the package, or see --no-rollback"
        ))
    })
}

/// Stops it. The service itself may be running: it is left alone.
pub(crate) fn disarm() -> Result<(), Failure> {
    if !has_systemd() {
        return Ok(());
    }
    run("systemctl", &["disable", "--quiet", SERVICE, TIMER])
        .and_then(|_| run("systemctl", &["stop", TIMER]))
        .map(drop)
        .map_err(|told| Failure::SetUp(format!("the timer of the rollback goes on, idle: {told}")))
}

const SERVICE: &str = "pam-totp-setup-undo.service";
const TIMER: &str = "pam-totp-setup-undo.timer";
