//! Checks user and device names before totpctl sends them, and fills in the caller's own.

use common::names::device::DeviceName;
use common::names::user::UserName;
use nix::unistd::{User, geteuid};

use crate::cli::{Command, DeviceTarget, OptionalUser};
use crate::exit::Failure;

/// A user and a device, as totpctl sends them.
pub(super) type Names = (Option<String>, Option<String>);

/// Fills in the caller's account in a command that lacks a user.
///
/// # Errors
/// The caller is root, which acts for others and may have forgotten their name, or a uid without
/// an account.
pub(super) fn fill_in(command: &mut Command) -> Result<(), Failure> {
    match command.user_mut() {
        Some(missing) if missing.user.is_none() => {
            missing.user = Some(own(geteuid().as_raw())?);
            missing.is_own = true;
            Ok(())
        }
        _ => Ok(()),
    }
}

fn own(uid: u32) -> Result<String, Failure> {
    if uid == 0 {
        return Err(Failure::Usage(ROOT_NAMES_A_USER));
    }
    let account = User::from_uid(uid.into()).ok().flatten();
    Ok(account.ok_or(Failure::Usage(NO_ACCOUNT))?.name)
}

impl DeviceTarget {
    /// The names, if both are valid.
    pub(super) fn names(&self) -> Result<Names, Failure> {
        Ok((self.user.name()?, device(self.device.as_deref())?))
    }
}

impl OptionalUser {
    /// The name, if it is valid. [`fill_in`] has left none out.
    pub(super) fn name(&self) -> Result<Option<String>, Failure> {
        self.user.as_deref().map(user).transpose()
    }
}

/// A user's name, if it is valid.
pub(super) fn user(typed: &str) -> Result<String, Failure> {
    Ok(UserName::new(typed)?.as_str().to_owned())
}

/// A device's name, if one is given and valid.
pub(super) fn device(typed: Option<&str>) -> Result<Option<String>, Failure> {
    Ok(typed.map(DeviceName::new).transpose()?.map(String::from))
}

const ROOT_NAMES_A_USER: &str =
    "root acts for other users: name the user, or 'root' for root's own devices";
const NO_ACCOUNT: &str = "the name service knows no account of your uid: name the user";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    #[test]
    fn names_are_judged_before_anything_is_sent() {
        let target = |user: &str, device: Option<&str>| DeviceTarget {
            user: OptionalUser {
                user: Some(user.into()),
                is_own: false,
            },
            device: device.map(Into::into),
        };
        let names = target("alice", Some("phone")).names().unwrap();
        assert_eq!(names, (Some("alice".to_owned()), Some("phone".to_owned())));
        for (user, device) in [("a/b", None), ("", None), ("alice", Some("my phone"))] {
            let failure = target(user, device).names().unwrap_err();
            assert_eq!(failure.code(), ("bad_parameter", Exit::BadInput));
        }
    }

    #[test]
    fn a_caller_that_names_no_user_means_the_own_account_and_root_must_name_one() {
        let daemon = User::from_name("daemon").unwrap().unwrap();
        assert_eq!(own(daemon.uid.as_raw()).unwrap(), "daemon");
        for uid in [0, 4_000_000_001] {
            let failure = own(uid).unwrap_err();
            assert_eq!(failure.code(), ("usage", Exit::BadInput));
            assert!(failure.to_string().contains("name the user"), "{failure}");
        }
    }
}
