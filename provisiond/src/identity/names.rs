//! Look-ups in the system's name service (NSS: passwd, group) of accounts and group members, with a
//! cache and a deadline.
//!
//! A name service may hang (it may be a remote directory server), so a few threads ask it, and a
//! call waits at most one second for all of its questions together. Each lane has threads and a
//! queue of its own: a flood of questions in one delays none in another (denial of service).
//!
//! Found entries are cached for half a minute, and remembered for longer as the last known answer.
//! "No such account or group" is an answer; [`NoAnswer`] is none, and permits nothing. What is
//! missing is cached too: a caller's uid and a group for a few seconds, so that a caller without an
//! account costs one look-up and not one a call; the name of a login as long as a found one,
//! against a timing side channel. Other calls see an account that an administrator has just made.

mod passwd_scan;

use std::collections::{BTreeSet, HashMap};
use std::ffi::CString;
use std::fmt;
use std::hash::Hash;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use common::names::user::UserName;
use nix::unistd::{Gid, Uid, User, getgrouplist};

use crate::identity::caller::{HOST_UIDS, Peer};

/// An account of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its name, as the name service spells it (`pw_name`).
    pub name: UserName,
    /// Its uid.
    pub uid: u32,
    /// Its primary group (`pw_gid`), which need not list it.
    pub gid: u32,
}

/// The name service failed, or was late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoAnswer;

/// The entry found. `None`: the name service says that there is no such entry.
pub type Found<T> = Result<Option<T>, NoAnswer>;

/// Whose questions they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lane {
    /// Root's processes and the daemon itself.
    Root,
    /// Uids that were found to have an account, and hosts of the fleet.
    Known,
    /// All other uids. Any local user may have thousands of them (subuid(5)).
    Unknown,
}

/// The name service, and a cache of its recent answers.
pub struct Names {
    root: SyncSender<Job>,
    known: SyncSender<Job>,
    unknown: SyncSender<Job>,
    by_uid: Known<u32, Account>,
    by_name: Known<UserName, Account>,
    /// Uids of accounts that were found by name. One uid may have several names.
    named: Known<u32, ()>,
    groups: Known<String, Group>,
    groups_of: Known<(UserName, u32), Vec<u32>>,
    own_group: Known<u32, Arc<BTreeSet<String>>>,
}

impl Names {
    /// Starts the threads that ask the name service.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn start() -> std::io::Result<Self> {
        let (by_uid, by_name) = (Known::default(), Known::default());
        let (groups, groups_of, own_group) = (Known::default(), Known::default(), Known::default());
        Ok(Self {
            root: start_lane()?,
            known: start_lane()?,
            unknown: start_lane()?,
            by_uid,
            by_name,
            named: Known::default(),
            groups,
            groups_of,
            own_group,
        })
    }

    /// Begins the questions of the daemon itself. All of them share one second.
    #[must_use]
    pub fn asking(&self) -> Asking<'_> {
        self.asking_in(Lane::Root)
    }

    /// Begins the questions of one call of that process. All of them share one second, and delay
    /// none of a process with more rights.
    #[must_use]
    pub fn asking_for(&self, peer: Peer) -> Asking<'_> {
        self.asking_in(if peer.is_root() {
            Lane::Root
        } else if peer.uid >= HOST_UIDS || self.has_account(peer.uid) == Some(true) {
            Lane::Known
        } else {
            Lane::Unknown
        })
    }

    /// Whether the uid has an account, if that is known without a question. A login by its name has
    /// shown it, too: so a flood of other uids keeps no user out that has logged in.
    #[must_use]
    pub fn has_account(&self, uid: u32) -> Option<bool> {
        match self.by_uid.recall(&uid, MISSING_TIME) {
            Some(found) => Some(found.is_some()),
            None => {
                let is_known = self.by_uid.last(&uid).is_some() || self.named.last(&uid).is_some();
                is_known.then_some(true)
            }
        }
    }

    fn asking_in(&self, lane: Lane) -> Asking<'_> {
        let now = Instant::now();
        let until = now.checked_add(ANSWER_TIME).unwrap_or(now);
        Asking {
            names: self,
            lane,
            until,
        }
    }

    fn queue(&self, lane: Lane) -> &SyncSender<Job> {
        match lane {
            Lane::Root => &self.root,
            Lane::Known => &self.known,
            Lane::Unknown => &self.unknown,
        }
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").finish_non_exhaustive()
    }
}

/// The questions of one call.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    names: &'a Names,
    lane: Lane,
    until: Instant,
}

impl Asking<'_> {
    /// The same, with a deadline of its own.
    #[must_use]
    pub fn until(self, until: Instant) -> Self {
        Self { until, ..self }
    }

    /// The account with that uid.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub fn by_uid(&self, uid: u32) -> Found<Account> {
        self.ask((&self.names.by_uid, MISSING_TIME), uid, |uid| {
            account(User::from_uid(Uid::from_raw(*uid)))
        })
    }

    /// The account of that name. The name service may accept several spellings; the answer holds
    /// its own.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub fn by_name(&self, name: &UserName) -> Found<Account> {
        self.account_named(name, Duration::ZERO)
    }

    /// The same for a login. A missing account is cached as long as a found one (timing side
    /// channel).
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub fn by_name_at_login(&self, name: &UserName) -> Found<Account> {
        self.account_named(name, LIFETIME)
    }

    fn account_named(&self, name: &UserName, missing_for: Duration) -> Found<Account> {
        let known = (&self.names.by_name, missing_for);
        let found = self.ask(known, name.clone(), |name| {
            account(User::from_name(name.as_str()))
        });
        if let Ok(Some(account)) = &found {
            self.names.named.keep(account.uid, Some(()), Duration::ZERO);
        }
        found
    }

    /// The account that the name service has found last for that name, however long ago. For the
    /// time of its silence: the answer may permit nothing that a present one would refuse.
    #[must_use]
    pub fn last_by_name(&self, name: &UserName) -> Option<Account> {
        self.names.by_name.last(name)
    }

    /// The account of that name as the name service says now, not as it said before.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub fn by_name_now(&self, name: &UserName) -> Found<Account> {
        self.ask((&Known::default(), Duration::ZERO), name.clone(), |name| {
            account(User::from_name(name.as_str()))
        })
    }

    /// Whether `account` is in `group`: by its primary group, by the account's list of groups
    /// (getgrouplist), or by the group's list of members. The C library silently leaves out of the
    /// second what failed, so `false` rests on the third as well. A group that does not exist has
    /// no members.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub fn is_member(&self, account: &Account, group: &str) -> Result<bool, NoAnswer> {
        let Some(group) = self.group(group, MISSING_TIME)? else {
            return Ok(false);
        };
        if account.gid == group.gid
            || group
                .members
                .iter()
                .any(|member| member == account.name.as_str())
        {
            return Ok(true);
        }
        let key = (account.name.clone(), account.gid);
        let known = (&self.names.groups_of, Duration::ZERO);
        let groups = self.ask(known, key, |(name, gid)| groups_of(name, *gid))?;
        Ok(groups.unwrap_or_default().contains(&group.gid))
    }

    /// Whether there is a group of that name, also one that was made just now.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub fn has_group(&self, name: &str) -> Result<bool, NoAnswer> {
        Ok(self.group(name, Duration::ZERO)?.is_some())
    }

    /// The members that a group of that name lists, and the accounts that have it as their primary
    /// group, as far as the name service lists its accounts.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub fn members(&self, group: &str) -> Found<BTreeSet<String>> {
        let Some(group) = self.group(group, Duration::ZERO)? else {
            return Ok(None);
        };
        let look_up = |gid: &u32| Ok(passwd_scan::with_own_group(*gid)?.map(Arc::new));
        let own = self
            .ask((&self.names.own_group, Duration::ZERO), group.gid, look_up)?
            .unwrap_or_default();
        Ok(Some(
            group.members.iter().chain(own.iter()).cloned().collect(),
        ))
    }

    fn group(&self, name: &str, missing_for: Duration) -> Found<Group> {
        self.ask((&self.names.groups, missing_for), name.to_owned(), |name| {
            let found = nix::unistd::Group::from_name(name).map_err(|_| NoAnswer)?;
            Ok(found.map(|group| Group {
                gid: group.gid.as_raw(),
                members: group.mem.into(),
            }))
        })
    }

    /// Answers from the cache, or lets a thread ask. An answer that comes too late for this call is
    /// cached for the next.
    fn ask<K, V>(
        &self,
        (known, missing_for): (&Known<K, V>, Duration),
        key: K,
        look_up: fn(&K) -> Found<V>,
    ) -> Found<V>
    where
        K: Clone + Eq + Hash + Send + 'static,
        V: Clone + Send + 'static,
    {
        if let Some(found) = known.recall(&key, missing_for) {
            return Ok(found);
        }
        let (answer, answered) = sync_channel(1);
        let (known, until) = (known.clone(), self.until);
        let job = move || {
            // The caller has given up: other callers are waiting.
            if Instant::now() >= until {
                return;
            }
            let found = look_up(&key);
            if let Ok(found) = &found {
                known.keep(key, found.clone(), missing_for);
            }
            let _ = answer.try_send(found);
        };
        self.names
            .queue(self.lane)
            .try_send(Box::new(job))
            .map_err(|_| NoAnswer)?;
        let left = self.until.saturating_duration_since(Instant::now());
        answered.recv_timeout(left).unwrap_or(Err(NoAnswer))
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// Starts the threads of a lane.
fn start_lane() -> std::io::Result<SyncSender<Job>> {
    let (jobs, queue) = sync_channel(QUEUE);
    let queue = Arc::new(Mutex::new(queue));
    for _ in 0..THREADS {
        let queue = Arc::clone(&queue);
        std::thread::Builder::new()
            .name("names".into())
            .spawn(move || work(&queue))?;
    }
    Ok(jobs)
}

fn work(queue: &Mutex<Receiver<Job>>) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        job();
    }
}

#[derive(Clone)]
struct Group {
    gid: u32,
    members: Arc<[String]>,
}

/// A bounded cache: what was found, what was missing, and when.
struct Known<K, V>(Arc<Mutex<Answers<K, V>>>);

struct Answers<K, V> {
    found: HashMap<K, (Instant, V)>,
    /// A table of its own: a flood of missing entries evicts no found one.
    missing: HashMap<K, (Instant, ())>,
}

impl<K: Clone + Eq + Hash, V: Clone> Known<K, V> {
    /// The present answer, without a question.
    fn recall(&self, key: &K, missing_for: Duration) -> Option<Option<V>> {
        let all = self.lock();
        let found = all.found.get(key).filter(|(at, _)| at.elapsed() < LIFETIME);
        if let Some((_, value)) = found {
            return Some(Some(value.clone()));
        }
        let missing = all.missing.get(key);
        missing
            .filter(|(at, ())| at.elapsed() < missing_for)
            .map(|_| None)
    }

    /// What was found last, unless it is missing since.
    fn last(&self, key: &K) -> Option<V> {
        self.lock().found.get(key).map(|(_, value)| value.clone())
    }

    /// Remembers an answer; that the key is missing only for questions that ask for such answers.
    fn keep(&self, key: K, found: Option<V>, missing_for: Duration) {
        let mut all = self.lock();
        if let Some(value) = found {
            all.missing.remove(&key);
            insert(&mut all.found, key, value);
            return;
        }
        all.found.remove(&key);
        if missing_for > Duration::ZERO {
            insert(&mut all.missing, key, ());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Answers<K, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Inserts into a bounded table. A full one first loses the older half of its entries.
fn insert<K: Eq + Hash, V>(table: &mut HashMap<K, (Instant, V)>, key: K, value: V) {
    if table.len() >= MAX_KNOWN && !table.contains_key(&key) {
        let mut ages: Vec<Instant> = table.values().map(|(at, _)| *at).collect();
        let middle = ages.len() / 2;
        let (_, median, _) = ages.select_nth_unstable(middle);
        let median = *median;
        table.retain(|_, (at, _)| *at > median);
    }
    table.insert(key, (Instant::now(), value));
}

impl<K, V> Default for Known<K, V> {
    fn default() -> Self {
        let (found, missing) = (HashMap::new(), HashMap::new());
        Self(Arc::new(Mutex::new(Answers { found, missing })))
    }
}

impl<K, V> Clone for Known<K, V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// The account found. An account whose name is no valid user name gives no answer, because it could
/// be confused with another: bytes that are no UTF-8 have become replacement characters.
fn account(found: nix::Result<Option<User>>) -> Found<Account> {
    let Some(user) = found.map_err(|_| NoAnswer)? else {
        return Ok(None);
    };
    if user.name.contains(char::REPLACEMENT_CHARACTER) {
        return Err(NoAnswer);
    }
    let name = UserName::new(&user.name).map_err(|_| NoAnswer)?;
    Ok(Some(Account {
        name,
        uid: user.uid.as_raw(),
        gid: user.gid.as_raw(),
    }))
}

fn groups_of(name: &UserName, gid: u32) -> Found<Vec<u32>> {
    let name = CString::new(name.as_str()).map_err(|_| NoAnswer)?;
    let groups = getgrouplist(&name, Gid::from_raw(gid)).map_err(|_| NoAnswer)?;
    Ok(Some(groups.into_iter().map(Gid::as_raw).collect()))
}

/// Threads of each lane.
const THREADS: usize = 4;
/// Questions of each lane that may wait: one of each connection, so that none is refused while the
/// name service answers.
const QUEUE: usize = 256;
const ANSWER_TIME: Duration = Duration::from_secs(1);
const LIFETIME: Duration = Duration::from_secs(30);
/// How long a caller's uid and a group are remembered as missing. An administrator may be making
/// them.
const MISSING_TIME: Duration = Duration::from_secs(5);
const MAX_KNOWN: usize = 4096;

#[cfg(test)]
mod tests;
