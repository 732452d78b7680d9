//! What the daemon refuses, said of the very user and device: it answers with a word, and the command line has the names.

use common::wire::protocol::Error;
use common::wire::text::printable;

use crate::cli::Subject;
use crate::sentences::argument;

/// The refusal with the names in it, and the next step. None where they add nothing.
pub(crate) fn refusal(error: &Error, subject: Subject<'_>) -> Option<String> {
    let Some(user) = subject.user else {
        let own = "you have no device: ask an administrator to enrol one, or for a ticket and then: totpctl enroll";
        return (*error == Error::NoSuchUser).then(|| own.to_owned());
    };
    let (name, command) = (printable(user), argument(user));
    let device = subject.device.map(printable);
    let meaning = match (error, device) {
        (Error::NoSuchUser, _) => {
            format!(
                "nothing is known of {name}; to see everybody: totpctl list; to give a first device: totpctl enroll {command}"
            )
        }
        (Error::NoSuchDevice, Some(device)) => {
            format!("{name} has no device '{device}'; to see which there are: totpctl show {command}")
        }
        (Error::NoSuchDevice, None) => {
            format!("{name} has several devices, or none: name one with --device; to see them: totpctl show {command}")
        }
        (Error::NotPending, Some(device)) => {
            format!("{name}'s device '{device}' waits for no first code; to see its state: totpctl show {command}")
        }
        (Error::NotPending, None) => {
            format!("no device of {name} waits for a first code; to see their states: totpctl show {command}")
        }
        (Error::DeviceExists, _) => {
            format!(
                "{name} has a device of that name, or with that key: choose another name, or revoke it first; to see which \
                 there are: totpctl show {command}"
            )
        }
        _ => return None,
    };
    Some(meaning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_whom_it_is_about_and_what_to_type_next() {
        let told = |error: Error, user, device| refusal(&error, Subject { user, device }).unwrap_or_default();
        for (error, device, beginning) in [
            (Error::NoSuchUser, None, "nothing is known of al ice; "),
            (Error::NoSuchDevice, Some("phone"), "al ice has no device 'phone'; "),
            (Error::NoSuchDevice, None, "al ice has several devices, or none: "),
            (Error::NotPending, Some("phone"), "al ice's device 'phone' waits for no first code; "),
            (Error::NotPending, None, "no device of al ice waits for a first code; "),
            (Error::DeviceExists, Some("phone"), "al ice has a device of that name, or with that key: "),
        ] {
            let told = told(error, Some("al ice"), device);
            assert!(told.starts_with(beginning) && told.ends_with(" 'al ice'"), "{told}");
        }
        assert!(told(Error::NoSuchUser, None, None).starts_with("you have no device: "));
        assert_eq!(told(Error::StoreUnavailable, Some("alice"), None), "");
    }
}
