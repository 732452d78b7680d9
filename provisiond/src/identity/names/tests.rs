//! Tests of look-ups in the name service and of their cache.

use super::*;

fn name(name: &str) -> UserName {
    UserName::new(name).unwrap()
}

#[test]
fn accounts_are_found_by_uid_and_by_name() {
    let names = Names::start().unwrap();
    let root = Account {
        name: name("root"),
        uid: 0,
        gid: 0,
    };
    assert_eq!(names.asking().by_uid(0), Ok(Some(root.clone())));
    assert_eq!(names.asking().by_name(&name("root")), Ok(Some(root)));
    assert_eq!(
        names
            .asking()
            .by_name(&name("daemon"))
            .unwrap()
            .unwrap()
            .uid,
        1
    );
    assert_eq!(names.asking().by_uid(3_999_999_999), Ok(None));
    assert_eq!(names.asking().by_name(&name("no such account")), Ok(None));
}

#[test]
fn a_login_remembers_who_has_no_account_until_somebody_finds_one() {
    let names = Names::start().unwrap();
    let missing = name("no such account");
    assert_eq!(names.asking().by_name_at_login(&missing), Ok(None));
    let too_late = names.asking_until(Instant::now());
    assert_eq!(
        too_late.by_name_at_login(&missing),
        Ok(None),
        "the name service is not asked again"
    );
    assert_eq!(
        too_late.by_name_at_login(&name("no other account")),
        Err(NoAnswer)
    );
    assert_eq!(
        too_late.by_name(&missing),
        Err(NoAnswer),
        "an administrator may just have made it"
    );
    let made = Account {
        name: missing.clone(),
        uid: 4_000_000,
        gid: 4_000_000,
    };
    names.by_name.keep(missing.clone(), made.clone());
    assert_eq!(too_late.by_name_at_login(&missing), Ok(Some(made)));
}

#[test]
fn members_are_who_has_the_group_by_any_way() {
    let names = Names::start().unwrap();
    let root = names.asking().by_uid(0).unwrap().unwrap();
    let is_member = |account: &Account, group| names.asking().is_member(account, group);
    assert_eq!(is_member(&root, "root"), Ok(true));
    assert_eq!(is_member(&root, "nogroup"), Ok(false));
    assert_eq!(is_member(&root, "no such group"), Ok(false));
    let (gid, members) = (4_000_000_000, Arc::from(["root".to_owned()]));
    names.groups.keep("listed".into(), Group { gid, members });
    names.groups.keep(
        "elsewhere".into(),
        Group {
            gid,
            members: Arc::from([]),
        },
    );
    assert_eq!(is_member(&root, "listed"), Ok(true));
    assert_eq!(is_member(&root, "elsewhere"), Ok(false));
    names.groups_of.keep((name("root"), 0), vec![7, gid]);
    assert_eq!(is_member(&root, "elsewhere"), Ok(true));
}

#[test]
fn those_who_have_a_group_as_their_own_are_among_its_members() {
    let names = Names::start().unwrap();
    let members = |group| names.asking().members(group).unwrap();
    assert!(
        members("root").unwrap().contains("root") && members("daemon").unwrap().contains("daemon")
    );
    assert!(!members("daemon").unwrap().contains("root"));
    assert_eq!(members("no such group"), None);
    // The list begins anew each time.
    assert_eq!(
        passwd_scan::with_own_group(0),
        passwd_scan::with_own_group(0)
    );
    assert_eq!(
        passwd_scan::with_own_group(4_000_000_000),
        Ok(Some(BTreeSet::new()))
    );
}

#[test]
fn a_late_answer_is_no_answer_for_this_call_and_an_answer_for_the_next() {
    let names = Names::start().unwrap();
    let known = Known::<u8, u8>::default();
    let (release, released) = sync_channel::<()>(0);
    *RELEASED.lock().unwrap() = Some(released);
    let asking = names.asking_until(Instant::now() + Duration::from_millis(100));
    let wait_then_answer: fn(&u8) -> Found<u8> = |_| {
        let released = RELEASED.lock().unwrap().take();
        let _ = released.map(|released| released.recv());
        Ok(Some(7))
    };
    assert_eq!(asking.ask(&known, 1, wait_then_answer), Err(NoAnswer));
    release.send(()).unwrap();
    while known.recall(&1).is_none() {
        std::thread::yield_now();
    }
    assert_eq!(
        names.asking().ask(&known, 1, |_| Err(NoAnswer)),
        Ok(Some(7))
    );
}

/// What the look-up of the test above waits for.
static RELEASED: Mutex<Option<Receiver<()>>> = Mutex::new(None);

#[test]
fn a_name_service_that_hangs_costs_a_call_one_second_at_most_and_others_nothing_more_than_that() {
    let names = Names::start().unwrap();
    let known = Known::<usize, ()>::default();
    let asking = names.asking_until(Instant::now() + Duration::from_millis(50));
    for number in 0..THREADS + QUEUE + 2 {
        let hang: fn(&usize) -> Found<()> = |_| {
            std::thread::park();
            Ok(None)
        };
        assert_eq!(asking.ask(&known, number, hang), Err(NoAnswer));
    }
}

#[test]
fn what_was_found_is_forgotten_in_time_and_never_too_much() {
    let known = Known::<usize, ()>::default();
    (0..=MAX_KNOWN).for_each(|number| known.keep(number, ()));
    assert_eq!(known.0.lock().unwrap().len(), 1);
    assert!(known.recall(&MAX_KNOWN).is_some() && known.recall(&0).is_none());
    let past = Instant::now()
        .checked_sub(LIFETIME)
        .expect("a time half a minute ago");
    known
        .0
        .lock()
        .unwrap()
        .values_mut()
        .for_each(|(found, _)| *found = past);
    assert!(known.recall(&MAX_KNOWN).is_none());
}

#[test]
fn an_account_whose_name_is_no_text_is_nobody() {
    let mut user = User::from_uid(Uid::from_raw(0)).unwrap().unwrap();
    for odd in ["al\u{fffd}ce", "a:b", ""] {
        user.name = odd.into();
        assert_eq!(account(Ok(Some(user.clone()))), Err(NoAnswer));
    }
    assert_eq!(account(Err(nix::errno::Errno::EIO)), Err(NoAnswer));
    assert_eq!(account(Ok(None)), Ok(None));
}
