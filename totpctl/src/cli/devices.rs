//! What `disable`, `enable`, `rename-device` and `restrict` take: devices that are there.

use clap::Args;

use super::Target;

/// A user's device, or all that the user has.
#[derive(Debug, Args)]
pub(crate) struct Part {
    #[command(flatten)]
    pub(crate) target: Target,
    /// The whole account, recovery codes and all
    #[arg(long, conflicts_with = "device")]
    pub(crate) all: bool,
}

/// What `rename-device` takes.
#[derive(Debug, Args)]
pub(crate) struct RenameDevice {
    #[command(flatten)]
    pub(crate) target: Target,
    /// What the device is called from now on
    #[arg(value_name = "NEW")]
    pub(crate) name: String,
}

/// What `restrict` takes.
#[derive(Debug, Args)]
pub(crate) struct Restrict {
    #[command(flatten)]
    pub(crate) target: Target,
    #[command(flatten)]
    pub(crate) bounds: Bounds,
    /// Take all bounds away
    #[arg(long, conflicts_with_all = ["from", "until", "services"])]
    pub(crate) lift: bool,
}

/// When, and for which services, a device counts.
#[derive(Debug, Default, Args)]
pub(crate) struct Bounds {
    /// First day on which its codes count (UTC): 2026-12-01
    #[arg(long, value_name = "DAY")]
    pub(crate) from: Option<String>,
    /// Last day on which they count (UTC)
    #[arg(long, value_name = "DAY")]
    pub(crate) until: Option<String>,
    /// PAM services that the device is for: sudo,su
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) services: Vec<String>,
}

pub(super) const DISABLE_EXAMPLES: &str = "\
Examples:
  totpctl disable alice             the only device
  totpctl disable alice --device phone
  totpctl disable alice --all       nothing opens the account any more

People disable their own devices with a code, but not the last active one.";

pub(super) const ENABLE_EXAMPLES: &str = "\
Examples:
  totpctl enable alice              the only device
  totpctl enable alice --device phone
  totpctl enable alice --all        opens the account; devices stay as they are";

pub(super) const REVOKE_EXAMPLES: &str = "\
Examples:
  totpctl revoke alice              the only device
  totpctl revoke alice --device old

People revoke their own devices with a code, but not the last active one. To
keep a device for later: totpctl disable.";

pub(super) const RENAME_EXAMPLES: &str = "\
Examples:
  totpctl rename-device alice phone
  totpctl rename-device alice phone --device default";

pub(super) const RESTRICT_EXAMPLES: &str = "\
Examples:
  totpctl restrict alice --device loan --until 2027-01-31
  totpctl restrict alice --device token --services sudo,su
  totpctl restrict alice --device loan --lift

What is said here takes the place of what was said before. Where a device does
not count, it is as if the user did not have it.";
