//! The user and device that a command line names, for the texts of refusals.

use super::{Command, DeviceTarget, ExportCommand, OptionalUser};

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
            Self::Confirm(wanted) => wanted.target.subject(),
            Self::Revoke(target) | Self::Resync(target) => target.subject(),
            Self::Disable(part) => part.target.subject(),
            Self::Enable(wanted) => wanted.part.target.subject(),
            Self::RenameDevice(wanted) => wanted.target.subject(),
            Self::Restrict(wanted) => wanted.target.subject(),
            Self::Verify(wanted) => of(&wanted.user),
            Self::Try(wanted) => of(&wanted.user),
            Self::Bypass(wanted) => of(&wanted.user),
            Self::Ticket(wanted) => of(&wanted.user),
            Self::RenameUser(wanted) => of(&wanted.user),
            Self::Forget(wanted) => of(&wanted.user),
            Self::Unlock { user } => of(user),
            Self::Export(ExportCommand::GoogleAuthenticator { user, .. }) => of(user),
            Self::Show(user) | Self::RevokeGrace(user) => user.subject(),
            Self::RecoveryCodes(wanted) => wanted.user.subject(),
            _ => Subject::default(),
        }
    }
}

impl OptionalUser {
    fn subject(&self) -> Subject<'_> {
        Subject {
            user: self.user.as_deref(),
            device: None,
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
