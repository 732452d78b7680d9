//! Tests of the settings as a whole: defaults, bounds, errors, and the files they are read from.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::time::Duration;

use super::file::{MAX_BYTES, TrustedFile};
use super::problem::Problem;
use super::*;
use crate::config::audit::{Delivery, Format};
use crate::config::exemptions::roll_out::UnknownUsers;
use crate::totp::{Algorithm, Parameters};

const SECRETS: &str = "1: 0123456789abcdef\n";

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("secrets", SECRETS, 0o640);
        folder
    }

    fn write(&self, name: &str, text: &str, mode: u32) {
        std::fs::write(self.path(name), text).unwrap();
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
        // It is not being written any more.
        let file = std::fs::File::options().write(true).open(self.path(name));
        file.unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn trust(&self) -> Trust {
        let daemon_uid = nix::unistd::geteuid().as_raw();
        Trust {
            secrets_file: self.path("kept"),
            ..Trust::new(daemon_uid, Some(self.0.path().to_owned()))
        }
    }

    fn load(&self, text: &str) -> Result<Settings, ConfigError> {
        self.write("settings.yaml", text, 0o640);
        Settings::load(&self.path("settings.yaml"), &self.trust())
    }

    fn refusal(&self, text: &str) -> String {
        self.load(text)
            .map(|settings| panic!("taken: {settings:?}"))
            .unwrap_err()
            .to_string()
    }
}

#[test]
fn an_empty_file_means_the_defaults() {
    for text in [
        "",
        "# nothing\n",
        "totp:\n",
        "totp: {context: }\npolicy:\n",
        "other: {a: 1}\n",
    ] {
        let settings = Folder::new().load(text).unwrap();
        assert_eq!(settings.new_device.parameters, Parameters::default());
        assert_eq!(settings.new_device.label, "{user}@{host}");
        assert_eq!(
            settings.policy,
            Policy {
                window: 1,
                budget: 5,
                refill: Duration::from_secs(86400),
                strict: false
            }
        );
        assert_eq!(
            settings.store,
            StoreSettings::Sled(SledSettings {
                path: "/var/lib/pam-totp/store".into(),
                cache_mib: 32
            })
        );
        assert_eq!(
            (settings.self_service, settings.bind_uid),
            (SelfService::WithProof, true)
        );
        assert_eq!(
            (settings.roles, settings.new_device.issuer),
            (Roles::default(), None)
        );
        assert_eq!(settings.encrypt_cost, 14);
        assert_eq!(
            settings.limits,
            Limits {
                per_source: 60,
                trusted_sources: Vec::new()
            }
        );
        assert_eq!(settings.audit, AuditSettings::default());
        assert_eq!(settings.exemptions, Exemptions::default());
        assert_eq!(
            settings.recovery,
            Recovery {
                codes: 10,
                expire: None
            }
        );
    }
}

/// Settings in which every section sets something other than the defaults.
fn with_everything_set() -> Settings {
    let folder = Folder::new();
    let text = format!(
        "totp:\n  context: {{digits: 8, alg: SHA256, period: 60, label: '{{user}}', issuer: x y, secrets_path: {}, default-tag: 1}}\n\
         provisiond:\n  store: {{sled: {{path: /srv/store, cache_mib: 8}}}}\n  admin_group: wheel\n  helpdesk_group: help\n\
         \x20 verifiers: {{vpn: {{user: openvpn, services: [openvpn], users_group: vpn}}}}\n\
         policy: {{window: 0, budget: 0, refill: 2h, strict: true, self_service: off, bind-uid: false}}\n\
         limits: {{per_source: 9, trusted-sources: [192.0.2.0/24, '::1']}}\n\
         audit: {{delivery: required, format: json}}\nrecovery: {{codes: 3, expire: 365d}}\n\
         rules: [{{name: lan, from: [192.0.2.0/24]}}]\nroll_out: {{observe: true}}\nunknown_users: deny\n\
         grace: {{same_host: {{for: 5m, services: [sudo]}}}}\n",
        folder.path("secrets").display()
    );
    folder.load(&text).unwrap()
}

#[test]
fn everything_about_new_devices_the_store_and_roles_can_be_set() {
    let settings = with_everything_set();
    assert_eq!(
        settings.new_device.parameters,
        Parameters {
            alg: Algorithm::Sha256,
            digits: 8,
            period: 60
        }
    );
    assert_eq!(settings.new_device.issuer.unwrap().as_str(), "x y");
    assert_eq!(
        settings.store,
        StoreSettings::Sled(SledSettings {
            path: "/srv/store".into(),
            cache_mib: 8
        })
    );
    assert_eq!(settings.roles.admin_group.as_deref(), Some("wheel"));
    assert_eq!(settings.roles.helpdesk_group.as_deref(), Some("help"));
    assert_eq!(settings.roles.verifiers.len(), 1);
}

#[test]
fn everything_about_policy_limits_and_exemptions_can_be_set() {
    let settings = with_everything_set();
    assert_eq!(
        (settings.self_service, settings.bind_uid),
        (SelfService::Off, false)
    );
    assert_eq!(
        settings.policy,
        Policy {
            window: 0,
            budget: 0,
            refill: Duration::from_secs(7200),
            strict: true
        }
    );
    assert_eq!(
        (
            settings.limits.per_source,
            settings.limits.trusted_sources.len()
        ),
        (9, 2)
    );
    assert_eq!(
        settings.audit,
        AuditSettings {
            delivery: Delivery::Required,
            format: Format::Json
        }
    );
    let Exemptions {
        rules,
        roll_out,
        unknown_users,
        grace,
    } = settings.exemptions;
    assert!(grace.same_host.is_some() && grace.same_source.is_none());
    assert_eq!(
        (rules[0].name.as_str(), roll_out.observe, unknown_users),
        ("lan", true, UnknownUsers::Deny)
    );
    assert_eq!(
        settings.recovery,
        Recovery {
            codes: 3,
            expire: Some(Duration::from_secs(365 * 86400))
        }
    );
}

#[test]
fn one_word_says_what_becomes_of_a_login_whose_line_is_lost() {
    for (word, delivery) in [
        ("best-effort", Delivery::BestEffort),
        ("required", Delivery::Required),
    ] {
        let settings = Folder::new().load(&format!("audit: {word}\n")).unwrap();
        assert_eq!(
            settings.audit,
            AuditSettings {
                delivery,
                format: Format::Text
            }
        );
    }
}

#[test]
fn secrets_may_stand_in_the_settings_with_integer_tags_and_all_digit_values() {
    let text = "totp:\n  context:\n    secrets: {1: 1234567890123456, 2016: abcdefghijklmnop}\n";
    assert_eq!(
        Folder::new()
            .load(text)
            .unwrap()
            .secrets
            .default_tag()
            .as_str(),
        "2016"
    );
    let text = "totp:\n  context:\n    secrets: |\n      1: 1234567890123456\n";
    assert_eq!(
        Folder::new()
            .load(text)
            .unwrap()
            .secrets
            .default_tag()
            .as_str(),
        "1"
    );
}

#[test]
fn a_settings_file_of_the_lineage_loads_as_it_stands() {
    let context = "context:\n  digits: 8\n  alg: sha256\n  period: 60\n  label: token_label_123\n  \
         issuer: my_application_name\n  default_tag: 1479568656\n  encrypt_cost: 12\n  secrets:\n    \
         1479568656:  9xEF7DRojqkJLUENWmOoF3ZCWz3kFHylDCES92dSvYV\n    7: 12345678901234567890\n";
    let indented = |by: &str| {
        context
            .lines()
            .map(|line| format!("{by}{line}\n"))
            .collect::<String>()
    };
    for text in [
        context.to_owned(),
        format!("totp:\n{}", indented("    ")),
        format!(
            "AUTHC_CONFIG:\n    account_lock_threshold: 3\n    totp:\n        \
             mfa_dispatcher: yosai_totp_sms.SMSDispatcher\n{}SESSION_CONFIG: {{a: 1}}\n",
            indented("        ")
        ),
    ] {
        let settings = Folder::new().load(&text).unwrap();
        assert_eq!(
            settings.new_device.parameters,
            Parameters {
                alg: Algorithm::Sha256,
                digits: 8,
                period: 60
            }
        );
        assert_eq!(settings.new_device.label, "token_label_123");
        assert_eq!(
            settings.new_device.issuer.unwrap().as_str(),
            "my_application_name"
        );
        assert_eq!(
            (
                settings.secrets.default_tag().as_str(),
                settings.encrypt_cost
            ),
            ("1479568656", 12)
        );
        assert_eq!(
            settings.secrets.secret("7"),
            Some(&b"12345678901234567890"[..])
        );
    }
}

#[test]
fn a_daemon_takes_no_default_secret_that_seals_nothing() {
    let folder = Folder::new();
    let loaded = |default_tag| {
        let secrets =
            format!("secrets: {{1: 0123456789abcdef, 2: weak}}, default-tag: {default_tag}");
        let text = format!("totp: {{allow-weak-secrets: true, context: {{{secrets}}}}}");
        assert!(folder.load(&text).is_ok(), "opening needs no more");
        Settings::load_to_seal(&folder.path("settings.yaml"), &folder.trust())
    };
    assert!(loaded(1).is_ok());
    let told = loaded(2).unwrap_err().to_string();
    assert!(
        told.contains("settings.yaml: the application secret '2'")
            && told.contains("'default-tag'"),
        "{told}"
    );
}

#[test]
fn weak_secrets_are_taken_where_the_settings_say_so() {
    let secrets = "context: {secrets: {1: 0123456789abcdef, 2: weak}, default-tag: 1}";
    let folder = Folder::new();
    assert!(
        folder
            .refusal(&format!("totp: {{{secrets}}}"))
            .contains("'2' has fewer than 16")
    );
    for key in ["allow-weak-secrets", "allow_weak_secrets"] {
        let settings = folder
            .load(&format!("totp: {{{key}: true, {secrets}}}"))
            .unwrap();
        assert_eq!(settings.secrets.secret("2"), Some(&b"weak"[..]));
    }
    assert!(
        folder
            .refusal(&format!("totp: {{allow-weak-secrets: false, {secrets}}}"))
            .contains("'2'")
    );
    for nothing in ["", "null", "~", "''"] {
        let text =
            format!("totp: {{allow-weak-secrets: true, context: {{secrets: {{1: {nothing}}}}}}}");
        assert!(folder.refusal(&text).contains("'1'"), "{nothing:?}");
    }
}

/// Each text is refused, with a sentence that holds this part and no secret.
fn check_refusals(texts: &[(&str, &str)]) {
    let folder = Folder::new();
    for (text, part) in texts {
        let sentence = folder.refusal(text);
        assert!(sentence.contains(part), "{text:?}: {sentence}");
        assert!(
            !sentence.contains("0123456789"),
            "a secret is shown: {sentence}"
        );
    }
}

#[test]
fn a_file_without_readable_sections_is_refused_with_a_sentence() {
    check_refusals(&[
        ("totp:\n  context:\n    digts: 6\n", "line 3"),
        ("totp: {contxt: {}}\n", "contxt"),
        (
            "totp: {}\nAUTHC_CONFIG: {totp: {}}\n",
            "more than one place",
        ),
        ("totp: {}\ncontext: {}\n", "more than one place"),
        ("AUTHC_CONFIG: {totp: {contxt: {}}}\n", "contxt"),
        ("- a list\n", "expected sections"),
        ("a: [\n", "line"),
        ("&a [*a]\n", "expected sections"),
    ]);
}

#[test]
fn policy_limits_recovery_and_audit_that_cannot_be_used_are_refused_with_a_sentence() {
    check_refusals(&[
        ("policy:\n  window: wide\n", "line 2"),
        ("policy: {window: -1}\n", "line 1"),
        ("policy: {window: 11}\n", "policy.window"),
        ("policy: {budget: 1001}\n", "policy.budget"),
        ("policy: {refill: soon}\n", "24h"),
        ("policy: {self-service: free}\n", "with-proof"),
        ("policy: {bind-uid: 1000}\n", "line 1"),
        ("policy: {strict: 100}\n", "line 1"),
        ("policy: {refill: 1s}\n", "policy.refill"),
        ("policy: {refill: 99999999999999999999d}\n", "24h"),
        ("policy: {budget: 1, budget: 2}\n", "repeated"),
        ("limits: {per-source: -1}\n", "line 1"),
        ("limits: {per-user: 1}\n", "per-user"),
        (
            "limits: {trusted-sources: [192.0.2.1/24]}\n",
            "limits.trusted-sources",
        ),
        ("limits: {trusted-sources: all}\n", "line 1"),
        ("recovery: {codes: 11}\n", "recovery.codes"),
        ("recovery: {codes: -1}\n", "line 1"),
        ("recovery: {expire: 1h}\n", "recovery.expire"),
        ("recovery: {expire: nie}\n", "'never'"),
        ("recovery: {uses: 1}\n", "uses"),
        ("\naudit: always\n", "line 2"),
        ("audit: {delivery: sometimes}\n", "`best-effort`"),
        ("audit: {queue: 5}\n", "queue"),
        ("audit: [required]\n", "'best-effort', 'required', or"),
    ]);
}

#[test]
fn exemptions_stores_and_roles_that_cannot_be_used_are_refused_with_a_sentence() {
    check_refusals(&[
        ("rules:\n- name: lan\n  form: [192.0.2.0/24]\n", "line 3"),
        (
            "rules: [{name: lan}]\n",
            "'rules': rule 'lan': it has no condition",
        ),
        ("rules: {lan: {}}\n", "line 1"),
        (
            "roll-out: {enforce-after: {staff: soon}}\n",
            "'roll-out': 'staff'",
        ),
        ("unknown-users: allow\n", "line 1"),
        (
            "grace: {same-host: {for: 5m, services: []}}\n",
            "'grace': 'same-host'",
        ),
        ("provisiond: {store: {etcd: {}}}\n", "etcd"),
        ("provisiond: {admin-group: ''}\n", "provisiond.admin-group"),
        ("provisiond: {helpdesk-group: [a]}\n", "line 1"),
        (
            "provisiond: {verifiers: {a: {user: root, services: [s], users-group: g}}}\n",
            "provisiond.verifiers",
        ),
        ("provisiond: {verifiers: {a: {}}}\n", "line 1"),
        ("provisiond: {store: sled}\n", "line 1"),
        (
            "provisiond: {store: {sled: {path: store}}}\n",
            "absolute path",
        ),
    ]);
}

#[test]
fn parameters_of_new_devices_that_cannot_be_used_are_refused_with_a_sentence() {
    check_refusals(&[
        ("totp: {context: {digits: 5}}\n", "6 to 10"),
        ("totp: {context: {digits: 256}}\n", "line 1"),
        ("totp: {context: {alg: md5}}\n", "sha1"),
        ("totp: {context: {period: 1}}\n", "15 to 120"),
        ("totp: {context: {issuer: 'a:b'}}\n", "without ':'"),
        (
            "totp: {context: {label: '{foo}'}}\n",
            "only {user}, {host} and {device}",
        ),
        (
            "totp: {context: {label: '{user}@{Host}'}}\n",
            "only {user}, {host} and {device}",
        ),
        (
            "totp: {context: {label: '{user'}}\n",
            "only {user}, {host} and {device}",
        ),
        (
            "totp: {context: {label: '{{user}}'}}\n",
            "only {user}, {host} and {device}",
        ),
    ]);
}

#[test]
fn application_secrets_that_cannot_be_used_are_refused_with_a_sentence() {
    check_refusals(&[
        (
            "totp: {context: {secrets-path: 5}}\n",
            "'totp.context.secrets-path': give the secrets file by its absolute path",
        ),
        (
            "AUTHC_CONFIG: {totp: {context: {secrets_path: secrets}}}\n",
            "absolute path",
        ),
        ("totp: {context: {secrets: {1: short}}}\n", "fewer than 16"),
        ("totp: {context: {secrets: {}}}\n", "--new-secret"),
        ("totp: {context: {default-tag: 9}}\n", "default tag"),
        (
            "totp: {context: {secrets: {1: 0123456789abcdef, 1: 0123456789abcdeg}}}\n",
            "repeated",
        ),
        (
            "totp: {context: {secrets: {1: 0123456789abcdef}, secrets-path: /x}}\n",
            "keep one",
        ),
        (
            "totp: {context: {secrets: '1: 0123456789abcdef'}}\n",
            "no line end",
        ),
        ("totp: {context: {secrets: [1, 2]}}\n", "line 1"),
        ("totp: {context: {encrypt-cost: 23}}\n", "between 0 and 22"),
        ("totp: {context: {encrypt-cost: -1}}\n", "line 1"),
        ("totp: {allow-weak-secrets: sometimes}\n", "line 1"),
    ]);
}

/// A text, its repeated key, the key's line, and the line of the first one.
const REPEATED: [(&str, &str, usize, usize); 14] = [
    (
        "# ours\npolicy:\n  window: 1\n\nlimits: {}\npolicy: {budget: 3}\n",
        "policy",
        6,
        2,
    ),
    ("a: 1\nrules: []\nb: 1\nrules: []\n", "rules", 4, 2),
    ("roll-out: {}\nroll_out: {}\n", "roll_out", 2, 1),
    (
        "unknown-users: ask\n\n\nunknown-users: ask\n",
        "unknown-users",
        4,
        1,
    ),
    (
        "\npolicy:\n  window: 1\n  budget: 2\n  window: 1\n",
        "window",
        5,
        3,
    ),
    (
        "policy: {\n  window: 1,\n  budget: 2,\n  window: 1}\n",
        "window",
        4,
        2,
    ),
    (
        "totp:\n  context:\n    digits: 6\n    digits: 6\n",
        "digits",
        4,
        3,
    ),
    (
        "AUTHC_CONFIG:\n  totp:\n    context: {}\n    context: {}\n",
        "context",
        4,
        3,
    ),
    (
        "rules:\n- name: a\n  users: b\n- name: c\n  users: d\n  users: e\n",
        "users",
        6,
        5,
    ),
    (
        "provisiond:\n  verifiers:\n    a: {}\n    b: {}\n    a: {}\n",
        "a",
        5,
        3,
    ),
    (
        "roll-out:\n  enforce-after:\n    a: 2026-12-01\n    a: 2026-12-01\n",
        "a",
        4,
        3,
    ),
    (
        "limits:\n  per_source: 1\n  per-source: 1\n",
        "per-source",
        3,
        2,
    ),
    (
        "policy:\r\n  window: 1\r\n\tbudget: 1\r\n  window: 1\r\n",
        "",
        3,
        0,
    ),
    (
        "policy:\r\n  window: 1\r\n# \u{e4}\r\n  window: 1\r\n",
        "window",
        4,
        2,
    ),
];

#[test]
fn a_repeated_key_is_named_with_both_of_its_lines() {
    let long = "# a line\n".repeat(5000);
    for (text, key, line, first) in REPEATED {
        for (before, more) in [("", 0), (long.as_str(), 5000)] {
            let told = sections::left_alone(&format!("{before}{text}")).unwrap_err();
            let (line, first) = (line + more, first + more);
            let expected =
                format!("line {line}: '{key}' is repeated, and is on line {first} already");
            if key.is_empty() {
                assert!(told.to_string().contains(&format!("line {line}")), "{told}");
            } else {
                assert!(told.to_string().starts_with(&expected), "{text}: {told}");
            }
        }
    }
}

#[test]
fn a_repeated_tag_of_a_secret_has_its_lines_and_is_not_shown() {
    let text = "totp:\n  context:\n    secrets:\n      hunter2: a\n      2: b\n      hunter2: c\n";
    let told = sections::left_alone(text).unwrap_err().to_string();
    assert!(
        told.starts_with("line 6: a tag") && told.contains("on line 4 already"),
        "{told}"
    );
    assert!(!told.contains("hunter2"), "{told}");
}

#[test]
fn other_programs_may_repeat_what_is_theirs_and_names_that_differ_in_a_hyphen_are_two() {
    for text in [
        "theirs: {a: 1, a: 2}\ntheirs: 3\n",
        "provisiond: {verifiers: {a-b: {}, a_b: {}}}\n",
        "roll-out: {enforce-after: {a-b: 2026-12-01, a_b: 2026-12-01}}\n",
        "totp: {context: {secrets: {a-b: x, a_b: y}}}\n",
        "policy: {window: 1}\nlimits: {window: 1}\n",
        "rules: [{name: a}, {name: a}]\n",
    ] {
        assert!(sections::left_alone(text).is_ok(), "{text}");
    }
}

/// Each mistake stands on line 4.
#[test]
fn every_mistake_is_on_the_line_that_is_named() {
    check_refusals(&[
        (
            "policy: {\n  window: 1,\n  budget: 2,\n  windoe: 1}\n",
            "line 4",
        ),
        (
            "policy: {\n  window: 1,\n  budget: 2,\n  strict: 1}\n",
            "line 4",
        ),
        ("rules:\n- name: a\n  users: b\n- nme: c\n", "line 4"),
        ("rules:\n- name: a\n  users:\n  - [b]\n", "line 4"),
        (
            "limits:\n  trusted-sources:\n  - 192.0.2.0/24\n  - {}\n",
            "line 4",
        ),
        (
            "provisiond:\n  verifiers:\n    a:\n      usr: b\n",
            "line 4",
        ),
        (
            "provisiond:\n  store:\n    sled:\n      pth: /a\n",
            "line 4",
        ),
        (
            "grace:\n  same-host:\n    for: 5m\n    servces: [sudo]\n",
            "line 4",
        ),
        (
            "roll-out:\n  enforce-after:\n    a: 2026-12-01\n    b: [1]\n",
            "line 4",
        ),
        (
            "recovery:\r\n  codes: 1\r\n  # \u{e4}\r\n  expir: 1d\r\n",
            "line 4",
        ),
        (
            "policy:\n  window: 1\n  budget: 2\n\tstrict: true\n",
            "line 4",
        ),
        ("audit:\n  # one\n  # two\n  queue: 5\n", "line 4"),
        (
            "totp:\n  context:\n    digits: 6\n    alg: !foo sha1\n",
            "line 4",
        ),
        ("policy:\n\n\n  refill:\n", "line 4"),
    ]);
}

#[test]
fn a_section_that_is_left_alone_can_be_named_and_ours_are_none() {
    let folder = Folder::new();
    let left_alone = |text: &str| sections::left_alone(text).unwrap();
    let text = "polcy: {window: 0}\ntotp: {}\nSESSION_CONFIG: [1, {a: b}]\n2: ~\nroll_out:\n";
    assert_eq!(left_alone(text), ["polcy", "SESSION_CONFIG", "2"]);
    assert!(
        folder.load(text).unwrap().left_alone.len() == 3
            && left_alone("").is_empty()
            && left_alone("# nothing\n").is_empty()
    );
    for ours in sections::SECTIONS {
        let text = format!("{ours}: [[0]]\n");
        assert!(
            left_alone(&text).is_empty() && folder.load(&text).is_err(),
            "{ours}"
        );
    }
}

/// A section may be empty, but a key needs a value: else the default would silently take the place
/// of a lost value.
#[test]
fn a_key_with_nothing_behind_it_is_refused() {
    let folder = Folder::new();
    for key in [
        "policy: {window: @}",
        "policy: {budget: @}",
        "policy: {refill: @}",
        "policy: {strict: @}",
        "policy: {self-service: @}",
        "policy: {bind-uid: @}",
        "limits: {per-source: @}",
        "limits: {trusted-sources: [@]}",
        "recovery: {codes: @}",
        "recovery: {expire: @}",
        "audit: {delivery: @}",
        "rules: [{name: lan, services: [sshd], from: @}]",
        "roll-out: {observe: @}",
        "roll-out: {enforce-after: {staff: @}}",
        "roll-out: {enforce-after: {? @ : 2026-12-01}}",
        "unknown-users: @",
        "grace: {same-source: {for: @, services: [sshd]}}",
        "grace: {same-source: {for: 1h, services: @}}",
        "grace: {same-source: {for: 1h, services: [@]}}",
        "provisiond: {admin-group: @}",
        "provisiond: {helpdesk-group: @}",
        "provisiond: {verifiers: {vpn: {user: @, services: [vpn], users-group: vpn}}}",
        "provisiond: {verifiers: {vpn: {user: vpn, services: @, users-group: vpn}}}",
        "provisiond: {verifiers: {vpn: {user: vpn, services: [@], users-group: vpn}}}",
        "provisiond: {verifiers: {vpn: {user: vpn, services: [vpn], users-group: @}}}",
        "provisiond: {verifiers: {vpn: {user: vpn, services: [vpn], users-group: vpn, trusted-rhost: @}}}",
        "provisiond: {store: {sled: {path: @}}}",
        "provisiond: {store: {sled: {cache-mib: @}}}",
    ] {
        // Nothing at all in square brackets is an empty list.
        let nothings = if key.contains("[@]") {
            &["~", "null"][..]
        } else {
            &["", "~", "null"]
        };
        for nothing in nothings {
            let said = folder.refusal(&format!("{}\n", key.replace('@', nothing)));
            let section = key.split(':').next().unwrap();
            assert!(said.contains(section), "{key} {nothing:?}: {said}");
        }
    }
}

#[test]
fn a_number_has_decimal_digits_and_no_value_has_a_tag() {
    let folder = Folder::new();
    for key in [
        "policy: {window: @}",
        "policy: {budget: @}",
        "limits: {per-source: @}",
        "recovery: {codes: @}",
        "provisiond: {store: {sled: {cache-mib: @}}}",
        "totp: {context: {digits: @}}",
        "totp: {context: {period: @}}",
        "totp: {context: {encrypt-cost: @}}",
    ] {
        for number in [
            "0b11",
            "0x1f",
            "0o17",
            "+5",
            "-5",
            "5.0",
            "1e3",
            "1_000",
            "007",
            "five",
            "''",
            "!foo 5",
            "99999999999999999999",
        ] {
            let said = folder.refusal(&format!("{}\n", key.replace('@', number)));
            assert!(
                said.contains("decimal digits") || said.contains("tag"),
                "{key} {number}: {said}"
            );
        }
    }
    for tagged in [
        "unknown-users: !foo skip",
        "policy: !foo {window: 0}",
        "rules: [!foo {name: lan, from: [local]}]",
        "totp: {context: {secrets: {1: !foo a secret of enough bytes}}}",
    ] {
        assert!(
            folder.refusal(&format!("{tagged}\n")).contains("tag"),
            "{tagged}"
        );
    }
    assert!(folder.load("SESSION_CONFIG: !foo {a: !bar 1}\n").is_ok());
}

#[test]
fn the_source_limit_has_an_upper_bound() {
    let folder = Folder::new();
    assert!(folder.load("limits: {per-source: 10000}\n").is_ok());
    let said = folder.refusal("limits: {per-source: 10001}\n");
    assert!(said.contains("between 0 and 10000"), "{said}");
}

#[test]
fn settings_that_are_being_written_are_not_taken_before_they_are_whole() {
    let folder = Folder::new();
    let path = folder.path("settings.yaml");
    let mut text = String::new();
    let mut write = |more: &str| {
        text.push_str(more);
        folder.write("settings.yaml", &text, 0o640);
    };
    write("policy: {window: 0}\n");
    let mut more = ["unknown-users: deny\n", "enroll-at-login: true\n"].into_iter();
    let file = TrustedFile::read_at_rest(&path, &folder.trust(), |_| {
        more.next().into_iter().for_each(&mut write);
    });
    let whole = "policy: {window: 0}\nunknown-users: deny\nenroll-at-login: true\n";
    assert_eq!(file.map_err(|_| "no settings").unwrap().text(), whole);
    let endless = TrustedFile::read_at_rest(&path, &folder.trust(), |_| write("# more\n"));
    assert!(matches!(endless.err(), Some(Problem::Changing)));
}

#[test]
fn what_was_changed_just_now_is_waited_for() {
    let folder = Folder::new();
    folder.write("settings.yaml", "", 0o640);
    let waited = |folder: &Folder| {
        let mut waited = Vec::new();
        let path = folder.path("settings.yaml");
        let file = TrustedFile::read_at_rest(&path, &folder.trust(), |time| waited.push(time));
        assert!(file.is_ok());
        waited
    };
    assert_eq!(waited(&folder), [Duration::ZERO]);
    let path = folder.path("settings.yaml");
    let file = std::fs::File::options().write(true).open(path).unwrap();
    // Later than any look at the clock: its age is unknown.
    let later = std::time::SystemTime::now() + Duration::from_secs(60);
    file.set_modified(later).unwrap();
    assert!(waited(&folder)[0] > Duration::ZERO);
}

#[test]
fn too_much_is_not_even_parsed() {
    let folder = Folder::new();
    assert!(
        folder
            .refusal(&format!("# {}\n", "x".repeat(100 * 1024)))
            .contains("larger than 65536")
    );
    assert!(
        folder
            .load(&format!("# {}\n", "x".repeat(MAX_BYTES - 3)))
            .is_ok()
    );
    assert!(
        folder
            .refusal(&"{a: ".repeat(16_000))
            .contains("settings.yaml")
    );
}

#[test]
fn files_that_others_could_have_written_are_refused() {
    let folder = Folder::new();
    let load = |name: &str| {
        Settings::load(&folder.path(name), &folder.trust())
            .map(drop)
            .unwrap_err()
            .to_string()
    };
    for mode in [0o660, 0o602, 0o666] {
        folder.write("settings.yaml", "", mode);
        assert!(load("settings.yaml").contains("chmod go-w"), "{mode:o}");
    }
    folder.write(
        "settings.yaml",
        "totp: {context: {secrets: {1: 0123456789abcdef}}}",
        0o644,
    );
    assert!(load("settings.yaml").contains("chmod o="));
    folder.write("settings.yaml", "", 0o644);
    assert!(Settings::load(&folder.path("settings.yaml"), &folder.trust()).is_ok());
    folder.write("secrets", SECRETS, 0o644);
    assert!(load("settings.yaml").contains("secrets: holds secrets"));
    std::fs::remove_file(folder.path("secrets")).unwrap();
    assert!(load("settings.yaml").contains("kept: cannot be read"));
    symlink(folder.path("settings.yaml"), folder.path("link")).unwrap();
    assert!(load("link").contains("symbolic link"));
    assert!(load(".").contains("not a regular file"));
    nix::unistd::mkfifo(&folder.path("pipe"), nix::sys::stat::Mode::S_IRUSR).unwrap();
    assert!(load("pipe").contains("not a regular file"));
    std::fs::write(folder.path("binary"), b"\xff\xfe").unwrap();
    assert!(load("binary").contains("UTF-8"));
    assert!(load("missing").contains("cannot be read"));
}

#[test]
fn files_of_strangers_are_refused() {
    let folder = Folder::new();
    folder.write("settings.yaml", "", 0o640);
    let ours = nix::unistd::geteuid();
    if ours.is_root() {
        std::os::unix::fs::chown(folder.path("settings.yaml"), Some(12345), None).unwrap();
    }
    let trust = Trust::new(4_000_000_000, None);
    let sentence = Settings::load(&folder.path("settings.yaml"), &trust)
        .unwrap_err()
        .to_string();
    let owner = if ours.is_root() { 12345 } else { ours.as_raw() };
    assert!(
        sentence.contains(&format!("belongs to uid {owner}")),
        "{sentence}"
    );
}
