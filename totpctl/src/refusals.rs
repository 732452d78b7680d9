//! Texts of the daemon's refusals: no such user, no such device, not pending, device exists.
//!
//! The daemon answers with an error name; the user and device of the command line are added here.
//! Refusals without a text here have the one of the protocol, in `common`.

use common::wire::protocol::Error;
use common::wire::text::printable;

use crate::cli::Subject;
use crate::verdicts::argument;

/// The refusal with the names and the next step. None if the names add nothing.
pub(crate) fn refusal(error: &Error, subject: Subject<'_>) -> Option<String> {
    if subject.is_own && *error == Error::NoSuchUser {
        return Some(NO_DEVICE_OF_YOUR_OWN.to_owned());
    }
    let user = subject.user?;
    let (name, command) = (printable(user), argument(user));
    let device = subject.device.map(printable);
    let meaning = match (error, device) {
        (Error::NoSuchUser, _) => {
            format!(
                "{name} has no record; to list all users: totpctl list; to enrol a first device: totpctl enroll {command}"
            )
        }
        (Error::NoSuchDevice, Some(device)) => {
            format!("{name} has no device '{device}'; to list the devices: totpctl show {command}")
        }
        (Error::NoSuchDevice, None) => {
            format!(
                "{name} has several devices, or none: name one with --device; to list them: totpctl show {command}"
            )
        }
        (Error::NotPending, Some(device)) => {
            format!(
                "{name}'s device '{device}' is not pending; to see its state: totpctl show {command}"
            )
        }
        (Error::NotPending, None) => {
            format!(
                "{name} has no pending device; to see the state of each device: totpctl show {command}"
            )
        }
        (Error::DeviceExists, _) => {
            format!(
                "{name} already has a device with that name or that key: choose another name, or revoke that device first; to \
                 list the devices: totpctl show {command}"
            )
        }
        _ => return None,
    };
    Some(meaning)
}

const NO_DEVICE_OF_YOUR_OWN: &str = "you have no device: ask an administrator to enrol one, or for a ticket; with a ticket: totpctl enroll";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_whom_it_is_about_and_what_to_type_next() {
        let told = |error: Error, user, device| {
            let subject = Subject {
                user,
                device,
                is_own: false,
            };
            refusal(&error, subject).unwrap_or_default()
        };
        for (error, device, beginning) in [
            (Error::NoSuchUser, None, "al ice has no record; "),
            (
                Error::NoSuchDevice,
                Some("phone"),
                "al ice has no device 'phone'; ",
            ),
            (
                Error::NoSuchDevice,
                None,
                "al ice has several devices, or none: ",
            ),
            (
                Error::NotPending,
                Some("phone"),
                "al ice's device 'phone' is not pending; ",
            ),
            (Error::NotPending, None, "al ice has no pending device; "),
            (
                Error::DeviceExists,
                Some("phone"),
                "al ice already has a device with that name or that key: ",
            ),
        ] {
            let told = told(error, Some("al ice"), device);
            assert!(
                told.starts_with(beginning) && told.ends_with(" 'al ice'"),
                "{told}"
            );
        }
        let own = Subject {
            user: Some("alice"),
            is_own: true,
            ..Subject::default()
        };
        assert_eq!(
            refusal(&Error::NoSuchUser, own).as_deref(),
            Some(NO_DEVICE_OF_YOUR_OWN)
        );
        assert_eq!(told(Error::NoSuchUser, None, None), "");
        assert_eq!(told(Error::StoreUnavailable, Some("alice"), None), "");
    }
}
