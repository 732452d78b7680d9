//! What `recovery-codes`, `bypass` and `ticket` take.

use clap::Args;
use common::config::values::span::Span;

use super::words::number;

/// What `bypass` takes.
#[derive(Debug, Args)]
pub(crate) struct Bypass {
    /// Account name
    #[arg(value_name = "USER")]
    pub(crate) user: String,
    /// How long it is good, at most 24h [default: 2h]
    #[arg(long = "for", value_name = "TIME")]
    pub(crate) valid_for: Option<Span>,
    /// How many logins it opens, 1 to 3
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true, value_parser = number::<u8>)]
    pub(crate) uses: u8,
}

/// What `ticket` takes.
#[derive(Debug, Args)]
pub(crate) struct Ticket {
    /// Account name
    #[arg(value_name = "USER")]
    pub(crate) user: String,
    /// How long it is good, at most 7d [default: 7d]
    #[arg(long = "for", value_name = "TIME")]
    pub(crate) valid_for: Option<Span>,
}

pub(super) const CODES_EXAMPLES: &str = "\
Examples:
  totpctl recovery-codes            your own; asks for a code first
  totpctl recovery-codes alice      as an administrator

Each opens one login when no device is at hand. They are shown this one time.";

pub(super) const BYPASS_EXAMPLES: &str = "\
Examples:
  totpctl bypass alice
  totpctl bypass alice --for 30m --uses 2

For an enrolled user without device and recovery codes. Tell the code to
nobody but its user, and be sure who it is. A new bypass ends the one before.";

pub(super) const TICKET_EXAMPLES: &str = "\
Examples:
  totpctl ticket alice
  totpctl ticket alice --for 2d

For a user who was never enrolled. 'totpctl enroll alice', run by alice, asks
for the code, once. A new ticket ends the one before.";
