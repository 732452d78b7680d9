//! What `log` and `why` take.

use clap::Args;
use common::config::values::span::Span;

/// What `log` takes.
#[derive(Debug, Args)]
pub(crate) struct Log {
    /// Account name [default: everything]
    #[arg(value_name = "USER")]
    pub(crate) user: Option<String>,
    /// Only what happened in the last 90s, 15m, 24h or 7d
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Span>,
    /// Only the last N, at most 10000
    #[arg(short = 'n', long, value_name = "N", allow_negative_numbers = true,
          value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub(crate) lines: Option<u32>,
    /// Go on with what happens from now on
    #[arg(short, long)]
    pub(crate) follow: bool,
}

/// What `why` takes.
#[derive(Debug, Args)]
pub(crate) struct Why {
    /// Account name
    #[arg(value_name = "USER")]
    pub(crate) user: String,
    /// How many of the last attempts, at most 10000
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10, allow_negative_numbers = true,
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) lines: u32,
}

pub(super) const LOG_EXAMPLES: &str = "\
Examples:
  totpctl log                       everything that is remembered
  totpctl log alice --since 2h
  totpctl log --follow -n 0         what happens from now on
  totpctl --json log --follow       for programs: one JSON object a line

The daemon remembers the latest ten thousand events or so, over restarts. The
system's log (authpriv) has the same lines for as long as it keeps them. Times
are those of this machine's time zone.";

pub(super) const WHY_EXAMPLES: &str = "\
Examples:
  totpctl why alice                 the last ten attempts
  totpctl why alice -n 1
  totpctl --json why alice

Under each attempt that was refused stands the reason, and what helps. Where a
code was right for another time, it says how far the phone's clock is off.";
