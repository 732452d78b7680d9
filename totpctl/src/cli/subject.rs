//! The user and device that a command line names, for the texts of refusals.

use super::{Command, DeviceTarget, ExportCommand, OptionalUser};

/// A user and a device, as far as the command line names them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Subject<'a> {
    pub(crate) user: Option<&'a str>,
    pub(crate) device: Option<&'a str>,
    /// The caller named no user, and means the own account.
    pub(crate) is_own: bool,
}

impl Command {
    /// The user and device of the command. Empty for a command about many users or the daemon.
    pub(crate) fn subject(&self) -> Subject<'_> {
        match self {
            Self::Enroll(wanted) => Subject {
                device: wanted.device.as_deref(),
                ..wanted.user.subject()
            },
            Self::Confirm(wanted) => wanted.target.subject(),
            Self::Resync(target) => target.subject(),
            Self::Revoke(wanted) => wanted.target.subject(),
            Self::Disable(wanted) => wanted.part.target.subject(),
            Self::Enable(wanted) => wanted.part.target.subject(),
            Self::RenameDevice(wanted) => Subject {
                device: wanted.device.as_deref(),
                ..of(&wanted.user)
            },
            Self::Restrict(wanted) => wanted.target.subject(),
            Self::Verify(wanted) => of(&wanted.user),
            Self::Try(wanted) => of(&wanted.user),
            Self::Bypass(wanted) => of(&wanted.user),
            Self::Ticket(wanted) => Subject {
                user: wanted.user.as_deref(),
                ..Subject::default()
            },
            Self::RenameUser(wanted) => of(&wanted.user),
            Self::Forget(wanted) => of(&wanted.user),
            Self::Unlock { user } => of(user),
            Self::Export(ExportCommand::GoogleAuthenticator { user, .. }) => of(user),
            Self::Show(user) | Self::RevokeGrace(user) => user.subject(),
            Self::RecoveryCodes(wanted) => wanted.user.subject(),
            _ => Subject::default(),
        }
    }

    /// The user of a command that people also run for themselves: its name may be missing.
    pub(crate) fn user_mut(&mut self) -> Option<&mut OptionalUser> {
        match self {
            Self::Enroll(wanted) if wanted.list.users.is_none() => Some(&mut wanted.user),
            Self::Confirm(wanted) => Some(&mut wanted.target.user),
            Self::Resync(target) => Some(&mut target.user),
            Self::Revoke(wanted) if wanted.list.users.is_none() => Some(&mut wanted.target.user),
            Self::Disable(wanted) if wanted.list.users.is_none() => {
                Some(&mut wanted.part.target.user)
            }
            Self::Enable(wanted) => Some(&mut wanted.part.target.user),
            Self::Restrict(wanted) => Some(&mut wanted.target.user),
            Self::Why(wanted) => Some(&mut wanted.user),
            Self::RecoveryCodes(wanted) => Some(&mut wanted.user),
            Self::Show(user) | Self::RevokeGrace(user) => Some(user),
            _ => None,
        }
    }
}

impl OptionalUser {
    fn subject(&self) -> Subject<'_> {
        Subject {
            user: self.user.as_deref(),
            device: None,
            is_own: self.is_own,
        }
    }
}

impl DeviceTarget {
    fn subject(&self) -> Subject<'_> {
        Subject {
            device: self.device.as_deref(),
            ..self.user.subject()
        }
    }
}

fn of(user: &str) -> Subject<'_> {
    Subject {
        user: Some(user),
        ..Subject::default()
    }
}
