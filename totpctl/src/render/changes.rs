//! Prints the results of `disable`, `enable`, `revoke`, `restrict`, `rename-device`, `rename-user`
//! and `forget`, and a device's restrictions in words.

use common::wire::text::printable;
use serde::Serialize;

use super::Render;
use crate::table::{minute, now};
use crate::verdicts::argument;

/// The result of `disable`, `enable` and `revoke`, for a device, or, without one, for the account.
#[derive(Debug, Serialize)]
pub(crate) struct Changed {
    pub(crate) user: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) device: Option<String>,
    pub(crate) state: Change,
}

/// The new state of the device or account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Change {
    Disabled,
    Active,
    Revoked,
}

impl Render for Changed {
    fn people(&self) -> String {
        let user = printable(&self.user);
        let Some(device) = self.device.as_deref().map(printable) else {
            return self.account(&user);
        };
        match self.state {
            Change::Active => {
                format!("{user}'s device '{device}' is active: its codes open logins again\n")
            }
            Change::Revoked => {
                format!("{user}'s device '{device}' is revoked: its key is deleted permanently\n")
            }
            Change::Disabled => format!(
                "{user}'s device '{device}' is disabled: its codes open no login; to enable it again:\n  \
                 totpctl enable {} --device {device}\n",
                argument(&self.user)
            ),
        }
    }
}

impl Changed {
    fn account(&self, user: &str) -> String {
        if self.state == Change::Active {
            return format!("{user}'s account is enabled: its active devices open logins again\n");
        }
        let enable = argument(&self.user);
        format!(
            "{user}'s account is disabled: every login is refused; to enable it again:\n  totpctl enable {enable} --all\n"
        )
    }
}

/// The result of `restrict`.
#[derive(Debug, Serialize)]
pub(crate) struct Restricted {
    pub(crate) user: String,
    pub(crate) device: String,
    pub(crate) valid_from: Option<u64>,
    pub(crate) valid_until: Option<u64>,
    pub(crate) services: Vec<String>,
}

impl Render for Restricted {
    fn people(&self) -> String {
        let (user, device) = (printable(&self.user), printable(&self.device));
        match restrictions(self.valid_from, self.valid_until, &self.services) {
            Some(restrictions) => format!("{user}'s device '{device}' is usable {restrictions}\n"),
            None => format!("{user}'s device '{device}' is usable always and for every service\n"),
        }
    }
}

/// The result of `rename-device`.
#[derive(Debug, Serialize)]
pub(crate) struct RenamedDevice {
    pub(crate) user: String,
    pub(crate) device: String,
}

impl Render for RenamedDevice {
    fn people(&self) -> String {
        format!(
            "{}'s device is now called '{}'\n",
            printable(&self.user),
            printable(&self.device)
        )
    }
}

/// The result of `rename-user`.
#[derive(Debug, Serialize)]
pub(crate) struct RenamedUser {
    pub(crate) was: String,
    pub(crate) user: String,
}

impl Render for RenamedUser {
    fn people(&self) -> String {
        format!(
            "{0}'s devices now belong to {1}, and open no login of {0} any more\n",
            printable(&self.was),
            printable(&self.user)
        )
    }
}

/// The result of `forget`.
#[derive(Debug, Serialize)]
pub(crate) struct Forgotten {
    pub(crate) user: String,
    pub(crate) forgotten: bool,
}

impl Render for Forgotten {
    fn people(&self) -> String {
        format!("the record of {} is deleted\n", printable(&self.user))
    }
}

/// `from …, until …, for sudo, su only`; nothing if there are no restrictions.
pub(crate) fn restrictions(
    from: Option<u64>,
    until: Option<u64>,
    services: &[String],
) -> Option<String> {
    let services: Vec<String> = services.iter().map(|name| printable(name)).collect();
    let parts = [
        from.map(|from| format!("from {}", minute(from))),
        until.map(|until| {
            format!(
                "until {}{}",
                minute(until),
                if until <= now() { " (expired)" } else { "" }
            )
        }),
        Some(services.join(", "))
            .filter(|services| !services.is_empty())
            .map(|services| format!("for {services} only")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    Some(parts.join(", ")).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::json;
    use super::*;

    #[test]
    fn bounds_are_said_as_far_as_there_are_any() {
        let restricted = |valid_from, valid_until, services: &[&str]| {
            let services = services.iter().map(|name| (*name).to_owned()).collect();
            Restricted {
                user: "alice".into(),
                device: "token".into(),
                valid_from,
                valid_until,
                services,
            }
            .people()
        };
        assert_eq!(
            restricted(None, None, &[]),
            "alice's device 'token' is usable always and for every service\n"
        );
        assert_eq!(
            restricted(Some(1_796_083_200), Some(1_796_169_600), &["sudo", "su"]),
            format!(
                "alice's device 'token' is usable from {}, until {}, for sudo, su only\n",
                minute(1_796_083_200),
                minute(1_796_169_600)
            )
        );
        let over = restricted(None, Some(86_400), &[]);
        assert_eq!(
            over,
            format!(
                "alice's device 'token' is usable until {} (expired)\n",
                minute(86_400)
            )
        );
    }

    #[test]
    fn a_change_says_what_it_means() {
        let changed = |state| Changed {
            user: "alice".into(),
            device: Some("phone".into()),
            state,
        };
        let account = Changed {
            device: None,
            ..changed(Change::Disabled)
        };
        assert!(
            account
                .people()
                .ends_with("to enable it again:\n  totpctl enable alice --all\n")
        );
        assert_eq!(
            changed(Change::Disabled).people(),
            "alice's device 'phone' is disabled: its codes open no login; to enable it again:\n  \
             totpctl enable alice --device phone\n"
        );
        assert_eq!(
            json(&changed(Change::Revoked)).unwrap().as_slice(),
            b"{\"user\":\"alice\",\"device\":\"phone\",\"state\":\"revoked\"}\n"
        );
    }
}
