//! Look-ups in the system's name service (NSS: passwd, group) of accounts and group members, with a
//! cache and a deadline.
//!
//! A name service may hang (it may be a remote directory server), so a few threads ask it, and a
//! call waits at most one second for all of its questions together. Found entries are cached for
//! half a minute. "No such account or group" is an answer; [`NoAnswer`] is none, and permits
//! nothing. A missing account is cached for logins only: against a timing side channel, a login
//! must take as long without an account as with one. Other calls see an account that an
//! administrator has just made.

mod passwd_scan;

use std::collections::{BTreeSet, HashMap};
use std::ffi::CString;
use std::fmt;
use std::hash::Hash;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use common::names::user::UserName;
use nix::unistd::{Gid, Uid, User, getgrouplist};

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

/// The name service, and a cache of its recent answers.
pub struct Names {
    jobs: SyncSender<Job>,
    by_uid: Known<u32, Account>,
    by_name: Known<UserName, Account>,
    missing: Known<UserName, ()>,
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
        let (jobs, queue) = sync_channel(QUEUE);
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..THREADS {
            let queue = Arc::clone(&queue);
            std::thread::Builder::new()
                .name("names".into())
                .spawn(move || work(&queue))?;
        }
        let (by_uid, by_name, missing) = (Known::default(), Known::default(), Known::default());
        let (groups, groups_of, own_group) = (Known::default(), Known::default(), Known::default());
        Ok(Self {
            jobs,
            by_uid,
            by_name,
            missing,
            groups,
            groups_of,
            own_group,
        })
    }

    /// Begins the questions of one call. All of them share one second.
    #[must_use]
    pub fn asking(&self) -> Asking<'_> {
        let now = Instant::now();
        self.asking_until(now.checked_add(ANSWER_TIME).unwrap_or(now))
    }

    /// The same, with a deadline of its own.
    #[must_use]
    pub fn asking_until(&self, until: Instant) -> Asking<'_> {
        Asking { names: self, until }
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
    until: Instant,
}

impl Asking<'_> {
    /// The account with that uid.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub fn by_uid(&self, uid: u32) -> Found<Account> {
        self.ask(&self.names.by_uid, uid, |uid| {
            account(User::from_uid(Uid::from_raw(*uid)))
        })
    }

    /// The account of that name. The name service may accept several spellings; the answer holds
    /// its own.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub fn by_name(&self, name: &UserName) -> Found<Account> {
        self.ask(&self.names.by_name, name.clone(), |name| {
            account(User::from_name(name.as_str()))
        })
    }

    /// The same for a login. A missing account is cached as long as a found one (timing side
    /// channel).
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub fn by_name_at_login(&self, name: &UserName) -> Found<Account> {
        let Names {
            by_name, missing, ..
        } = self.names;
        if by_name.recall(name).is_none() && missing.recall(name).is_some() {
            return Ok(None);
        }
        let found = self.by_name(name)?;
        if found.is_none() {
            missing.keep(name.clone(), ());
        }
        Ok(found)
    }

    /// The account of that name as the name service says now, not as it said before.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub fn by_name_now(&self, name: &UserName) -> Found<Account> {
        self.ask(&Known::default(), name.clone(), |name| {
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
        let Some(group) = self.group(group)? else {
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
        let groups = self.ask(&self.names.groups_of, key, |(name, gid)| {
            groups_of(name, *gid)
        })?;
        Ok(groups.unwrap_or_default().contains(&group.gid))
    }

    /// Whether there is a group of that name.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub fn has_group(&self, name: &str) -> Result<bool, NoAnswer> {
        Ok(self.group(name)?.is_some())
    }

    /// The members that a group of that name lists, and the accounts that have it as their primary
    /// group, as far as the name service lists its accounts.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub fn members(&self, group: &str) -> Found<BTreeSet<String>> {
        let Some(group) = self.group(group)? else {
            return Ok(None);
        };
        let look_up = |gid: &u32| Ok(passwd_scan::with_own_group(*gid)?.map(Arc::new));
        let own = self
            .ask(&self.names.own_group, group.gid, look_up)?
            .unwrap_or_default();
        Ok(Some(
            group.members.iter().chain(own.iter()).cloned().collect(),
        ))
    }

    fn group(&self, name: &str) -> Found<Group> {
        self.ask(&self.names.groups, name.to_owned(), |name| {
            let found = nix::unistd::Group::from_name(name).map_err(|_| NoAnswer)?;
            Ok(found.map(|group| Group {
                gid: group.gid.as_raw(),
                members: group.mem.into(),
            }))
        })
    }

    /// Answers from the cache, or lets a thread ask. An answer that comes too late for this call is
    /// cached for the next.
    fn ask<K, V>(&self, known: &Known<K, V>, key: K, look_up: fn(&K) -> Found<V>) -> Found<V>
    where
        K: Eq + Hash + Send + 'static,
        V: Clone + Send + 'static,
    {
        if let Some(found) = known.recall(&key) {
            return Ok(Some(found));
        }
        let (answer, answered) = sync_channel(1);
        let (known, until) = (known.clone(), self.until);
        let job = move || {
            // The caller has given up: other callers are waiting.
            if Instant::now() >= until {
                return;
            }
            let found = look_up(&key);
            if let Ok(Some(found)) = &found {
                known.keep(key, found.clone());
            }
            let _ = answer.try_send(found);
        };
        self.names
            .jobs
            .try_send(Box::new(job))
            .map_err(|_| NoAnswer)?;
        let left = self.until.saturating_duration_since(Instant::now());
        answered.recv_timeout(left).unwrap_or(Err(NoAnswer))
    }
}

type Job = Box<dyn FnOnce() + Send>;

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

/// A bounded cache: found entries, and when they were found.
struct Known<K, V>(Arc<Mutex<HashMap<K, (Instant, V)>>>);

impl<K: Eq + Hash, V: Clone> Known<K, V> {
    fn recall(&self, key: &K) -> Option<V> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(key)
            .filter(|(found, _)| found.elapsed() < LIFETIME)
            .map(|(_, value)| value.clone())
    }

    fn keep(&self, key: K, value: V) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_KNOWN {
            all.clear();
        }
        all.insert(key, (Instant::now(), value));
    }
}

impl<K, V> Default for Known<K, V> {
    fn default() -> Self {
        Self(Arc::default())
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

const THREADS: usize = 4;
const QUEUE: usize = 64;
const ANSWER_TIME: Duration = Duration::from_secs(1);
const LIFETIME: Duration = Duration::from_secs(30);
const MAX_KNOWN: usize = 1024;

#[cfg(test)]
mod tests;
