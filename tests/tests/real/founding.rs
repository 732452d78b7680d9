//! A fleet made by the guide's chapter: a verifier and a login host that systemd runs, from empty folders to
//! the first login, and what is done with a stolen host.

use serde_json::Value;
use tests::founding::{Fleet, hand_over, type_in};
use tests::machine::Machine;
use tests::world;

#[test]
fn the_chapter_on_a_fleet_is_followed_from_empty_folders_to_the_first_login() {
    let _place = world::enter_alone();
    let fleet = Fleet::by_the_guide();
    let Fleet {
        verifier,
        host,
        alice,
        ..
    } = &fleet;
    let status = host.run(&["totpctl", "--json", "status"]);
    let status: Value = serde_json::from_str(&status).expect("JSON");
    assert_eq!(status["upstream"][0]["server"], "v1.example.com:6238");
    let code = alice.code();
    assert!(fleet.log_in(&code));
    assert!(!fleet.log_in(&code), "a replay");
    verifier.journal.wait_for(&[
        "event=verify user=alice ",
        " role=relay host=web1.example.com",
    ]);
    let shown = ["%a %U %G"].map(|format| {
        let folder = "/etc/pam-totp/fleet";
        let [cert, key] = ["cert", "key"].map(|name| format!("{folder}/{name}.pem"));
        host.run(&["stat", "-c", format, folder, &cert, &key])
    });
    let files = "640 root _pam-totp";
    assert_eq!(shown, [format!("750 root _pam-totp\n{files}\n{files}")]);

    // The host is stolen.
    let revoke = "totpctl fleet host revoke web1.example.com";
    assert!(tests::guide::GUIDE.contains(revoke));
    let told = type_in(verifier, revoke);
    assert!(told.contains("is revoked"), "{told}");
    assert!(!fleet.log_in(&alice.code()));
    let settings = verifier.run(&["cat", "/etc/pam-totp/settings.yaml"]);
    assert!(
        settings.contains("    revoked: [web1.example.com]\n"),
        "{settings}"
    );
    let again = type_in(verifier, revoke);
    assert!(again.contains("was revoked"), "{again}");
}

#[test]
fn a_file_of_a_machine_is_private_and_made_once_and_its_certificate_is_told_before_it_ends() {
    let _place = world::enter_alone();
    let Fleet { verifier, host, .. } = Fleet::by_the_guide();
    let mode = verifier.run(&["stat", "-c", "%a %U", "/tmp/web1.example.com.tar"]);
    assert_eq!(mode, "600 root");
    let again = verifier.command(&[
        "sh",
        "-c",
        "cd /tmp && totpctl fleet host add web1.example.com",
    ]);
    let why = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(
        !again.status.success() && why.contains("exists already"),
        "{why}"
    );
    let ending = "totpctl fleet list --ending 30d";
    assert!(tests::guide::GUIDE.contains(ending));
    let none = type_in(&verifier, ending);
    assert_eq!(none.trim(), "no machine");
    let issued = verifier.run(&["cat", "/etc/pam-totp/authority/issued"]);
    assert_eq!(
        issued.lines().count(),
        2,
        "nothing was signed for it: {issued}"
    );
    assert!(!certificate_ends(&host));
    let added = type_in(
        &verifier,
        "totpctl fleet host add web1.example.com --groups staff --offline-copy --valid 2d --file soon.tar",
    );
    let rule = "users-groups: [staff], offline-copy: true}";
    assert!(added.contains(rule), "{added}");
    hand_over(&verifier, &host, "soon.tar");
    type_in(&host, "tar -xf soon.tar -C /");
    let settings = host.run(&["cat", "/etc/pam-totp/settings.yaml"]);
    assert!(settings.contains("when-cut-off: two-codes"), "{settings}");
    assert!(certificate_ends(&host));
    let listed = verifier.command(&["sh", "-c", ending]);
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    let is_named = text.contains("web1.example.com") && !text.contains("v1.example.com ");
    assert!(is_named && listed.status.code() == Some(1), "{text}");
}

/// Whether doctor tells of the certificate. It has read the settings of a relay, and finds none at fault.
fn certificate_ends(host: &Machine) -> bool {
    let told = host.command(&["totpctl", "--json", "doctor", "sshd"]);
    let told: Value = serde_json::from_slice(&told.stdout).expect("JSON");
    let findings = told["findings"].as_array().expect("a list");
    let is_there = |kind: &str| findings.iter().any(|finding| finding["kind"] == kind);
    assert!(!is_there("bad-settings"), "{findings:?}");
    is_there("certificate-ends")
}
