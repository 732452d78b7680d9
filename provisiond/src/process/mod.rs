//! The daemon as a process: command line, start, privileges, locked memory, exit code.

mod backup;
#[cfg_attr(not(feature = "etcd"), path = "without_etcd.rs")]
mod etcd;
mod full_disk;
#[cfg_attr(not(feature = "fleet"), path = "without_hosts.rs")]
mod hosts;
pub mod memory;
mod migrate;
mod opening;
pub mod run;
pub mod startup;

use sd_notify::NotifyState;

/// Notifies the service manager, if there is one (sd_notify).
fn notify(states: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(states);
}
