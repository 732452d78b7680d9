//! Arguments and help of `metrics`.

use std::path::PathBuf;

use clap::Args;

/// The arguments of `metrics`.
#[derive(Debug, Args)]
pub(crate) struct MetricsArgs {
    /// Write to a file (.prom) for node_exporter's textfile
    /// collector, in one step
    #[arg(long, value_name = "FILE", verbatim_doc_comment)]
    pub(crate) textfile: Option<PathBuf>,
}

pub(super) const EXAMPLES: &str = "\
Examples:
  totpctl metrics
  totpctl metrics --textfile /var/lib/prometheus/node-exporter/pam-totp.prom
  systemctl enable --now pam-totp-metrics.timer     the same, every minute

For administrators only. No metric names a user, an address or a device, and
the verdicts do not tell which names are enrolled.

If the daemon does not answer, the only metric is 'pam_totp_up 0', and the
exit code is 3 (70: the store failed). Rules for alerts are among the examples
in /usr/share/doc/pam-totp.";
