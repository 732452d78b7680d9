//! Checks user and device names before totpctl sends them.

use common::names::device::DeviceName;
use common::names::user::UserName;

use crate::cli::{DeviceTarget, OptionalUser};
use crate::exit::Failure;

/// A user and a device, as totpctl sends them.
pub(super) type Names = (Option<String>, Option<String>);

impl DeviceTarget {
    /// The names, if both are valid.
    pub(super) fn names(&self) -> Result<Names, Failure> {
        Ok((Some(user(&self.user)?), device(self.device.as_deref())?))
    }
}

impl OptionalUser {
    /// The name, if one is given and valid. Without one, the daemon takes the caller's.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    #[test]
    fn names_are_judged_before_anything_is_sent() {
        let target = |user: &str, device: Option<&str>| DeviceTarget {
            user: user.into(),
            device: device.map(Into::into),
        };
        let names = target("alice", Some("phone")).names().unwrap();
        assert_eq!(names, (Some("alice".to_owned()), Some("phone".to_owned())));
        assert_eq!(OptionalUser { user: None }.name().unwrap(), None);
        for (user, device) in [("a/b", None), ("", None), ("alice", Some("my phone"))] {
            let failure = target(user, device).names().unwrap_err();
            assert_eq!(failure.code(), ("bad_parameter", Exit::BadInput));
        }
    }
}
