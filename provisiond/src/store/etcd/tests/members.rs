//! Three members, of which some are killed or paused while machines write: no acknowledged update is
//! lost, none is made twice, and of those that build on one version one succeeds.

use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Sender;

use super::*;

/// An update that was acknowledged: the version it was built on, and its own.
type Acknowledged = (Version, Version);

/// What a writer has seen.
#[derive(Default)]
struct History {
    acknowledged: Vec<Acknowledged>,
    unknown: u64,
}

/// Counts one record up, again and again, until it is told to end. Each acknowledged step is told.
fn count_up(store: &EtcdStore, ends: &AtomicBool, steps: &Sender<()>) -> History {
    let mut history = History::default();
    while !ends.load(Ordering::SeqCst) {
        let Ok(Some(stored)) = store.load(&user("alice")) else {
            continue;
        };
        let next = (number(&stored.bytes) + 1).to_be_bytes().to_vec();
        match store.replace(&user("alice"), stored.version, next, within(5)) {
            Ok(Outcome::Done(version)) => {
                history.acknowledged.push((stored.version, version));
                _ = steps.send(());
            }
            Ok(Outcome::Unknown) => history.unknown += 1,
            Ok(Outcome::Conflict) | Err(Unavailable) => {}
        }
    }
    history
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes.try_into().unwrap())
}

/// Writers on two machines, and what `disturb` does to the cluster meanwhile. It may wait for so many
/// acknowledged steps.
fn histories(
    cluster: &mut Cluster,
    disturb: impl FnOnce(&mut Cluster, &dyn Fn(usize)),
) -> Vec<History> {
    let one = Machine::of(cluster);
    let machines = [Machine::below(cluster, &one.settings.prefix), one];
    let stores: Vec<EtcdStore> = machines.iter().map(Machine::open).collect();
    _ = done(stores[0].insert_new(&user("alice"), 0_u64.to_be_bytes().to_vec(), soon()));
    let ends = AtomicBool::new(false);
    let (step, steps) = channel();
    let histories = std::thread::scope(|scope| {
        let writers: Vec<_> = stores
            .iter()
            .flat_map(|store| [store, store])
            .map(|store| {
                let (ends, step) = (&ends, step.clone());
                scope.spawn(move || count_up(store, ends, &step))
            })
            .collect();
        disturb(cluster, &|count| steps.iter().take(count).for_each(drop));
        ends.store(true, Ordering::SeqCst);
        writers
            .into_iter()
            .map(|writer| writer.join().unwrap())
            .collect::<Vec<_>>()
    });
    judge(&histories, number(&loaded(&stores[1], "alice").unwrap()));
    histories
}

/// Every acknowledged step is in the count, and no other step that is not in doubt.
fn judge(histories: &[History], count: u64) {
    let all: Vec<Acknowledged> = histories
        .iter()
        .flat_map(|told| told.acknowledged.clone())
        .collect();
    let unknown: u64 = histories.iter().map(|told| told.unknown).sum();
    let acknowledged = all.len() as u64;
    assert!(
        (acknowledged..=acknowledged + unknown).contains(&count),
        "{acknowledged} steps were acknowledged and {unknown} are in doubt, but {count} were counted"
    );
    for which in [
        |pair: &Acknowledged| pair.0.0,
        |pair: &Acknowledged| pair.1.0,
    ] {
        let mut versions: Vec<u64> = all.iter().map(which).collect();
        versions.sort_unstable();
        versions.dedup();
        assert_eq!(
            versions.len(),
            all.len(),
            "two updates were built on one version, or have one"
        );
    }
}

#[test]
fn no_acknowledged_update_is_lost_while_leaders_are_killed() {
    let mut cluster = Cluster::of(3);
    histories(&mut cluster, |cluster, wait_for_steps| {
        for _ in 0..3 {
            wait_for_steps(30);
            let leader = cluster.leader();
            cluster.kill(leader);
            wait_for_steps(30);
            cluster.start(leader);
        }
        wait_for_steps(30);
    });
}

#[test]
fn no_acknowledged_update_is_lost_while_members_are_paused() {
    let mut cluster = Cluster::of(3);
    histories(&mut cluster, |cluster, wait_for_steps| {
        for follower in [0, 1, 0] {
            wait_for_steps(30);
            let leader = cluster.leader();
            let paused = (leader + follower) % 3;
            cluster.pause(paused);
            wait_for_steps(30);
            cluster.go_on(paused);
        }
        wait_for_steps(30);
    });
}

#[test]
fn without_a_quorum_nothing_is_made_and_every_call_ends_at_its_deadline() {
    let mut cluster = Cluster::of(3);
    let machine = Machine::of(&cluster);
    let (store, heard) = machine.open_and_hear();
    let version = done(store.insert_new(&user("alice"), b"one".to_vec(), soon()));
    cluster.kill(0);
    cluster.kill(1);
    let refused = store.replace(&user("alice"), version, b"two".to_vec(), within(2));
    assert!(
        matches!(refused, Ok(Outcome::Unknown) | Err(Unavailable)),
        "{refused:?}"
    );
    assert_eq!(store.load(&user("alice")).unwrap_err(), Unavailable);
    assert!(heard.recv().unwrap().starts_with("http://127.0.0.1:"));
    assert!(
        machine.why_not().starts_with("the files at"),
        "the store is still open"
    );
    drop(store);
    assert!(machine.why_not().contains("127.0.0.1"));
    cluster.start_together(&[0, 1]);
    let store = machine.open();
    let stored = store.load(&user("alice")).unwrap().unwrap();
    match refused {
        Err(Unavailable) => assert_eq!(stored.bytes, b"one"),
        _ => assert!([b"one", b"two"].iter().any(|bytes| stored.bytes == **bytes)),
    }
}
