//! The settings file as it is installed: it loads, with and without its comment signs, and the
//! manual page has every key.

#![expect(
    clippy::unwrap_used,
    reason = "a test that panics fails, which is what it should do"
)]

use std::fs::{Permissions, set_permissions, write};
use std::os::unix::fs::PermissionsExt;

use common::config::{ConfigError, Settings, Trust};
use serde_yaml::Value;

const SHIPPED: &str = include_str!("../../packaging/settings.yaml");
const PAGE: &str = include_str!("../../docs/pam-totp-settings.5");

#[test]
fn it_loads_as_it_is_and_every_line_of_it_can_be_used() {
    let as_it_is = load(SHIPPED).unwrap();
    let used = load(&without_what_names_secrets(&uncommented())).unwrap();
    assert_eq!(used.policy, as_it_is.policy, "its lines are the defaults");
    assert_eq!(used.new_device.parameters, as_it_is.new_device.parameters);
    assert_eq!(used.new_device.label, as_it_is.new_device.label);
    assert_eq!(
        (used.limits.per_source, used.audit),
        (as_it_is.limits.per_source, as_it_is.audit)
    );
    assert_eq!(used.store, as_it_is.store);
}

#[test]
fn the_manual_page_describes_every_key_and_no_other() {
    let in_file = keys(&serde_yaml::from_str(&uncommented()).unwrap(), "");
    let in_page: Vec<String> = PAGE
        .lines()
        .filter_map(|line| line.strip_prefix(".It Cm "))
        .map(str::to_owned)
        .collect();
    let missing: Vec<&String> = in_file
        .iter()
        .filter(|key| !in_page.contains(key))
        .collect();
    assert!(missing.is_empty(), "not in the manual page: {missing:?}");
    let unknown: Vec<&String> = in_page
        .iter()
        .filter(|key| !in_file.contains(key) && !ELSEWHERE.contains(&key.as_str()))
        // The file has one store, and this is the other one.
        .filter(|key| !key.starts_with("provisiond.store.etcd."))
        .collect();
    assert!(unknown.is_empty(), "only in the manual page: {unknown:?}");
}

/// The file with the comment signs before its keys removed. Prose has capital letters or no colon
/// behind its first word.
fn uncommented() -> String {
    let line = |line: &str| match line.split_once("# ") {
        Some((before, rest)) if before.trim().is_empty() && is_setting(rest) => {
            format!("{before}{rest}\n")
        }
        _ => format!("{line}\n"),
    };
    SHIPPED.lines().map(line).collect()
}

fn is_setting(text: &str) -> bool {
    let text = text.trim_start().trim_start_matches("- ");
    let key = text.split_once(':').map_or("", |(key, _)| key);
    !key.is_empty()
        && key
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}

fn without_what_names_secrets(text: &str) -> String {
    let kept = text.lines().filter(|line| {
        !["secrets", "default-tag"]
            .iter()
            .any(|key| line.trim().starts_with(key))
    });
    kept.map(|line| format!("{line}\n")).collect()
}

/// The keys of a mapping as the manual page writes them. A mapping whose keys are names counts as
/// one key.
fn keys(value: &Value, path: &str) -> Vec<String> {
    match value {
        Value::Mapping(mapping) if !CHOSEN.contains(&path) => {
            let below = |(key, value): (&Value, &Value)| {
                let key = key.as_str().unwrap();
                keys(
                    value,
                    &if path.is_empty() {
                        key.to_owned()
                    } else {
                        format!("{path}.{key}")
                    },
                )
            };
            mapping.iter().flat_map(below).collect()
        }
        _ => vec![path.to_owned()],
    }
}

/// Keys that the file does not show: for a migration, and of a relay, whose file is another one.
const ELSEWHERE: [&str; 7] = [
    "totp.allow-weak-secrets",
    "provisiond.upstream.servers",
    "provisiond.upstream.ca",
    "provisiond.upstream.cert",
    "provisiond.upstream.key",
    "provisiond.upstream.copies",
    "policy.when-cut-off",
];

/// Mappings whose keys are tags, names or groups.
const CHOSEN: [&str; 5] = [
    "totp.context.secrets",
    "enroll-at-login.without-ticket-until",
    "roll-out.enforce-after",
    "provisiond.verifiers",
    "provisiond.fleet.hosts",
];

fn load(text: &str) -> Result<Settings, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("settings.yaml", text),
        ("secrets", "1: 0123456789abcdef\n"),
    ] {
        write(folder.path().join(name), text).unwrap();
        set_permissions(folder.path().join(name), Permissions::from_mode(0o640)).unwrap();
    }
    let daemon_uid = nix::unistd::geteuid().as_raw();
    Settings::load(
        &folder.path().join("settings.yaml"),
        &Trust::new(daemon_uid, Some(folder.path().into())),
    )
}
