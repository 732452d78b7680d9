//! Tests of look-ups in the name service and of their cache.

use super::*;
use crate::identity::resolved::Named;

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
fn an_account_that_a_login_has_named_is_no_stranger() {
    let names = Names::start().unwrap();
    assert_eq!(names.has_account(1), None);
    for _ in 0..2 {
        let found = names.asking().by_name_at_login(&name("daemon"));
        assert_eq!(found.unwrap().unwrap().uid, 1);
        assert_eq!(names.has_account(1), Some(true));
    }
    names.by_uid.keep(1, None, MISSING_TIME);
    assert_eq!(names.has_account(1), Some(false), "the newer answer");
}

#[test]
fn a_login_remembers_who_has_no_account_until_somebody_finds_one() {
    let names = Names::start().unwrap();
    let missing = name("no such account");
    assert_eq!(names.asking().by_name_at_login(&missing), Ok(None));
    let too_late = names.asking().until(Instant::now());
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
    names
        .by_name
        .keep(missing.clone(), Some(made.clone()), LIFETIME);
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
    names
        .groups
        .keep("listed".into(), Some(Group { gid, members }), LIFETIME);
    names.groups.keep(
        "elsewhere".into(),
        Some(Group {
            gid,
            members: Arc::from([]),
        }),
        LIFETIME,
    );
    assert_eq!(is_member(&root, "listed"), Ok(true));
    assert_eq!(is_member(&root, "elsewhere"), Ok(false));
    names
        .groups_of
        .keep((name("root"), 0), Some(vec![7, gid]), LIFETIME);
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
    let asking = names
        .asking()
        .until(Instant::now() + Duration::from_millis(100));
    let wait_then_answer: fn(&u8) -> Found<u8> = |_| {
        let released = RELEASED.lock().unwrap().take();
        let _ = released.map(|released| released.recv());
        Ok(Some(7))
    };
    assert_eq!(
        asking.ask((&known, NOT), 1, wait_then_answer),
        Err(NoAnswer)
    );
    release.send(()).unwrap();
    while known.recall(&1, NOT).is_none() {
        std::thread::yield_now();
    }
    assert_eq!(
        names.asking().ask((&known, NOT), 1, |_| Err(NoAnswer)),
        Ok(Some(7))
    );
}

/// What the look-up of the test above waits for.
static RELEASED: Mutex<Option<Receiver<()>>> = Mutex::new(None);

#[test]
fn a_name_service_that_hangs_costs_a_call_one_second_at_most_and_others_nothing_more_than_that() {
    let names = Names::start().unwrap();
    fill(&names, Lane::Root);
}

#[test]
fn roots_questions_are_answered_while_all_others_hang_and_a_known_uids_while_strangers_do() {
    let names = Names::start().unwrap();
    let peer = |uid| Peer { uid, pid: 1 };
    assert_eq!(names.asking_for(peer(1)).lane, Lane::Unknown);
    assert!(names.asking_for(peer(1)).by_uid(1).unwrap().is_some());
    fill(&names, Lane::Unknown);
    assert_eq!(
        names.asking_for(peer(3_999_999_999)).by_uid(3_999_999_999),
        Err(NoAnswer)
    );
    assert!(names.asking_for(peer(1)).is_member(&daemon(&names), "root") == Ok(false));
    fill(&names, Lane::Known);
    assert_eq!(
        names.asking_for(peer(1)).by_name(&name("bin")),
        Err(NoAnswer)
    );
    assert!(names.asking_for(peer(0)).by_uid(2).unwrap().is_some());
}

/// Hands a lane questions that are never answered, until it takes no more.
fn fill(names: &Names, lane: Lane) {
    let known = Known::<usize, ()>::default();
    let asking = names.asking_in(lane).until(Instant::now());
    let hang: fn(&usize) -> Found<()> = |_| loop {
        std::thread::park();
    };
    let later = names.asking_in(lane);
    for number in 0..THREADS {
        let names = later.until(Instant::now() + Duration::from_millis(50));
        assert_eq!(names.ask((&known, NOT), number, hang), Err(NoAnswer));
    }
    for number in 0..=QUEUE {
        assert_eq!(asking.ask((&known, NOT), number, hang), Err(NoAnswer));
    }
}

fn daemon(names: &Names) -> Account {
    names.asking().by_uid(1).unwrap().unwrap()
}

#[test]
fn a_uid_and_a_group_that_are_missing_cost_one_question_and_are_asked_for_again_in_time() {
    let names = Names::start().unwrap();
    let late = names.asking().until(Instant::now());
    let uid = 3_999_999_999;
    assert_eq!(
        (late.by_uid(uid), names.has_account(uid)),
        (Err(NoAnswer), None)
    );
    assert_eq!(names.asking().by_uid(uid), Ok(None));
    assert_eq!(
        (late.by_uid(uid), names.has_account(uid)),
        (Ok(None), Some(false)),
        "the name service is not asked again"
    );
    let is_member = |asking: Asking<'_>| asking.is_member(&daemon(&names), "no such group");
    assert_eq!(is_member(late), Err(NoAnswer));
    assert_eq!(
        (is_member(names.asking()), is_member(late)),
        (Ok(false), Ok(false))
    );
    assert_eq!(
        late.has_group("no such group"),
        Err(NoAnswer),
        "it may be new"
    );
    names
        .by_uid
        .lock()
        .missing
        .values_mut()
        .for_each(|(at, ())| *at = ago(MISSING_TIME));
    assert_eq!(
        (late.by_uid(uid), names.has_account(uid)),
        (Err(NoAnswer), None)
    );
}

#[test]
fn what_was_found_is_forgotten_in_time_and_never_too_much_and_what_is_missing_evicts_none_of_it() {
    let known = Known::<usize, usize>::default();
    known.keep(0, Some(7), LIFETIME);
    (1..=MAX_KNOWN + 9).for_each(|number| known.keep(number, None, LIFETIME));
    assert_eq!(known.recall(&0, NOT), Some(Some(7)));
    assert!(known.lock().missing.len() <= MAX_KNOWN);
    (1..=MAX_KNOWN).for_each(|number| known.keep(number, Some(number), LIFETIME));
    assert!(known.lock().found.len() <= MAX_KNOWN);
    assert_eq!(known.recall(&MAX_KNOWN, NOT), Some(Some(MAX_KNOWN)));
    assert_eq!(
        (known.recall(&0, NOT), known.last(&0)),
        (None, None),
        "the oldest"
    );
    known
        .lock()
        .found
        .values_mut()
        .for_each(|(at, _)| *at = ago(LIFETIME));
    assert_eq!(known.recall(&MAX_KNOWN, NOT), None);
    assert_eq!(
        known.last(&MAX_KNOWN),
        Some(MAX_KNOWN),
        "the last known answer"
    );
    known.keep(MAX_KNOWN, None, LIFETIME);
    assert_eq!(known.last(&MAX_KNOWN), None, "a later answer says no");
}

#[test]
fn while_the_name_service_is_silent_a_name_has_the_uid_that_it_had_last() {
    let names = Names::start().unwrap();
    let late = names.asking().until(Instant::now());
    let uid = |asking| Named::at_login(name("bin"), asking).last_uid();
    assert_eq!(uid(late), Err(NoAnswer), "there was no answer yet");
    assert_eq!(uid(names.asking()), Ok(Some(2)));
    let age = |by: Duration| {
        let mut all = names.by_name.lock();
        all.found.values_mut().for_each(|(at, _)| *at = ago(by));
    };
    age(LIFETIME);
    assert_eq!(
        (uid(late), late.by_name(&name("bin"))),
        (Ok(Some(2)), Err(NoAnswer))
    );
    names.by_name.keep(name("bin"), None, LIFETIME);
    assert_eq!(uid(late), Ok(None), "it has said that there is none");
}

fn ago(time: Duration) -> Instant {
    Instant::now()
        .checked_sub(time)
        .expect("a time not long ago")
}

/// Nothing is remembered as missing.
const NOT: Duration = Duration::ZERO;

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
