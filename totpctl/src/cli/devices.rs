//! Arguments, options and help of `disable`, `enable`, `rename-device` and `restrict`; help of
//! `revoke`.

use clap::Args;

use super::{DeviceTarget, SamePerson, UserList};

/// The arguments of `disable` and `enable`: a device or the account.
#[derive(Debug, Args)]
pub(crate) struct StateArgs {
    #[command(flatten)]
    pub(crate) target: DeviceTarget,
    /// The whole account, including recovery codes
    #[arg(long, conflicts_with = "device")]
    pub(crate) all: bool,
}

/// The arguments of `disable`.
#[derive(Debug, Args)]
pub(crate) struct DisableArgs {
    #[command(flatten)]
    pub(crate) part: StateArgs,
    #[command(flatten)]
    pub(crate) list: UserList,
}

/// The arguments of `revoke`.
#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    #[command(flatten)]
    pub(crate) target: DeviceTarget,
    #[command(flatten)]
    pub(crate) list: UserList,
}

/// The arguments of `enable`.
#[derive(Debug, Args)]
pub(crate) struct EnableArgs {
    #[command(flatten)]
    pub(crate) part: StateArgs,
    #[command(flatten)]
    pub(crate) same_person: SamePerson,
}

/// The arguments of `rename-device`.
#[derive(Debug, Args)]
pub(crate) struct RenameDeviceArgs {
    /// Account name
    #[arg(value_name = "USER")]
    pub(crate) user: String,
    /// New name of the device
    #[arg(value_name = "NEW")]
    pub(crate) name: String,
    /// Name of the device, if the user has several
    #[arg(long, value_name = "NAME")]
    pub(crate) device: Option<String>,
}

/// The arguments of `restrict`.
#[derive(Debug, Args)]
pub(crate) struct RestrictArgs {
    #[command(flatten)]
    pub(crate) target: DeviceTarget,
    #[command(flatten)]
    pub(crate) bounds: RestrictionArgs,
    /// Remove all restrictions
    #[arg(long, conflicts_with_all = ["from", "until", "services"])]
    pub(crate) lift: bool,
}

/// The options of `restrict` and `enroll` that restrict a device.
#[derive(Debug, Default, Args)]
pub(crate) struct RestrictionArgs {
    /// First usable day of the device (UTC): 2026-12-01
    #[arg(long, value_name = "DAY")]
    pub(crate) from: Option<String>,
    /// Last usable day of the device (UTC)
    #[arg(long, value_name = "DAY")]
    pub(crate) until: Option<String>,
    /// PAM services for which the device is usable: sudo,su
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) services: Vec<String>,
}

pub(super) const DISABLE_EXAMPLES: &str = "\
Examples:
  totpctl disable alice             the only device
  totpctl disable alice --device phone
  totpctl disable alice --all       the whole account
  totpctl disable --users leavers.csv --all

Users can disable their own devices with a code, but not the last active one.";

pub(super) const ENABLE_EXAMPLES: &str = "\
Examples:
  totpctl enable alice              the only device
  totpctl enable alice --device phone
  totpctl enable alice --all        the account; devices keep their state
  totpctl enable alice --all --same-person

With --same-person the record follows the account to its present uid, with all
devices and codes. If another person has the name now: totpctl forget";

pub(super) const REVOKE_EXAMPLES: &str = "\
Examples:
  totpctl revoke alice              the only device
  totpctl revoke alice --device old
  totpctl revoke --users users.csv --device old

Users can revoke their own devices with a code, but not the last active one.
To keep a device for later use: totpctl disable";

pub(super) const RENAME_EXAMPLES: &str = "\
Examples:
  totpctl rename-device alice phone
  totpctl rename-device alice phone --device default";

pub(super) const RESTRICT_EXAMPLES: &str = "\
Examples:
  totpctl restrict alice --device loan --until 2027-01-31
  totpctl restrict alice --device token --services sudo,su
  totpctl restrict alice --device loan --lift

New restrictions replace the old ones. Outside its days and services a device
is unusable: the daemon refuses its codes as wrong.";
