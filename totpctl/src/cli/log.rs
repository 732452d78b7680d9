//! Arguments, options and help of `log` and `why`.

use clap::Args;
use common::config::values::span::Span;

use super::OptionalUser;

/// The arguments of `log`.
#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// Account name [default: every event]
    #[arg(value_name = "USER")]
    pub(crate) user: Option<String>,
    /// Only events of the last 90s, 15m, 24h or 7d
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Span>,
    /// Only the last N events, at most 10000
    #[arg(short = 'n', long, value_name = "N", allow_negative_numbers = true,
          value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub(crate) lines: Option<u32>,
    /// Continue with new events as they happen
    #[arg(short, long)]
    pub(crate) follow: bool,
}

/// The arguments of `why`.
#[derive(Debug, Args)]
pub(crate) struct WhyArgs {
    #[command(flatten)]
    pub(crate) user: OptionalUser,
    /// Number of attempts to show, at most 10000
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10, allow_negative_numbers = true,
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) lines: u32,
}

pub(super) const LOG_EXAMPLES: &str = "\
Examples:
  totpctl log                       every event that the daemon has kept
  totpctl log alice --since 2h
  totpctl log --follow -n 0         new events only
  totpctl --json log --follow       for programs: one JSON object per line

The daemon keeps about the last ten thousand events, also across restarts. The
system log (authpriv) has the same lines for as long as it keeps them. Times
are in this machine's time zone.";

pub(super) const WHY_EXAMPLES: &str = "\
Examples:
  totpctl why alice                 the last ten attempts
  totpctl why                       your own
  totpctl why alice -n 1
  totpctl --json why alice

Below each refused attempt totpctl prints the reason and what to do. If a code
was right for another time, it prints how far the phone's clock is off.";
