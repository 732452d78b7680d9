//! Writes the state of a user in the words of the file of `apply`, for `--diff`.

use common::config::values::calendar;
use common::wire::text::printable;

use super::state::{OneDevice, UserState};

/// The user's entry: one line for each value.
pub(super) fn entry(user: &str, state: &UserState) -> String {
    let account = if state.disabled { "disabled" } else { "active" };
    let mut text = format!("{}:\n  state: {account}\n", printable(user));
    if state.ticket {
        text.push_str("  enroll: ticket\n");
    }
    if !state.devices.is_empty() {
        text.push_str("  devices:\n");
    }
    text.extend(state.devices.iter().map(device));
    text
}

fn device(device: &OneDevice) -> String {
    let services = device.services.join(", ");
    let until = device
        .until
        .map(|until| last_day(until).unwrap_or_else(|| seconds(until)));
    let lines = [
        Some(("state", device.state.word().to_owned())),
        device
            .from
            .map(|from| ("from", day(from).unwrap_or_else(|| seconds(from)))),
        until.map(|until| ("until", until)),
        (!services.is_empty()).then(|| ("services", format!("[{services}]"))),
    ];
    let lines = lines.into_iter().flatten();
    let lines = lines.map(|(key, value)| format!("      {key}: {}\n", printable(&value)));
    format!(
        "    {}:\n{}",
        printable(&device.name),
        lines.collect::<String>()
    )
}

fn day(first_second: u64) -> Option<String> {
    calendar::day(first_second).map(|day| day.to_string())
}

/// The day that ends then.
fn last_day(end: u64) -> Option<String> {
    day(end.checked_sub(DAY)?)
}

/// A time that another program has set, in the middle of a day.
fn seconds(time: u64) -> String {
    format!("{time} (Unix seconds)")
}

const DAY: u64 = 86400;

#[cfg(test)]
mod tests {
    use common::wire::protocol::DeviceState;

    use super::*;

    #[test]
    fn a_state_is_shown_in_the_words_of_the_file() {
        let phone = OneDevice {
            name: "phone".to_owned(),
            state: DeviceState::Active,
            from: Some(1_796_083_200),
            until: Some(1_796_169_600),
            services: vec!["su".to_owned(), "sudo".to_owned()],
        };
        let loan = OneDevice {
            name: "loan".to_owned(),
            state: DeviceState::Pending,
            from: None,
            until: Some(1_796_169_601),
            services: Vec::new(),
        };
        let mut state = UserState {
            disabled: true,
            devices: vec![phone, loan],
            ..UserState::default()
        };
        assert_eq!(
            entry("alice", &state),
            "alice:\n  state: disabled\n  devices:\n    phone:\n      state: active\n      from: 2026-12-01\n      \
             until: 2026-12-01\n      services: [su, sudo]\n    loan:\n      state: pending\n      \
             until: 1796169601 (Unix seconds)\n"
        );
        state = UserState {
            ticket: true,
            ..UserState::default()
        };
        assert_eq!(
            entry("b\nob", &state),
            "b\\nob:\n  state: active\n  enroll: ticket\n"
        );
    }
}
