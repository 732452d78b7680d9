//! The user and device that a command line names, for the texts of refusals.

use super::{Command, DeviceTarget, OptionalUser, StateArgs};

/// A user and a device, as far as the command line names them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Subject<'a> {
    pub(crate) user: Option<&'a str>,
    pub(crate) device: Option<&'a str>,
}

impl Command {
    /// The user and device of the command. Empty for a command about many users or the daemon.
    pub(crate) fn subject(&self) -> Subject<'_> {
        match self {
            Self::Enroll(wanted) => Subject {
                user: Some(&wanted.user),
                device: wanted.device.as_deref(),
            },
            Self::Confirm(target) | Self::Revoke(target) | Self::Resync(target) => target.subject(),
            Self::Disable(StateArgs { target, .. }) | Self::Enable(StateArgs { target, .. }) => {
                target.subject()
            }
            Self::RenameDevice(wanted) => wanted.target.subject(),
            Self::Restrict(wanted) => wanted.target.subject(),
            Self::Verify(wanted) => of(&wanted.user),
            Self::Bypass(wanted) => of(&wanted.user),
            Self::Ticket(wanted) => of(&wanted.user),
            Self::RenameUser(wanted) => of(&wanted.user),
            Self::Forget(wanted) => of(&wanted.user),
            Self::Unlock { user } => of(user),
            Self::Show(OptionalUser { user })
            | Self::RecoveryCodes(OptionalUser { user })
            | Self::RevokeGrace(OptionalUser { user }) => Subject {
                user: user.as_deref(),
                device: None,
            },
            _ => Subject::default(),
        }
    }
}

impl DeviceTarget {
    fn subject(&self) -> Subject<'_> {
        Subject {
            user: Some(&self.user),
            device: self.device.as_deref(),
        }
    }
}

fn of(user: &str) -> Subject<'_> {
    Subject {
        user: Some(user),
        device: None,
    }
}
