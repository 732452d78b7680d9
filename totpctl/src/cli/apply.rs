//! Arguments and help of `apply`.

use std::path::PathBuf;

use clap::Args;

/// The arguments of `apply`.
#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    /// YAML file of the users; '-': standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Change nothing; print what would be changed
    #[arg(long)]
    pub(crate) check: bool,
    /// Print each changed user's state before and after
    #[arg(long)]
    pub(crate) diff: bool,
    /// Append new tickets to this private file
    #[arg(long, value_name = "FILE")]
    pub(crate) tickets: Option<PathBuf>,
}

pub(super) const EXAMPLES: &str = "\
Examples:
  totpctl apply users.yaml --check --diff
  totpctl apply users.yaml
  totpctl apply users.yaml --tickets /root/tickets.jsonl
  totpctl --json apply - < users.json

The file:
  users:
    alice:
      state: active                 or disabled: the account
      enroll: ticket                a ticket, if alice was never enrolled
      devices:
        phone: {state: active}      or disabled, or absent: revoked
        token: {services: [sudo, su], from: 2026-12-01, until: 2027-01-31}
      exclusive: true               revoke devices that are not named here

What the file leaves out stays as it is. '~' takes a bound away, '[]' the
restriction to services. The file has no keys: a device that is missing is
enrolled by its user, and reported until then. Applied again, the file changes
nothing. If anything is wrong with it, nothing is changed; if the daemon
refuses a user, the others are done and the exit code is 1.";
