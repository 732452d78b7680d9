//! Prints the results of `show` and `list`: a user's devices and the table of users.

use common::wire::protocol::{Device, DeviceState, User};
use common::wire::text::printable;
use serde::Serialize;

use super::changes::restrictions;
use super::{Render, code_parameters, confirm_command};
use crate::table::{day, minute, table};
use crate::verdicts::argument;

impl Render for User {
    fn people(&self) -> String {
        let mut text = format!("{}: {}\n", printable(&self.user), standing(self));
        if self.damaged {
            return text;
        }
        text.push_str(&without_device(self));
        if self.devices.is_empty() {
            return text
                + &format!(
                    "no devices; to enrol one:\n  totpctl enroll {}\n",
                    argument(&self.user)
                );
        }
        let rows: Vec<_> = self.devices.iter().map(device_row).collect();
        text.push_str(&table(
            ["DEVICE", "STATE", "CODES", "ENROLLED", "LAST USED"],
            &rows,
        ));
        for device in &self.devices {
            if let Some(restrictions) =
                restrictions(device.valid_from, device.valid_until, &device.services)
            {
                text.push_str(&format!(
                    "'{}' is usable {restrictions}\n",
                    printable(&device.name)
                ));
            }
        }
        for device in &self.devices {
            if let Some(bits) = device.weak_key_bits {
                text.push_str(&format!(
                    "'{}' has a weak key of {bits} bits: replace it by a new device\n",
                    printable(&device.name)
                ));
            }
        }
        for device in self
            .devices
            .iter()
            .filter(|device| device.state == DeviceState::Pending)
        {
            let until = device
                .expires
                .map(|time| format!(" until {}", minute(time)))
                .unwrap_or_default();
            let name = printable(&device.name);
            let command = confirm_command(&self.user, &name);
            text.push_str(&format!(
                "'{name}' waits for its first code{until}; to confirm it:\n  {command}\n"
            ));
        }
        text
    }
}

/// The first line of `show`: enrolled or not, disabled or damaged, guesses left.
fn standing(user: &User) -> String {
    if user.damaged {
        return "the stored record is damaged, every login is refused; the daemon's log says why"
            .to_owned();
    }
    if let Some(uid) = user.other_uid {
        let command = argument(&user.user);
        return format!(
            "the record belongs to uid {uid}, which this account no longer has: every login is refused\n  \
             if another person has the name now: totpctl forget {command}\n  \
             if it is the same person: totpctl enable {command} --all --same-person"
        );
    }
    if user.disabled {
        return format!(
            "the account is disabled, every login is refused; to enable it again:\n  totpctl enable {} --all",
            argument(&user.user)
        );
    }
    if !user.enrolled {
        return "not enrolled yet".to_owned();
    }
    let hint = if user.known_budget.min(user.budget) > 0 {
        ""
    } else {
        "\n  with 0, the daemon asks for two consecutive codes"
    };
    format!(
        "enrolled; guesses left: {} from known addresses, {} from others{hint}",
        user.known_budget, user.budget
    )
}

/// Recovery codes left, the bypass and the ticket, each on a line.
fn without_device(user: &User) -> String {
    let opens = user.enrolled && !user.disabled;
    let recovery = opens.then(|| format!("recovery codes left: {}\n", user.recovery_codes_left));
    let bypass = user
        .bypass_until
        .zip(user.bypass_uses)
        .map(|(until, uses)| {
            let logins = if uses == 1 {
                "1 more login".to_owned()
            } else {
                format!("{uses} more logins")
            };
            format!("bypass until {}, for {logins}\n", minute(until))
        });
    let ticket = user
        .ticket_until
        .map(|until| format!("ticket until {}\n", minute(until)));
    recovery.into_iter().chain(bypass).chain(ticket).collect()
}

/// One row of the table of devices. The table fits 80 columns for names of up to twelve characters.
fn device_row(device: &Device) -> [String; 5] {
    let codes = code_parameters(&device.alg, device.digits, device.period);
    let state = device.state.word().to_owned();
    [
        printable(&device.name),
        state,
        codes,
        day(device.created),
        last_used(device.last_used),
    ]
}

fn last_used(time: Option<u64>) -> String {
    time.map_or_else(|| "never".to_owned(), minute)
}

/// The result of `list`.
#[derive(Debug, Serialize)]
pub(crate) struct Users {
    pub(crate) users: Vec<User>,
    /// The sentence for an empty list.
    #[serde(skip)]
    pub(crate) when_empty: &'static str,
}

impl Render for Users {
    fn people(&self) -> String {
        if self.users.is_empty() {
            return format!("{}\n", self.when_empty);
        }
        let rows: Vec<_> = self.users.iter().map(user_row).collect();
        table(["USER", "DEVICES", "GUESSES LEFT", "LAST USED"], &rows)
    }
}

/// The result of `list --expiring`: users, with the devices that expire alone.
#[derive(Debug, Serialize)]
pub(crate) struct Expiring {
    pub(crate) users: Vec<User>,
    /// The sentence for an empty list.
    #[serde(skip)]
    pub(crate) when_empty: &'static str,
}

impl Render for Expiring {
    fn people(&self) -> String {
        if self.users.is_empty() {
            return format!("{}\n", self.when_empty);
        }
        let rows: Vec<_> = self.users.iter().flat_map(expiring_rows).collect();
        table(["USER", "DEVICE", "USABLE UNTIL", "LAST USED"], &rows)
    }
}

/// A row for each device.
fn expiring_rows(user: &User) -> impl Iterator<Item = [String; 4]> {
    user.devices.iter().map(|device| {
        [
            printable(&user.user),
            printable(&device.name),
            device.valid_until.map(minute).unwrap_or_default(),
            last_used(device.last_used),
        ]
    })
}

/// One row of the table of users. A damaged record has no known values: `-` in their cells.
fn user_row(user: &User) -> [String; 4] {
    let name = printable(&user.user);
    if user.damaged {
        return [name, "damaged".to_owned(), "-".to_owned(), "-".to_owned()];
    }
    let last = user
        .devices
        .iter()
        .filter_map(|device| device.last_used)
        .max();
    let guesses = format!("{} known, {} other", user.known_budget, user.budget);
    let devices = if let Some(uid) = user.other_uid {
        format!("of uid {uid}")
    } else if user.disabled {
        "account disabled".to_owned()
    } else {
        devices_by_state(&user.devices)
    };
    [name, devices, guesses, last_used(last)]
}

/// The number of devices in each state: `1 active, 1 pending`.
fn devices_by_state(devices: &[Device]) -> String {
    let states = [
        DeviceState::Active,
        DeviceState::Pending,
        DeviceState::Disabled,
    ];
    let counts = states.map(|state| {
        (
            devices
                .iter()
                .filter(|device| device.state == state)
                .count(),
            state,
        )
    });
    let told = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, state)| format!("{count} {}", state.word()));
    let told = told.collect::<Vec<_>>().join(", ");
    if told.is_empty() {
        "none".to_owned()
    } else {
        told
    }
}

#[cfg(test)]
mod tests {
    use common::names::device::Kind;

    use super::*;

    fn device(name: &str, state: DeviceState, last_used: Option<u64>) -> Device {
        let expires = (state == DeviceState::Pending).then_some(1_795_555_080);
        let (name, kind, alg) = (name.to_owned(), Kind::Totp, "sha1".to_owned());
        Device {
            name,
            state,
            kind,
            alg,
            digits: 6,
            period: Some(30),
            created: 1_795_468_680,
            expires,
            last_used,
            valid_from: None,
            valid_until: None,
            services: Vec::new(),
            weak_key_bits: None,
        }
    }

    fn user(name: &str, devices: Vec<Device>, budget: u32) -> User {
        let (user, enrolled) = (name.to_owned(), !devices.is_empty());
        let (known_budget, recovery_codes_left) = (5, 7);
        User {
            user,
            enrolled,
            disabled: false,
            devices,
            known_budget,
            budget,
            recovery_codes_left,
            bypass_until: None,
            bypass_uses: None,
            ticket_until: None,
            damaged: false,
            other_uid: None,
        }
    }

    #[test]
    fn a_user_is_shown_in_a_table_of_80_columns() {
        let devices = vec![
            device("default", DeviceState::Active, Some(1_795_470_000)),
            device("old-phone", DeviceState::Disabled, None),
            device("laptop", DeviceState::Pending, None),
            Device {
                kind: Kind::Hotp,
                period: None,
                services: vec!["sudo".to_owned()],
                ..device("token", DeviceState::Active, None)
            },
        ];
        let text = user("alice", devices, 4).people();
        let (day, used) = (day(1_795_468_680), minute(1_795_470_000));
        let until = minute(1_795_555_080);
        assert_eq!(
            text,
            format!(
                "\
alice: enrolled; guesses left: 5 from known addresses, 4 from others
recovery codes left: 7
DEVICE     STATE     CODES                 ENROLLED    LAST USED
default    active    6 digits, 30 s, sha1  {day}  {used}
old-phone  disabled  6 digits, 30 s, sha1  {day}  never
laptop     pending   6 digits, 30 s, sha1  {day}  never
token      active    6 digits, hotp, sha1  {day}  never
'token' is usable for sudo only
'laptop' waits for its first code until {until}; to confirm it:
  totpctl confirm alice --device laptop
"
            )
        );
        assert!(text.lines().all(|line| line.chars().count() <= 80));
    }

    #[test]
    fn a_weak_key_is_marked() {
        let weak = Device {
            weak_key_bits: Some(80),
            ..device("old", DeviceState::Active, None)
        };
        let text = user("alice", vec![weak], 5).people();
        let told = "'old' has a weak key of 80 bits: replace it by a new device\n";
        assert!(text.ends_with(told), "{text}");
    }

    #[test]
    fn a_user_without_guesses_or_devices_is_told_what_follows() {
        let spent = user(
            "alice",
            vec![device("default", DeviceState::Active, None)],
            0,
        )
        .people();
        let told = "5 from known addresses, 0 from others\n  with 0, the daemon asks for two consecutive codes\n";
        assert!(
            spent.starts_with("alice: enrolled; guesses left: ") && spent.contains(told),
            "{spent}"
        );
        assert_eq!(
            user("alice", Vec::new(), 5).people(),
            "alice: not enrolled yet\nno devices; to enrol one:\n  totpctl enroll alice\n"
        );
    }

    #[test]
    fn a_bypass_and_a_ticket_are_shown_with_what_is_left_of_them() {
        let bypassed = |uses| User {
            bypass_until: Some(1_795_470_000),
            bypass_uses: Some(uses),
            ..user("alice", vec![device("a", DeviceState::Active, None)], 5)
        };
        for (uses, left) in [(2, "2 more logins"), (1, "1 more login")] {
            let until = minute(1_795_470_000);
            let told = format!("recovery codes left: 7\nbypass until {until}, for {left}\nDEVICE");
            assert!(bypassed(uses).people().contains(&told), "{uses}");
        }
        let invited = User {
            ticket_until: Some(1_795_470_000),
            ..user("alice", Vec::new(), 5)
        };
        let text = format!(
            "alice: not enrolled yet\nticket until {}\nno devices; to enrol one:\n",
            minute(1_795_470_000)
        );
        assert!(invited.people().starts_with(&text), "{}", invited.people());
    }

    #[test]
    fn a_damaged_record_is_named_as_such() {
        let damaged = || User {
            damaged: true,
            ..user("alice", Vec::new(), 0)
        };
        assert_eq!(
            damaged().people(),
            "alice: the stored record is damaged, every login is refused; the daemon's log says why\n"
        );
        assert!(
            Users {
                users: vec![damaged()],
                when_empty: ""
            }
            .people()
            .contains("alice  damaged")
        );
    }

    #[test]
    fn a_record_of_another_uid_is_named_as_such_with_both_ways_out() {
        let reused = || User {
            other_uid: Some(4001),
            ..user("dave", vec![device("a", DeviceState::Active, None)], 5)
        };
        assert!(reused().people().starts_with(
            "dave: the record belongs to uid 4001, which this account no longer has: every login is refused\n  \
             if another person has the name now: totpctl forget dave\n  \
             if it is the same person: totpctl enable dave --all --same-person\n"
        ));
        let listed = Users {
            users: vec![reused()],
            when_empty: "",
        };
        assert!(listed.people().contains("dave  of uid 4001  "));
    }

    #[test]
    fn a_disabled_account_is_named_as_such() {
        let shut = || User {
            disabled: true,
            ..user(
                "alice",
                vec![device("default", DeviceState::Active, None)],
                5,
            )
        };
        assert!(shut().people().starts_with(
            "alice: the account is disabled, every login is refused; to enable it again:\n  totpctl enable alice --all\n"
        ));
        assert!(
            Users {
                users: vec![shut()],
                when_empty: ""
            }
            .people()
            .contains("alice  account disabled  ")
        );
    }

    #[test]
    fn users_are_listed_in_a_table() {
        let alice = vec![
            device("a", DeviceState::Active, Some(1_795_470_000)),
            device("b", DeviceState::Pending, None),
        ];
        let users = Users {
            users: vec![user("alice", alice, 5), user("b\u{1b}ob", Vec::new(), 0)],
            when_empty: "",
        };
        let used = minute(1_795_470_000);
        assert_eq!(
            users.people(),
            format!(
                "\
USER       DEVICES              GUESSES LEFT      LAST USED
alice      1 active, 1 pending  5 known, 5 other  {used}
b\\u{{1b}}ob  none                 5 known, 0 other  never
"
            )
        );
        assert_eq!(
            Users {
                users: Vec::new(),
                when_empty: "no user"
            }
            .people(),
            "no user\n"
        );
    }
}
