//! What the system's name service says of a uid: its name, and whether it is in the administrators' group.
//!
//! A name service may hang (it may be a directory server far away), so it is asked by a few threads of its own, with a
//! deadline; a look-up that fails or is late means no role. Answers are kept for half a minute.

use std::collections::HashMap;
use std::ffi::CString;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use common::user::UserName;
use nix::unistd::{Group, Uid, User, getgrouplist};

/// What the name service says of a uid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The account's name.
    pub name: UserName,
    /// Whether it is in the group that was asked for.
    pub member: bool,
}

/// Asks the name service.
#[derive(Debug)]
pub struct Names {
    questions: SyncSender<Question>,
    known: Mutex<HashMap<Key, (Instant, Account)>>,
}

/// A uid, and the group it may be in.
type Key = (u32, Option<String>);

struct Question {
    key: Key,
    answer: SyncSender<Option<Account>>,
}

impl Names {
    /// Starts the threads that ask.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn start() -> std::io::Result<Self> {
        let (questions, queue) = sync_channel::<Question>(QUEUE);
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..THREADS {
            let queue = Arc::clone(&queue);
            std::thread::Builder::new().name("names".into()).spawn(move || answer_all(&queue))?;
        }
        Ok(Self { questions, known: Mutex::default() })
    }

    /// The account of `uid`, and whether it is a member of `group`. `None` when the name service does not know, fails
    /// or is late.
    #[must_use]
    pub fn account(&self, uid: u32, group: Option<&str>) -> Option<Account> {
        let key = (uid, group.map(str::to_owned));
        if let Some(account) = self.remembered(&key) {
            return Some(account);
        }
        let (answer, answered) = sync_channel(1);
        self.questions.try_send(Question { key: key.clone(), answer }).ok()?;
        let account = answered.recv_timeout(PATIENCE).ok().flatten()?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(key, (Instant::now(), account.clone()));
        Some(account)
    }

    fn remembered(&self, key: &Key) -> Option<Account> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(key).filter(|(asked, _)| asked.elapsed() < LIFETIME).map(|(_, account)| account.clone())
    }
}

fn answer_all(queue: &Mutex<Receiver<Question>>) {
    loop {
        let question = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Question { key: (uid, group), answer }) = question else { return };
        // Nobody may be waiting any more.
        let _ = answer.try_send(look_up(uid, group.as_deref()));
    }
}

fn look_up(uid: u32, group: Option<&str>) -> Option<Account> {
    let user = User::from_uid(Uid::from_raw(uid)).ok().flatten()?;
    let member = match group {
        Some(group) => is_member(&user, group)?,
        None => false,
    };
    Some(Account { name: UserName::new(&user.name).ok()?, member })
}

/// `None` when that cannot be told. A group that does not exist has no members.
fn is_member(user: &User, group: &str) -> Option<bool> {
    let Some(group) = Group::from_name(group).ok()? else { return Some(false) };
    let name = CString::new(user.name.as_bytes()).ok()?;
    Some(getgrouplist(&name, user.gid).ok()?.contains(&group.gid))
}

const THREADS: usize = 4;
const QUEUE: usize = 64;
const PATIENCE: Duration = Duration::from_secs(1);
const LIFETIME: Duration = Duration::from_secs(30);
const MAX_KNOWN: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_found_by_uid_with_their_groups() {
        let names = Names::start().unwrap();
        let root = |group| names.account(0, group).unwrap();
        assert_eq!(root(None), Account { name: UserName::new("root").unwrap(), member: false });
        assert!(root(Some("root")).member);
        assert!(!root(Some("nogroup")).member);
        assert!(!root(Some("no such group")).member);
        assert_eq!(names.account(3_999_999_999, None), None);
    }
}
