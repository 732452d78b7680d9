//! Arguments, options and help of `recovery-codes`, `bypass` and `ticket`.

use clap::Args;
use common::config::values::span::Span;

use super::value_parsers::number;
use super::{OptionalUser, SamePerson, UserList};

/// The arguments of `recovery-codes`.
#[derive(Debug, Args)]
pub(crate) struct RecoveryArgs {
    #[command(flatten)]
    pub(crate) user: OptionalUser,
    #[command(flatten)]
    pub(crate) same_person: SamePerson,
}

/// The arguments of `bypass`.
#[derive(Debug, Args)]
pub(crate) struct BypassArgs {
    /// Account name
    #[arg(value_name = "USER")]
    pub(crate) user: String,
    /// How long the code is valid, at most 24h [default: 2h]
    #[arg(long = "for", value_name = "TIME")]
    pub(crate) valid_for: Option<Span>,
    /// Number of logins that the code opens, 1 to 3
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true, value_parser = number::<u8>)]
    pub(crate) uses: u8,
}

/// The arguments of `ticket`.
#[derive(Debug, Args)]
pub(crate) struct TicketArgs {
    /// Account name
    #[arg(value_name = "USER", required_unless_present = "users")]
    pub(crate) user: Option<String>,
    /// How long the code is valid, at most 7d [default: 7d]
    #[arg(long = "for", value_name = "TIME")]
    pub(crate) valid_for: Option<Span>,
    #[command(flatten)]
    pub(crate) list: UserList,
    /// With --users: replace unused tickets, too
    // clap asks for no --users beside a user, which conflicts with it: --replace must, too.
    #[arg(long, requires = "users", conflicts_with = "user")]
    pub(crate) replace: bool,
}

pub(super) const CODES_EXAMPLES: &str = "\
Examples:
  totpctl recovery-codes            your own; asks for a code first
  totpctl recovery-codes alice      as an administrator

Each code opens one login without a device. totpctl shows the codes only once.
New codes replace the old ones; of commands at once, the last one's are valid.";

pub(super) const BYPASS_EXAMPLES: &str = "\
Examples:
  totpctl bypass alice
  totpctl bypass alice --for 30m --uses 2

For an enrolled user without a device and recovery codes at hand. Check the
user's identity first, and tell the code only to that user. A new bypass
replaces the old one.";

pub(super) const TICKET_EXAMPLES: &str = "\
Examples:
  totpctl ticket alice
  totpctl ticket alice --for 2d
  umask 077; totpctl ticket --users users.csv > tickets.jsonl

For a user that was never enrolled. alice types the code at the next login, if
the service enrols at the prompt ('enroll' in its PAM file), or after 'totpctl
enroll alice' where alice gets in without a code. It works once, and a new
ticket replaces it.

With --users, totpctl prints each ticket once, one JSON object a line. A user
with a device or an unused ticket is left alone, so that a list can be run
again. If tickets of an interrupted run were not printed: --replace.";
