//! `--prepare-etcd`: what it makes is enough for the daemon and no more, and what would be too much, or
//! would leave etcd without an administrator, is refused.

use std::path::Path;

use common::config::tls_files::TlsFiles;
use etcd_client::{GetOptions, PutOptions};
use zeroize::Zeroizing;

use super::*;
use crate::store::etcd::preparing::{NotPrepared, Preparing, prepare};

/// Prepares etcd for that machine, with the certificate of that administrator.
fn prepared(
    machine: &Machine,
    administrator: &TlsFiles,
    enable_auth: bool,
) -> Result<Vec<String>, NotPrepared> {
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let root = read(&administrator.cert) + &read(&administrator.key);
    prepare(&Preparing {
        settings: &machine.settings,
        trust: &trust(),
        root: Zeroizing::new(root),
        enable_auth,
    })
}

fn why_not(machine: &Machine, administrator: &TlsFiles, enable_auth: bool) -> String {
    let refused = prepared(machine, administrator, enable_auth);
    refused.unwrap_err().to_string()
}

/// The machine's daemon, at a cluster that knows it by its certificate.
fn machine_of(cluster: &Cluster) -> Machine {
    Machine::below(cluster, "/pam-totp/")
}

#[track_caller]
fn says(sentence: &str, parts: &[&str]) {
    for part in parts {
        assert!(sentence.contains(part), "no '{part}' in: {sentence}");
    }
}

#[test]
fn a_daemon_is_served_below_its_prefix_and_reaches_nothing_beyond_it() {
    let cluster = Cluster::with_tls("server");
    let (machine, root) = (machine_of(&cluster), cluster.client("root"));
    let off = prepared(&machine, &root, false).unwrap().join("\n");
    says(&off, &["user 'verifier': made", "authentication: is off"]);
    let on = prepared(&machine, &root, true).unwrap().join("\n");
    let all_of = "below /pam-totp/, and no others";
    says(&on, &["user 'verifier': was there", "is on", all_of]);
    let again = prepared(&machine, &root, true).unwrap().join("\n");
    says(&again, &["user 'root': was there", all_of]);

    let store = machine.open();
    _ = done(store.insert_new(&user("alice"), b"one".to_vec(), soon()));
    assert_eq!(store.list(None, 9).unwrap().len(), 1);
    assert_eq!(store.health().unwrap().users, 1);
    for key in ["/", "/pam-totp", "/pam-totp0", "/elsewhere/x", "\0"] {
        assert!(!cluster.may("verifier", key), "{key}");
    }
    assert!(cluster.may("verifier", "/pam-totp/x"));
    assert!(!cluster.may("stranger", "/pam-totp/x"));
    let parts = ["denies access to the keys below /elsewhere/", "role"];
    says(&Machine::below(&cluster, "/elsewhere/").why_not(), &parts);
    let mut stranger = machine_of(&cluster);
    stranger.settings.tls = Some(cluster.client("stranger"));
    says(&stranger.why_not(), &parts[1..]);
}

#[test]
fn authentication_is_not_turned_on_without_a_certificate_that_can_administer_it() {
    let cluster = Cluster::with_tls("server");
    let machine = machine_of(&cluster);
    let stranger = cluster.client("stranger");
    says(
        &why_not(&machine, &stranger, true),
        &["is for 'stranger'", "common name (CN) 'root'"],
    );
    // Nothing was turned on.
    prepared(&machine, &stranger, false).unwrap();
    prepared(&machine, &cluster.client("root"), true).unwrap();
    says(&why_not(&machine, &stranger, false), &["is not its root's"]);
}

#[test]
fn what_would_give_the_daemon_more_than_its_prefix_is_refused() {
    let cluster = Cluster::with_tls("server");
    let (mut machine, root) = (machine_of(&cluster), cluster.client("root"));
    machine.settings.tls = Some(cluster.client("root"));
    says(
        &why_not(&machine, &root, false),
        &["root.pem names the user 'root'"],
    );
    machine.settings.tls = Some(cluster.client("verifier"));
    prepared(&machine, &root, false).unwrap();
    cluster.etcdctl("etcdctl role add wide; etcdctl user grant-role verifier wide");
    says(
        &why_not(&machine, &root, false),
        &["'verifier' has other roles, too (wide)"],
    );
    cluster.etcdctl("etcdctl user revoke-role verifier wide");
    for grant in [
        "--prefix=true readwrite /",
        "--from-key=true read /pam-totp/",
    ] {
        let role = "etcdctl role grant-permission pam-totp:/pam-totp/";
        cluster.etcdctl(&format!("{role} {grant}"));
        let parts = ["role 'pam-totp:/pam-totp/' allows other keys, too"];
        says(&why_not(&machine, &root, true), &parts);
        let end = if grant.ends_with("p/") {
            "--from-key=true /pam-totp/"
        } else {
            "--prefix=true /"
        };
        let revoke = "etcdctl role revoke-permission pam-totp:/pam-totp/";
        cluster.etcdctl(&format!("{revoke} {end}"));
    }
    prepared(&machine, &root, true).unwrap();
}

#[test]
fn an_etcd_that_cannot_be_prepared_is_a_sentence() {
    let mut cluster = Cluster::with_tls("server");
    let (machine, root) = (machine_of(&cluster), cluster.client("root"));
    let mut without_key = root.clone();
    without_key.key.clone_from(&root.cert);
    says(
        &why_not(&machine, &without_key, false),
        &["standard input must hold the certificate"],
    );
    let mut without_tls = Machine::of(shared());
    without_tls.settings.tls = None;
    says(&why_not(&without_tls, &root, false), &["without TLS"]);
    says(
        &why_not(&machine, &cluster.client("of-another-ca"), false),
        &["https://127.0.0.1:", "on standard input"],
    );
    cluster.kill(0);
    says(&why_not(&machine, &root, false), &["https://127.0.0.1:"]);
}

impl Cluster {
    /// Whether etcd lets that certificate read the key, or write it.
    fn may(&self, client: &str, key: &str) -> bool {
        let [read, write] = [key.to_owned(), key.to_owned()];
        let reads = self.ask(0, client, |mut etcd| async move {
            etcd.get(read, Some(GetOptions::new())).await
        });
        let writes = self.ask(0, client, |mut etcd| async move {
            etcd.put(write, "x", Some(PutOptions::new())).await
        });
        reads.is_some() || writes.is_some()
    }
}
