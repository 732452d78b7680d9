//! Tests of the authority: what its certificates say, and when it signs none.

use std::os::unix::fs::PermissionsExt;

use x509_parser::extensions::GeneralName;

use super::*;

const YEAR: Duration = Duration::from_secs(365 * 86_400);

fn made(valid: Duration) -> (tempfile::TempDir, PathBuf) {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("authority");
    Authority::make(&folder, valid).unwrap();
    (scratch, folder)
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn refusal(folder: &Path) -> String {
    Authority::open(folder).err().unwrap().to_string()
}

#[test]
fn a_certificate_has_its_names_its_one_purpose_and_its_end() {
    let (_scratch, folder) = made(YEAR);
    let authority = Authority::open(&folder).unwrap();
    for (purpose, wanted) in [
        (
            Purpose::Verifier,
            names(&["V1.example.com", "192.0.2.1", "2001:db8::1"]),
        ),
        (Purpose::Host, names(&["web1.example.com"])),
    ] {
        let signed = authority
            .sign(purpose, &wanted, Duration::from_secs(86_400))
            .unwrap();
        let pem = Pem::iter_from_buffer(signed.cert.as_bytes())
            .next()
            .unwrap()
            .unwrap();
        let certificate = pem.parse_x509().unwrap();
        assert_eq!(
            signed.fingerprint,
            HEXLOWER.encode(&Sha256::digest(&pem.contents))
        );
        assert_eq!(end_of(signed.cert.as_bytes()), Some(signed.until));
        assert!(signed.until <= now() + 86_400 && certificate.validity().is_valid());
        let found = certificate.subject_alternative_name().unwrap().unwrap();
        let found = found.value.general_names.iter().map(|name| match name {
            GeneralName::DNSName(name) => (*name).to_owned(),
            GeneralName::IPAddress(bytes) => bytes.len().to_string(),
            other => panic!("{other}"),
        });
        let shown = wanted.iter().map(|name| match name.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) => "4".to_owned(),
            Ok(IpAddr::V6(_)) => "16".to_owned(),
            Err(_) => name.to_lowercase(),
        });
        assert!(found.eq(shown), "{wanted:?}");
        let purposes = certificate.extended_key_usage().unwrap().unwrap().value;
        let is_host = purpose == Purpose::Host;
        assert_eq!(
            (purposes.client_auth, purposes.server_auth),
            (is_host, !is_host)
        );
        assert!(!certificate.is_ca());
    }
    assert_eq!(authority.verifiers().unwrap(), ["V1.example.com"]);
}

#[test]
fn of_each_machine_the_last_certificate_is_listed() {
    let (_scratch, folder) = made(YEAR);
    let authority = Authority::open(&folder).unwrap();
    let day = Duration::from_secs(86_400);
    for (purpose, wanted, valid) in [
        (Purpose::Host, names(&["web1"]), day),
        (Purpose::Verifier, names(&["web1", "192.0.2.1"]), day),
        (Purpose::Host, names(&["web2"]), day),
        (Purpose::Host, names(&["web1"]), YEAR / 2),
    ] {
        drop(authority.sign(purpose, &wanted, valid).unwrap());
    }
    let listed = authority.machines().unwrap();
    let shown = listed
        .iter()
        .map(|machine| (machine.role, machine.names.join(" ")));
    assert!(shown.eq([
        (Purpose::Host, "web1".to_owned()),
        (Purpose::Verifier, "web1 192.0.2.1".to_owned()),
        (Purpose::Host, "web2".to_owned()),
    ]));
    let soon = now() + 2 * 86_400;
    let ends: Vec<_> = listed.iter().map(|machine| machine.until < soon).collect();
    assert_eq!(ends, [false, true, true]);
}

#[test]
fn the_authoritys_key_is_its_owners_alone_and_another_mode_is_refused() {
    let (_scratch, folder) = made(YEAR);
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&folder), 0o700);
    let key = folder.join(KEY);
    assert_eq!(mode(&key), 0o600);
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(refusal(&folder).contains("ca.key"), "{}", refusal(&folder));
    assert!(
        Authority::make(&folder, YEAR).is_err(),
        "it is not made again"
    );
    assert!(refusal(folder.parent().unwrap()).contains("fleet init"));
}

#[test]
fn no_certificate_holds_longer_than_the_authority() {
    let (_scratch, folder) = made(Duration::from_secs(3600));
    let authority = Authority::open(&folder).unwrap();
    let signed = authority
        .sign(Purpose::Host, &names(&["web1"]), YEAR)
        .unwrap();
    assert_eq!(signed.until, authority.until);
    let over = Authority {
        until: now() - 1,
        ..authority
    };
    let refused = over
        .sign(Purpose::Host, &names(&["web1"]), YEAR)
        .err()
        .unwrap();
    assert!(refused.to_string().contains("has ended"), "{refused}");
}

#[test]
fn what_is_no_name_gets_no_certificate_and_stands_in_no_list() {
    let (_scratch, folder) = made(YEAR);
    let authority = Authority::open(&folder).unwrap();
    for bad in ["", "a b", "*.example.com", "web1,web2", "web\u{e9}"] {
        assert!(
            authority
                .sign(Purpose::Verifier, &names(&[bad]), YEAR)
                .is_err(),
            "{bad}"
        );
    }
    assert!(authority.verifiers().unwrap().is_empty());
}
