//! Tests of the built program without a daemon: output, standard error and exit codes of `key`,
//! --help and --version.

#![forbid(unsafe_code)]

#[cfg(test)]
mod offline {
    use std::fs::{self, Permissions};
    use std::io::Write;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;
    use std::process::{Command, Output, Stdio};

    use serde_json::{Value, json};
    use tempfile::TempDir;

    const URI: &str = "otpauth://totp/alice?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
    /// A record of passlib 1.7.4, under the secret of tag 1, at cost 4.
    const RECORD: &str = concat!(
        r#"{"enckey":{"c":4,"k":"CHEEIYCGUWTZQGTZ7H7TMMM7ACM22UJN","s":"FMSSIRAIIEEICUCKFFSQ","t":"1","v":1},"#,
        r#""label":"alice","type":"totp","v":1}"#
    );

    /// A folder with settings in it.
    struct World(TempDir);

    impl World {
        fn new() -> Self {
            let world = Self(tempfile::tempdir().unwrap());
            world.settings("secrets: {1: 0123456789abcdef, 2: fedcba9876543210}, default_tag: 1, encrypt_cost: 4");
            world
        }

        fn settings(&self, context: &str) {
            let path = self.path("settings.yaml");
            fs::write(&path, format!("totp: {{context: {{{context}}}}}\n")).unwrap();
            fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        /// Runs `totpctl key …` in the folder, with the settings named by the environment.
        fn key(&self, arguments: &[&str], input: &[u8]) -> Output {
            self.run(Some("settings.yaml"), arguments, input)
        }

        fn run(&self, settings: Option<&str>, arguments: &[&str], input: &[u8]) -> Output {
            let mut command = Command::new(env!("CARGO_BIN_EXE_totpctl"));
            command
                .arg("key")
                .args(arguments)
                .current_dir(self.0.path())
                .env_clear();
            if let Some(settings) = settings {
                command.env("PAM_TOTP_SETTINGS", self.path(settings));
            }
            command
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped());
            let mut child = command.spawn().unwrap();
            // The program may stop reading before the end.
            let _ = child.stdin.take().unwrap().write_all(input);
            child.wait_with_output().unwrap()
        }

        /// As [`Self::key`]; the command must succeed. Returns the line that it prints.
        fn done(&self, arguments: &[&str], input: &str) -> String {
            let output = self.key(arguments, input.as_bytes());
            assert!(output.status.success(), "{arguments:?}: {output:?}");
            text(&output.stdout).strip_suffix('\n').unwrap().to_owned()
        }
    }

    fn text(bytes: &[u8]) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    fn object(line: &str) -> Value {
        serde_json::from_str(line).unwrap()
    }

    /// The exit code and the error name in JSON. Checks that standard error has one line.
    fn refusal(output: &Output) -> (i32, String) {
        let (error, said) = (object(text(&output.stdout)), text(&output.stderr));
        assert_eq!(said.lines().count(), 1, "{said}");
        assert_eq!(
            said.trim_end(),
            format!("totpctl: {}", error["error"]["message"].as_str().unwrap())
        );
        assert_eq!(error.as_object().unwrap().len(), 1);
        (
            output.status.code().unwrap(),
            error["error"]["code"].as_str().unwrap().to_owned(),
        )
    }

    #[test]
    fn a_record_of_passlib_is_opened_shown_and_checked() {
        let world = World::new();
        let opened = json!({"key": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "alg": "sha1", "digits": 6, "period": 30,
            "label": "alice", "issuer": null, "changed": false});
        assert_eq!(object(&world.done(&["open"], RECORD)), opened);
        assert_eq!(world.done(&["uri"], RECORD), URI);
        assert_eq!(
            world.done(&["pretty"], RECORD),
            "GEZD-GNBV-GY3T-QOJQ-GEZD-GNBV-GY3T-QOJQ"
        );
        assert_eq!(
            world.done(&["pretty", "--hex", "--sep", " "], RECORD),
            "3132 3334 3536 3738 3930 3132 3334 3536 3738 3930"
        );
        assert_eq!(world.done(&["code", "--at", "59"], RECORD), "287082");
        assert_eq!(
            world.done(&["match", "--at", "59", "--code", "287 082"], RECORD),
            r#"{"verdict":"accepted","counter":1}"#
        );
    }

    #[test]
    fn a_verdict_other_than_accepted_is_exit_code_1() {
        let world = World::new();
        for (arguments, verdict) in [
            (&["--code", "287083"][..], "rejected"),
            (&["--code", "28708"], "malformed"),
            (&["--code", "--"], "malformed"),
            (&["--code", "287082", "--last-counter", "1"], "already_used"),
        ] {
            let output = world.key(
                &[&["match", "--at", "59"], arguments].concat(),
                RECORD.as_bytes(),
            );
            assert_eq!(output.status.code(), Some(1), "{arguments:?}");
            assert_eq!(
                object(text(&output.stdout)),
                json!({"verdict": verdict}),
                "{arguments:?}"
            );
            assert!(output.stderr.is_empty());
        }
    }

    #[test]
    fn a_new_key_goes_round_every_form() {
        let world = World::new();
        for arguments in [
            &["--format", "passlib", "--label", "bob"][..],
            &["--user", "bob", "--alg", "sha512"],
        ] {
            let made = object(&world.done(&[&["new"], arguments].concat(), ""));
            let mut members: Vec<&String> = made.as_object().unwrap().keys().collect();
            members.sort();
            assert_eq!(members, ["key", "pretty_key", "record", "uri"]);
            let [record, key, uri] =
                ["record", "key", "uri"].map(|name| made[name].as_str().unwrap());
            assert_eq!(world.done(&["uri"], record), uri);
            let other = world.done(&["seal", "--format", "v2", "--user", "carol"], record);
            let back = world.done(&["seal", "--format", "passlib", "--cost", "0"], &other);
            for (text, changed) in [(record, false), (&other, false), (&back, true), (uri, true)] {
                let opened = object(&world.done(&["open"], text));
                assert_eq!(
                    (opened["key"].as_str(), opened["changed"].as_bool()),
                    (Some(key), Some(changed)),
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn what_cannot_be_read_is_exit_code_2_and_one_line() {
        let world = World::new();
        let (long, altered) = (
            format!("{RECORD}{}", " ".repeat(64 * 1024)),
            RECORD.replace("\"t\":\"1\"", "\"t\":\"3\""),
        );
        for input in [
            &b"GEZDGNBVGY3TQOJQ"[..],
            b"\xff",
            b"otpauth://hotp/a",
            b"{}",
            long.as_bytes(),
            altered.as_bytes(),
        ] {
            for action in ["open", "uri", "pretty", "code"] {
                assert_eq!(
                    refusal(&world.key(&[action, "--json"], input)),
                    (2, "bad_record".into()),
                    "{action}"
                );
            }
            let output = world.key(&["open"], input);
            assert!(
                output.stdout.is_empty(),
                "without --json, standard output stays empty"
            );
            assert!(!text(&output.stderr).contains("GEZD"));
        }
        assert_eq!(
            refusal(&world.key(&["open", "--json"], b"")),
            (2, "no_input".into())
        );
        for arguments in [
            ["code", "--at", "-1"],
            ["code", "--at", "soon"],
            ["seal", "--format", "v2"],
        ] {
            let arguments = [
                &arguments[..],
                &["--json"],
                if arguments[0] == "seal" {
                    &["--cost", "3"]
                } else {
                    &[]
                },
            ];
            assert_eq!(
                refusal(&world.key(&arguments.concat(), URI.as_bytes())).0,
                2,
                "{arguments:?}"
            );
        }
    }

    #[test]
    fn a_uri_needs_no_settings_and_a_sealed_record_does() {
        let world = World::new();
        let nowhere = world.run(None, &["code", "--at", "59"], URI.as_bytes());
        assert_eq!(text(&nowhere.stdout), "287082\n");
        let named = world.run(Some("missing.yaml"), &["code", "--json"], URI.as_bytes());
        assert_eq!(
            refusal(&named),
            (78, "bad_settings".into()),
            "named settings must be there"
        );
        let sealed = world.run(Some("missing.yaml"), &["open", "--json"], RECORD.as_bytes());
        assert_eq!(refusal(&sealed), (78, "bad_settings".into()));
        world.settings("secrets: {2: fedcba9876543210}");
        assert_eq!(
            refusal(&world.key(&["open", "--json"], RECORD.as_bytes())),
            (2, "bad_record".into())
        );
        fs::set_permissions(world.path("settings.yaml"), Permissions::from_mode(0o644)).unwrap();
        assert_eq!(
            refusal(&world.key(&["open", "--json"], RECORD.as_bytes())),
            (78, "bad_settings".into())
        );
    }

    #[test]
    fn pictures_are_their_owners_only_and_nothing_is_written_over() {
        let world = World::new();
        let output = world.key(
            &["new", "--label", "a", "--png", "a.png", "--svg", "a.svg"],
            b"",
        );
        assert!(output.status.success());
        assert_eq!(text(&output.stderr).matches("holds the key").count(), 2);
        for (name, begins) in [("a.png", &b"\x89PNG\r\n\x1a\n"[..]), ("a.svg", b"<svg ")] {
            assert!(fs::read(world.path(name)).unwrap().starts_with(begins));
            assert_eq!(
                world.path(name).metadata().unwrap().permissions().mode() & 0o7777,
                0o600
            );
        }
        symlink("nowhere", world.path("link.svg")).unwrap();
        for (png, svg) in [
            ("a.png", "new.svg"),
            ("new.png", "a.svg"),
            ("new.png", "link.svg"),
        ] {
            let output = world.key(
                &["new", "--label", "a", "--png", png, "--svg", svg, "--json"],
                b"",
            );
            assert_eq!(refusal(&output), (2, "file".into()));
            assert!(
                !world.path("new.png").exists()
                    && !world.path("new.svg").exists()
                    && !world.path("nowhere").exists()
            );
        }
    }

    #[test]
    fn a_code_on_the_terminal_is_a_page_and_json_stays_json() {
        let world = World::new();
        let page = world.done(&["new", "--label", "a", "--qr", "ascii"], "");
        assert!(
            page.starts_with("New key: 6 digits, 30 s, sha1.\n")
                && page.contains("\nURI: otpauth://totp/a?secret=")
        );
        let both = world.key(&["--json", "new", "--label", "a", "--qr", "ascii"], b"");
        assert!(object(text(&both.stdout))["uri"].is_string());
        assert!(text(&both.stderr).contains("@@@@"));
    }

    #[test]
    fn help_and_version_are_json_where_json_was_asked_for() {
        let told = |arguments: &[&str]| {
            let output = Command::new(env!("CARGO_BIN_EXE_totpctl"))
                .args(arguments)
                .output()
                .unwrap();
            assert!(
                output.status.success() && output.stderr.is_empty(),
                "{output:?}"
            );
            text(&output.stdout).to_owned()
        };
        assert_eq!(
            object(&told(&["--json", "--version"])),
            json!({"version": env!("CARGO_PKG_VERSION")})
        );
        assert_eq!(
            told(&["--version"]),
            format!("totpctl {}\n", env!("CARGO_PKG_VERSION"))
        );
        for arguments in [&["--help"][..], &["-h"], &["enroll", "--help"]] {
            let json = told(&[arguments, &["--json"]].concat());
            assert_eq!(json.lines().count(), 1, "{json}");
            assert_eq!(object(&json), json!({"help": told(arguments)}));
        }
    }

    #[test]
    fn a_weak_default_secret_opens_and_does_not_seal() {
        let world = World::new();
        fs::write(
            world.path("settings.yaml"),
            "totp: {allow-weak-secrets: true, context: {secrets: {1: 0123456789abcdef, 2: weak}, default_tag: 2}}\n",
        )
        .unwrap();
        assert!(world.done(&["open"], RECORD).contains("\"changed\":true"));
        let output = world.key(
            &["seal", "--format", "passlib", "--json"],
            RECORD.as_bytes(),
        );
        assert_eq!(refusal(&output), (78, "bad_settings".into()));
    }
}
