//! Fuzzes settings files: accepted values are within their bounds, and every condition that is
//! written in a rule is in force.

#![no_main]
#![forbid(unsafe_code)]

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::LazyLock;

use common::config::exemptions::rules::Rule;
use common::config::{Settings, Trust};
use libfuzzer_sys::fuzz_target;
use serde_yaml::Value;

/// A folder of this process, in memory where there is such a place.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    let parent = if memory.is_dir() {
        memory
    } else {
        std::env::temp_dir()
    };
    let folder = parent.join(format!("fuzz-settings-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    for (name, text) in [("settings.yaml", ""), ("secrets", "1: 0123456789abcdef\n")] {
        fs::write(folder.join(name), text).expect("a file");
        fs::set_permissions(folder.join(name), Permissions::from_mode(0o600)).expect("a mode");
    }
    folder
});

fuzz_target!(|text: &[u8]| {
    let file = FOLDER.join("settings.yaml");
    fs::write(&file, text).expect("a file");
    let daemon_uid = fs::metadata(&file).expect("a file").uid();
    let trust = Trust::new(daemon_uid, Some(FOLDER.clone()));
    let Ok(settings) = Settings::load(&file, &trust) else {
        return;
    };
    assert!(settings.encrypt_cost <= 22);
    assert!((6..=10).contains(&settings.new_device.parameters.digits));
    assert!((15..=120).contains(&settings.new_device.parameters.period));
    assert!(settings.policy.window <= 10 && settings.policy.budget <= 1000);
    assert!(settings.store.path().is_absolute());
    let default = settings.secrets.default_tag().as_str();
    assert_eq!(
        settings.secrets.derive::<32>(default, None, b"").is_some(),
        settings.secrets.sealing_tag().is_some()
    );
    let written: Option<Value> = serde_yaml::from_slice(text).ok();
    let rules = written
        .as_ref()
        .and_then(|written| written.get("rules"))
        .and_then(Value::as_sequence);
    for (rule, written) in settings
        .exemptions
        .rules
        .iter()
        .zip(rules.into_iter().flatten())
    {
        // The name is the one key besides.
        assert_eq!(
            written.as_mapping().map(|keys| keys.len()),
            Some(conditions(rule) + 1)
        );
    }
});

fn conditions(
    Rule {
        name: _,
        users,
        groups,
        from,
        services,
        hours,
    }: &Rule,
) -> usize {
    let empty = [
        users.is_empty(),
        groups.is_empty(),
        from.is_empty(),
        services.is_empty(),
        hours.is_empty(),
    ];
    empty.into_iter().filter(|empty| !empty).count()
}
