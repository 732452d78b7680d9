//! The file that a machine of a fleet unpacks in '/': certificates, key, the drop-in of the unit, and a
//! host's settings. A plain tar, because every machine and every tool has what unpacks it; owners are
//! names, because the account of the daemon has another number on each machine.

use std::io;

use common::config::fleet::ServerAddress;
use tar::{Builder, EntryType, Header};
use zeroize::Zeroizing;

use super::Signed;
use crate::table::now;

/// The file's bytes. `settings`: a host's.
pub(crate) fn pack(
    ca: &str,
    signed: &Signed,
    settings: Option<&str>,
) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut tar = Builder::new(Vec::with_capacity(ENOUGH));
    add(&mut tar, "etc/pam-totp/fleet/", 0o750, DAEMON, None)?;
    for (path, text) in [
        ("etc/pam-totp/fleet/ca.pem", Some(ca)),
        ("etc/pam-totp/fleet/cert.pem", Some(signed.cert.as_str())),
        ("etc/pam-totp/fleet/key.pem", Some(signed.key.as_str())),
        ("etc/pam-totp/settings.yaml", settings),
    ] {
        if text.is_some() {
            add(&mut tar, path, 0o640, DAEMON, text)?;
        }
    }
    let unit = "etc/systemd/system/provisiond.service.d/";
    add(&mut tar, unit, 0o755, ROOT, None)?;
    add(
        &mut tar,
        &format!("{unit}fleet.conf"),
        0o644,
        ROOT,
        Some(DROP_IN),
    )?;
    Ok(Zeroizing::new(tar.into_inner()?))
}

/// A file with that text, or a folder.
fn add(
    tar: &mut Builder<Vec<u8>>,
    path: &str,
    mode: u32,
    group: &str,
    text: Option<&str>,
) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(match text {
        Some(_) => EntryType::Regular,
        None => EntryType::Directory,
    });
    let text = text.unwrap_or_default();
    header.set_mode(mode);
    header.set_size(text.len().try_into().map_err(io::Error::other)?);
    header.set_mtime(now());
    header.set_uid(0);
    header.set_gid(0);
    header.set_username(ROOT)?;
    header.set_groupname(group)?;
    tar.append_data(&mut header, path, text.as_bytes())
}

/// The settings of a host, which asks these verifiers, and takes two codes itself while it reaches
/// none, if it `goes_on_alone`.
pub(crate) fn settings_of_a_host(
    name: &str,
    servers: &[ServerAddress],
    goes_on_alone: bool,
) -> String {
    let servers: Vec<String> = servers.iter().map(|server| format!("'{server}'")).collect();
    let servers = servers.join(", ");
    let policy = if goes_on_alone { ALONE } else { "" };
    format!(
        "# The settings of {name}, a login host of a fleet: 'totpctl fleet host add' has made them.\n\
         provisiond:\n  upstream:\n    servers: [{servers}]\n{FILES}{policy}"
    )
}

/// The lines in the settings of a verifier, before its rules for hosts.
pub(crate) fn settings_of_a_verifier() -> String {
    format!("provisiond:\n  fleet:\n{FILES}    hosts:\n")
}

const FILES: &str = "    ca: /etc/pam-totp/fleet/ca.pem\n    cert: /etc/pam-totp/fleet/cert.pem\n    key: /etc/pam-totp/fleet/key.pem\n";
const ALONE: &str = "policy:\n  when-cut-off: two-codes\n";
const DROP_IN: &str = include_str!("fleet.conf");
const ROOT: &str = "root";
const DAEMON: &str = "_pam-totp";
/// So that no copy of the key is left behind where the buffer grew.
const ENOUGH: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_machine_gets_its_files_with_owners_by_name_and_no_key_that_others_can_read() {
        let signed = Signed {
            cert: "certificate".to_owned(),
            key: Zeroizing::new("key".to_owned()),
            fingerprint: String::new(),
            until: 0,
        };
        for (settings, files) in [(None, 6), (Some("settings"), 7)] {
            let packed = pack("authority", &signed, settings).unwrap();
            assert!(packed.capacity() == ENOUGH, "the buffer did not grow");
            let mut tar = tar::Archive::new(packed.as_slice());
            let mut found = Vec::new();
            for entry in tar.entries().unwrap() {
                let mut entry = entry.unwrap();
                let path = entry.path().unwrap().display().to_string();
                let (mut text, header) = (String::new(), entry.header().clone());
                entry.read_to_string(&mut text).unwrap();
                assert_eq!(header.username().unwrap(), Some("root"), "{path}");
                let is_ours = path.starts_with("etc/pam-totp/");
                let group = if is_ours { "_pam-totp" } else { "root" };
                assert_eq!(header.groupname().unwrap(), Some(group), "{path}");
                assert!(!is_ours || header.mode().unwrap() & 0o7 == 0, "{path}");
                found.push((path, text));
            }
            assert_eq!(found.len(), files);
            let key = ("etc/pam-totp/fleet/key.pem".to_owned(), "key".to_owned());
            assert!(found.contains(&key));
        }
    }
}
