//! The rate limit of the log: how many lines each cause (uid or user) may write in a minute. A
//! process that is refused twenty thousand times a second must neither evict the lines of logins
//! from the queue nor fill the disk, and a night of brute force needs no more than a minute's
//! lines.
//!
//! Root processes have no quota of their own: their calls are logins, which count for the user.
//! Refused attempts count for the user apart for each kind of caller, so that no other process uses
//! up what guesses at sshd or sudo need. No count outlives its minute.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use common::names::user::UserName;

use super::lock;

/// The lines of the present minute, by cause.
#[derive(Debug)]
pub(crate) struct LogQuota(Mutex<Minute>);

/// The cause of a line.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Cause {
    /// A call without permission, by a process of that uid, which has no role.
    NotPermitted(u32),
    /// Any other call by a process of that uid for its own account.
    Own(u32),
    /// A call by a process whose uid the settings give a role: an administrator, the helpdesk, a
    /// verifier.
    WithRole(u32),
    /// A refused call by such a process: it may not make the call, or the change was refused.
    RefusedCall(u32),
    /// A refused attempt for that user, at a program of root's such as sshd.
    Refusal(UserName),
    /// A refused attempt for that user, which a process with a role asked about: of that uid.
    RefusalFor(u32, UserName),
}

/// Lines that were suppressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LeftOut {
    /// `None`: several causes together.
    pub cause: Option<Cause>,
    /// The number of suppressed lines.
    pub lines: u32,
}

#[derive(Debug)]
struct Minute {
    begun: Instant,
    by_cause: HashMap<Cause, Lines>,
    /// The attempts that processes with a role asked about. Such a process can invent attempts, so
    /// they have a table of their own: else they would take the places of users at root's programs.
    for_roles: HashMap<Cause, Lines>,
    /// Lines of all calls without permission together. Uids are free, so each counts for this bound.
    of_strangers: Lines,
    /// Lines of all processes together that act on their own account.
    of_own: Lines,
    /// Lines of all users together for which the table was full.
    of_users: Lines,
}

#[derive(Clone, Copy, Debug, Default)]
struct Lines {
    written: u32,
    left_out: u32,
}

impl Default for LogQuota {
    fn default() -> Self {
        Self(Mutex::new(Minute::begin()))
    }
}

impl LogQuota {
    /// Counts a line. Returns whether it may be written.
    #[must_use]
    pub(crate) fn may_write(&self, cause: Cause) -> bool {
        lock(&self.0).count(cause)
    }

    /// The lines that were suppressed in a minute that is over. The caller logs them now, and a new
    /// minute begins.
    #[must_use]
    pub(crate) fn settle_minute(&self) -> Vec<LeftOut> {
        let mut minute = lock(&self.0);
        if minute.begun.elapsed() < MINUTE {
            return Vec::new();
        }
        std::mem::replace(&mut *minute, Minute::begin()).left_out()
    }

    /// The lines of one cause that were suppressed since the last report, if any. The caller logs
    /// them now.
    #[must_use]
    pub(crate) fn settle(&self, cause: &Cause) -> Option<LeftOut> {
        let mut minute = lock(&self.0);
        let lines = std::mem::take(&mut minute.table(cause).get_mut(cause)?.left_out);
        (lines > 0).then(|| LeftOut {
            cause: Some(cause.clone()),
            lines,
        })
    }
}

impl Minute {
    fn begin() -> Self {
        let (of_strangers, of_own, of_users) = Default::default();
        Self {
            begun: Instant::now(),
            by_cause: HashMap::new(),
            for_roles: HashMap::new(),
            of_strangers,
            of_own,
            of_users,
        }
    }

    /// A line is written if each limit that it counts for has room. If the table is full, a new
    /// user counts for the shared limit only. A uid with a role always has a place: administrators
    /// give roles.
    fn count(&mut self, cause: Cause) -> bool {
        if matches!(cause, Cause::RefusalFor(..)) {
            return self.count_for_a_role(cause);
        }
        let bound = cause.bound();
        let known = self.by_cause.contains_key(&cause);
        let has_place = known || cause.has_a_role() || self.by_cause.len() < MAX_CAUSES;
        let is_shared = cause.is_of_a_stranger() || !has_place;
        let shared = match cause {
            Cause::Refusal(_) | Cause::RefusalFor(..) => &mut self.of_users,
            Cause::NotPermitted(_) => &mut self.of_strangers,
            Cause::Own(_) | Cause::WithRole(_) | Cause::RefusedCall(_) => &mut self.of_own,
        };
        if is_shared && shared.written >= MOST_SHARED {
            // Makes no entry, so that a flood of uids does not fill the table.
            let counted = if known {
                self.by_cause.entry(cause).or_default()
            } else {
                shared
            };
            return counted.leave_out();
        }
        if has_place {
            let own = self.by_cause.entry(cause).or_default();
            if own.written >= bound {
                return own.leave_out();
            }
            own.write();
        }
        !is_shared || shared.write()
    }

    /// If the table is full, a new user has no limit here: the line counts for its caller next.
    fn count_for_a_role(&mut self, cause: Cause) -> bool {
        let bound = cause.bound();
        let table = &mut self.for_roles;
        if table.len() >= MAX_CAUSES && !table.contains_key(&cause) {
            return true;
        }
        let lines = table.entry(cause).or_default();
        if lines.written >= bound {
            lines.leave_out()
        } else {
            lines.write()
        }
    }

    fn table(&mut self, cause: &Cause) -> &mut HashMap<Cause, Lines> {
        match cause {
            Cause::RefusalFor(..) => &mut self.for_roles,
            _ => &mut self.by_cause,
        }
    }

    /// Names the causes with the most suppressed lines, so that the report is bounded, too; the
    /// rest is one sum.
    fn left_out(self) -> Vec<LeftOut> {
        let shared = [self.of_strangers, self.of_own, self.of_users];
        let unnamed = shared
            .iter()
            .fold(0_u32, |sum, lines| sum.saturating_add(lines.left_out));
        let all = self.by_cause.into_iter().chain(self.for_roles);
        let each = all.map(|(cause, lines)| LeftOut {
            cause: Some(cause),
            lines: lines.left_out,
        });
        let mut named: Vec<LeftOut> = each.filter(|left_out| left_out.lines > 0).collect();
        named.sort_by_key(|left_out| Reverse(left_out.lines));
        let rest = named.split_off(named.len().min(MOST_NAMED));
        let lines = rest
            .iter()
            .fold(unnamed, |sum, left_out| sum.saturating_add(left_out.lines));
        named.extend((lines > 0).then_some(LeftOut { cause: None, lines }));
        named
    }
}

impl Lines {
    fn write(&mut self) -> bool {
        self.written = self.written.saturating_add(1);
        true
    }

    fn leave_out(&mut self) -> bool {
        self.left_out = self.left_out.saturating_add(1);
        false
    }
}

impl Cause {
    fn bound(&self) -> u32 {
        match self {
            Self::NotPermitted(_) => 10,
            Self::RefusedCall(_) => 30,
            Self::Own(_) | Self::Refusal(_) | Self::RefusalFor(..) => 120,
            Self::WithRole(_) => 600,
        }
    }

    fn has_a_role(&self) -> bool {
        matches!(self, Self::WithRole(_) | Self::RefusedCall(_))
    }

    /// Whether it counts for a limit that all uids without a role share. A uid with a role does
    /// not: an attacker without a role must neither hide what administrators do, nor make a
    /// verifier's logins fail where log lines are required.
    fn is_of_a_stranger(&self) -> bool {
        matches!(self, Self::NotPermitted(_) | Self::Own(_))
    }
}

const MINUTE: Duration = Duration::from_secs(60);
/// Lines of all uids without a role together: of calls without permission, and of calls for their
/// own accounts. Their files of events hold a quarter of an hour of such lines at their longest.
const MOST_SHARED: u32 = 300;
/// Causes that are counted separately, in each of the two tables.
const MAX_CAUSES: usize = 4096;
/// Causes that are named in the report of a minute.
const MOST_NAMED: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserName {
        UserName::new(name).unwrap()
    }

    fn refusal(name: &str) -> Cause {
        Cause::Refusal(user(name))
    }

    /// How many of `lines` lines are written.
    fn written(quota: &LogQuota, cause: &Cause, lines: u32) -> usize {
        (0..lines)
            .filter(|_| quota.may_write(cause.clone()))
            .count()
    }

    fn a_minute_later(quota: &LogQuota) {
        lock(&quota.0).begun = Instant::now().checked_sub(MINUTE).expect("a minute ago");
    }

    #[test]
    fn each_cause_has_its_bound_and_what_is_more_is_told_when_the_minute_is_over() {
        let quota = LogQuota::default();
        let bounds = [
            (Cause::NotPermitted(7), 10),
            (Cause::Own(7), 120),
            (Cause::WithRole(8), 600),
            (Cause::RefusedCall(8), 30),
            (refusal("alice"), 120),
            (Cause::RefusalFor(8, user("alice")), 120),
        ];
        for (n, (cause, bound)) in (1..).zip(&bounds) {
            assert_eq!(
                written(&quota, cause, bound + n),
                *bound as usize,
                "{cause:?}"
            );
        }
        assert_eq!(
            written(&quota, &refusal("bob"), 120),
            120,
            "others are not concerned"
        );
        assert!(quota.settle_minute().is_empty(), "the minute is not over");
        a_minute_later(&quota);
        let told = quota.settle_minute();
        let lines: Vec<u32> = told.iter().map(|left_out| left_out.lines).collect();
        let causes = told.into_iter().filter_map(|left_out| left_out.cause);
        assert_eq!(lines, [6, 5, 4, 3, 2, 1]);
        assert!(causes.eq(bounds.into_iter().rev().map(|(cause, _)| cause)));
        a_minute_later(&quota);
        assert!(quota.settle_minute().is_empty(), "it is told once");
        assert_eq!(
            written(&quota, &Cause::NotPermitted(7), 11),
            10,
            "in the next minute as well"
        );
    }

    #[test]
    fn the_threat_model_has_these_bounds() {
        let [strangers, own, role, refused, of_roles, refusal] = [
            Cause::NotPermitted(7),
            Cause::Own(7),
            Cause::WithRole(7),
            Cause::RefusedCall(7),
            Cause::RefusalFor(7, user("alice")),
            refusal("alice"),
        ]
        .map(|cause| cause.bound());
        let row = format!(
            "| log lines a minute | {strangers} each, {MOST_SHARED} together | {own} each, {MOST_SHARED} together; \
             refused calls like strangers | {role} each, {refused} of refused calls; \
             {of_roles} refused attempts for each user name | \
             no limit; {refusal} refused attempts for each user name |"
        );
        assert!(THREAT_MODEL.contains(&row), "{row}");
    }

    const THREAT_MODEL: &str = include_str!("../../../docs/threat-model.md");

    #[test]
    fn what_was_left_out_for_one_cause_can_be_told_at_once() {
        let quota = LogQuota::default();
        let alice = refusal("alice");
        let _ = written(&quota, &alice, 127);
        let told = |lines| {
            Some(LeftOut {
                cause: Some(alice.clone()),
                lines,
            })
        };
        assert_eq!(
            (
                quota.settle(&alice),
                quota.settle(&alice),
                quota.settle(&refusal("bob"))
            ),
            (told(7), None, None)
        );
        assert!(!quota.may_write(alice.clone()), "the minute is not over");
        assert_eq!(quota.settle(&alice), told(1));
    }

    #[test]
    fn all_uids_without_a_role_share_one_bound_and_hide_neither_a_role_nor_a_refusal() {
        let quota = LogQuota::default();
        let strangers =
            |of: fn(u32) -> Cause| (0..5000).filter(|uid| quota.may_write(of(*uid))).count();
        assert_eq!(
            (strangers(Cause::NotPermitted), strangers(Cause::Own)),
            (300, 300),
            "calls without permission keep no owner's line out"
        );
        assert!(
            lock(&quota.0).by_cause.len() <= 600,
            "a uid that writes no line takes no place"
        );
        for of in [Cause::WithRole, Cause::RefusedCall] {
            assert!(quota.may_write(of(5001)));
        }
        assert!(quota.may_write(refusal("alice")));
        assert!(!quota.may_write(Cause::NotPermitted(0)));
        a_minute_later(&quota);
        let told = quota.settle_minute();
        assert_eq!(
            told[0],
            LeftOut {
                cause: Some(Cause::NotPermitted(0)),
                lines: 1
            },
            "a uid with an entry is named"
        );
        assert_eq!(
            told[1],
            LeftOut {
                cause: None,
                lines: 4700 + 4700
            }
        );
        assert!(quota.may_write(Cause::Own(0)));
    }

    #[test]
    fn beyond_the_table_a_newcomer_is_counted_under_the_shared_bound() {
        let quota = LogQuota::default();
        let names = (0..2 * MAX_CAUSES).map(|n| refusal(&format!("u{n}")));
        assert_eq!(
            names.filter(|cause| quota.may_write(cause.clone())).count(),
            MAX_CAUSES + 300
        );
        assert_eq!(lock(&quota.0).by_cause.len(), MAX_CAUSES);
        assert_eq!(
            written(&quota, &refusal("u0"), 200),
            119,
            "a user with a place keeps it"
        );
        assert_eq!(
            written(&quota, &Cause::WithRole(7), 700),
            600,
            "a uid with a role has a place"
        );
        assert_eq!(written(&quota, &Cause::Own(8), 400), 300);
    }

    #[test]
    fn attempts_that_a_role_invents_take_no_line_and_no_place_of_those_at_roots_programs() {
        let quota = LogQuota::default();
        let told = |uid: u32, name: &str| Cause::RefusalFor(uid, user(name));
        assert_eq!(written(&quota, &told(8, "alice"), 200), 120);
        for n in 0..2 * MAX_CAUSES {
            let _ = quota.may_write(told(8, &format!("u{n}")));
        }
        assert_eq!(lock(&quota.0).for_roles.len(), MAX_CAUSES);
        for cause in [refusal("alice"), refusal("bob"), Cause::WithRole(9)] {
            assert_eq!(written(&quota, &cause, 120), 120, "{cause:?}");
        }
        assert_eq!(
            written(&quota, &told(9, "alice"), 200),
            200,
            "only the caller's own bound is left to newcomers"
        );
        assert_eq!(
            quota.settle(&told(8, "alice")),
            Some(LeftOut {
                cause: Some(told(8, "alice")),
                lines: 80
            })
        );
    }

    #[test]
    fn a_crowd_that_was_left_out_is_told_in_a_few_lines_and_forgotten() {
        let quota = LogQuota::default();
        for n in 0..20 {
            let _ = written(&quota, &refusal(&format!("u{n}")), 121 + n);
        }
        a_minute_later(&quota);
        let told = quota.settle_minute();
        let lines: Vec<u32> = told.iter().map(|left_out| left_out.lines).collect();
        assert_eq!(
            lines,
            (5..=20).rev().chain([1 + 2 + 3 + 4]).collect::<Vec<_>>()
        );
        assert!(told[15].cause.is_some() && told[16].cause.is_none());
        assert!(lock(&quota.0).by_cause.is_empty());
    }
}
