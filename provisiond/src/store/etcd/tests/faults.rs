//! Faults of the cluster, its certificates and its roles: each is a sentence with the next step, and
//! no update is made.

use etcd_client::{AlarmAction, AlarmType, Client};

use super::certificates::replace;
use super::*;

/// The machine's daemon shows itself with another certificate.
fn with_certificate(cluster: &Cluster, name: &str) -> Machine {
    let mut machine = Machine::of(cluster);
    machine.settings.tls = Some(cluster.client(name));
    machine
}

#[track_caller]
fn says(sentence: &str, parts: &[&str]) {
    for part in parts {
        assert!(sentence.contains(part), "no '{part}' in: {sentence}");
    }
}

#[test]
fn a_store_is_served_over_tls_with_the_certificate_of_a_client() {
    let cluster = Cluster::with_tls("server");
    let store = with_certificate(&cluster, "verifier").open();
    _ = done(store.insert_new(&user("alice"), b"one".to_vec(), soon()));
    assert_eq!(loaded(&store, "alice"), Some(b"one".to_vec()));
}

#[test]
fn a_wrong_ca_is_named_with_its_file() {
    let cluster = Cluster::with_tls("server");
    let mut machine = Machine::of(&cluster);
    let tls = machine.settings.tls.as_mut().unwrap();
    tls.ca = tls.ca.with_file_name("other-ca.pem");
    says(
        &machine.why_not(),
        &["https://127.0.0.1:", "no CA in", "other-ca.pem has signed"],
    );
}

#[test]
fn an_expired_certificate_of_a_client_is_named_and_a_renewed_one_is_taken_at_once() {
    let cluster = Cluster::with_tls("server");
    let machine = with_certificate(&cluster, "expired");
    says(&machine.why_not(), &["expired.pem has expired: renew it"]);
    let (expired, renewed) = (cluster.client("expired"), cluster.client("verifier"));
    replace(&expired.cert, &renewed.cert);
    replace(&expired.key, &renewed.key);
    let store = machine.open();
    _ = done(store.insert_new(&user("alice"), b"one".to_vec(), soon()));
}

#[test]
fn a_client_of_another_ca_is_refused_and_named() {
    let cluster = Cluster::with_tls("server");
    let machine = with_certificate(&cluster, "of-another-ca");
    says(&machine.why_not(), &["of-another-ca.pem is of another CA"]);
}

#[test]
fn a_server_with_another_name_is_refused() {
    let cluster = Cluster::with_tls("elsewhere");
    says(
        &Machine::of(&cluster).why_not(),
        &["certificate that is for another name"],
    );
}

#[test]
fn a_server_whose_certificate_has_expired_is_refused() {
    let cluster = Cluster::with_tls("expired-server");
    says(
        &Machine::of(&cluster).why_not(),
        &["certificate that has expired"],
    );
}

#[test]
fn an_endpoint_that_does_not_speak_tls_is_named() {
    let with_tls = Cluster::with_tls("server");
    let mut machine = Machine::of(&with_tls);
    let plain = shared().settings("/p/", machine.folder.path());
    machine.settings.endpoints = vec![plain.endpoints[0].replace("http:", "https:")];
    says(&machine.why_not(), &["speaks TLS if it has --cert-file"]);
}

#[test]
fn a_cluster_without_space_takes_no_update_and_says_so() {
    let cluster = Cluster::of(1);
    let machine = Machine::of(&cluster);
    let (store, heard) = machine.open_and_hear();
    let version = done(store.insert_new(&user("alice"), b"one".to_vec(), soon()));
    let alarm = |action| {
        move |mut etcd: Client| async move { etcd.alarm(action, AlarmType::Nospace, None).await }
    };
    cluster.administer(alarm(AlarmAction::Activate));
    let refused = store.replace(&user("alice"), version, b"two".to_vec(), within(5));
    assert_eq!(refused, Err(Unavailable));
    says(&heard.recv().unwrap(), &["alarm NOSPACE", "alarm disarm"]);
    assert_eq!(loaded(&store, "alice"), Some(b"one".to_vec()));
    cluster.administer(alarm(AlarmAction::Deactivate));
    _ = done(store.replace(&user("alice"), version, b"two".to_vec(), soon()));
}

#[test]
fn an_old_etcd_is_refused() {
    let machine = Machine::of(shared());
    let trust = trust();
    let place = Place {
        settings: &machine.settings,
        trust: &trust,
        mirror: None,
    };
    let hearers: (Tell, Fatal) = (Arc::new(|_| ()), Box::new(|_| ()));
    let clock = Clock::of_this_machine(|_| ());
    let opened = EtcdStore::open_with(EtcdVersion([99, 0, 0]), &place, clock, hearers);
    says(
        &opened.err().unwrap().to_string(),
        &["too old", "install 99.0.0 or newer"],
    );
}

#[test]
fn a_member_of_another_cluster_is_never_asked() {
    let (mut cluster, other) = (Cluster::of(1), Cluster::of(1));
    let mut machine = Machine::of(&cluster);
    let elsewhere = Machine::of(&other).settings.endpoints;
    machine.settings.endpoints.extend(elsewhere);
    let (store, heard) = machine.open_and_hear();
    cluster.kill(0);
    assert_eq!(store.load(&user("alice")).unwrap_err(), Unavailable);
    says(
        &heard.recv().unwrap(),
        &["belongs to another cluster", "check the endpoints"],
    );
}

#[test]
fn an_endpoint_where_no_member_runs_is_told_until_one_does() {
    let mut cluster = Cluster::of(1);
    let machine = Machine::of(&cluster);
    let (store, heard) = machine.open_and_hear();
    let version = done(store.insert_new(&user("alice"), b"one".to_vec(), soon()));
    cluster.kill(0);
    let refused = store.replace(&user("alice"), version, b"two".to_vec(), within(1));
    assert!(!matches!(refused, Ok(Outcome::Done(_))), "{refused:?}");
    says(&heard.recv().unwrap(), &["http://127.0.0.1:"]);
    assert_eq!(store.load(&user("alice")).unwrap_err(), Unavailable);
    cluster.start(0);
    _ = done(store.replace(&user("alice"), version, b"two".to_vec(), soon()));
    assert_eq!(heard.recv().unwrap(), REACHED);
    assert!(heard.try_recv().is_err(), "told more than once a minute");
}
