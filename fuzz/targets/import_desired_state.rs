//! Fuzzes the file of `totpctl apply`: whatever comes in, users or findings come out, and each user
//! stands on a line of its own file.

#![no_main]
#![forbid(unsafe_code)]

use import::desired_state::{self, DeviceWish};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let users = match desired_state::read(bytes) {
        Ok(users) => users,
        Err(findings) => {
            assert!(!findings.is_empty());
            return;
        }
    };
    // YAML has more line ends than this.
    let text = std::str::from_utf8(bytes).expect("what is taken is UTF-8");
    let is_end = |c: char| matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}');
    let lines = text.matches(is_end).count() as u64 + 1;
    let mut before = 0;
    for user in users {
        assert!((1..=lines).contains(&user.line), "{user:?}");
        // An alias stands where its text stands.
        before = if text.contains('*') {
            0
        } else {
            before.max(user.line)
        };
        assert!(before <= user.line, "{user:?}");
        let stays = |wish: Option<DeviceWish>| wish != Some(DeviceWish::Absent);
        assert!(!user.exclusive || user.devices.iter().any(|device| stays(device.state)));
        for device in user.devices {
            assert!(stays(device.state) || device.services.is_none());
        }
    }
});
