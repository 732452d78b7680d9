//! Clock skew in the log: finds out whether a wrong code was right for another time, and logs how
//! far the device's clock is off. Only the log reports it, never the caller, and of a code that is
//! still to come not before that code has become useless.
//!
//! A thread of its own measures it from a copy of the sealed keys, after the verdict is durable. So
//! there is no timing side channel: an answer takes the same time with any number of devices and
//! any result, and names without a device cost the same.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use common::answer::Answer;
use common::config::Settings;
use common::names::device::Kind;
use common::names::user::UserName;
use common::secrets::Secrets;
use common::wire::protocol;

use crate::audit::held::{Held, Hour};
use crate::audit::{Audit, Line, Share};
use crate::policy::{Circumstances, searched_until, shown};
use crate::record::{Device, Record};

/// The handle to the thread.
#[derive(Debug)]
pub struct Skews {
    queue: SyncSender<Message>,
    others: Arc<Waiting>,
    counted: Arc<Counted>,
}

/// The measurements that the log has, for the metrics.
#[derive(Debug, Default)]
struct Counted {
    ahead: Sum,
    behind: Sum,
}

#[derive(Debug, Default)]
struct Sum {
    count: AtomicU64,
    seconds: AtomicU64,
}

impl Counted {
    fn count(&self, seconds: i64) {
        let sum = if seconds < 0 {
            &self.behind
        } else {
            &self.ahead
        };
        sum.count.fetch_add(1, Ordering::Relaxed);
        sum.seconds
            .fetch_add(seconds.unsigned_abs(), Ordering::Relaxed);
    }
}

impl Sum {
    fn told(&self) -> protocol::Skews {
        protocol::Skews {
            count: self.count.load(Ordering::Relaxed),
            seconds: self.seconds.load(Ordering::Relaxed),
        }
    }
}

/// A line of the log, and how far the device's clock is ahead of ours.
struct Measured {
    line: Line,
    seconds: i64,
}

impl Measured {
    /// Logs and counts it at once: a count that came before the line would tell what is held back.
    fn tell(self, audit: &Audit, counted: &Counted) {
        counted.count(self.seconds);
        audit.write(self.line);
    }
}

/// The attempts of all callers but root that wait.
#[derive(Debug, Default)]
struct Waiting(AtomicUsize);

impl Waiting {
    /// Whether one more may wait.
    fn begin(&self) -> bool {
        let has_room = self.0.fetch_add(1, Ordering::Relaxed) < QUEUE_OF_OTHERS;
        if !has_room {
            self.end();
        }
        has_room
    }

    fn end(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The devices for which an answer was wrong.
#[derive(Debug)]
pub struct Missed {
    devices: Vec<Device>,
    /// The user of the devices.
    owner: UserName,
    /// Measured only to take the same time: the result is not logged.
    is_untold: bool,
}

/// An answer that may have been right for another time.
pub struct MissedAttempt {
    /// The devices.
    pub missed: Missed,
    /// The typed answer.
    pub answer: Answer,
    /// The settings, with the application secrets that the keys are sealed under.
    pub settings: Arc<Settings>,
    /// The time of the verdict, in Unix seconds.
    pub now: u64,
    /// The log line without the result.
    pub line: Line,
}

impl MissedAttempt {
    fn is_others(&self) -> bool {
        self.line.share() != Share::Root
    }
}

enum Message {
    Attempt(Box<MissedAttempt>),
    Flush(SyncSender<()>),
}

impl Missed {
    /// The usable devices of a record.
    #[must_use]
    pub fn of(record: &Record, owner: &UserName, now: &Circumstances<'_>) -> Self {
        let devices = record
            .usable(now.moment.now, now.service)
            .cloned()
            .collect();
        Self {
            devices,
            owner: owner.clone(),
            is_untold: false,
        }
    }

    /// The same without a log line: for a decoy's devices, and for a code that was not judged.
    #[must_use]
    pub fn untold(self) -> Self {
        Self {
            is_untold: true,
            ..self
        }
    }
}

impl Skews {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system cannot start a thread.
    pub fn start(audit: Audit) -> std::io::Result<Self> {
        let (queue, messages) = sync_channel(QUEUE);
        let others = Arc::<Waiting>::default();
        let waiting = Arc::clone(&others);
        let counted = Arc::<Counted>::default();
        let counts = Arc::clone(&counted);
        thread::Builder::new()
            .name("skew".into())
            .spawn(move || measure_all(&messages, &waiting, (&audit, &counts)))?;
        Ok(Self {
            queue,
            others,
            counted,
        })
    }

    /// Queues an attempt; never waits. If the queue is full, the attempt is not measured. All
    /// callers but root have a part of the queue.
    pub fn measure(&self, attempt: MissedAttempt) {
        let is_others = attempt.is_others();
        if is_others && !self.others.begin() {
            return;
        }
        let attempt = Message::Attempt(Box::new(attempt));
        if self.queue.try_send(attempt).is_err() && is_others {
            self.others.end();
        }
    }

    /// The measurements that were logged since the start, by their direction.
    #[must_use]
    pub fn counted(&self) -> BTreeMap<String, protocol::Skews> {
        let Counted { ahead, behind } = &*self.counted;
        let sums = [("ahead", ahead), ("behind", behind)];
        sums.map(|(word, sum)| (word.to_owned(), sum.told())).into()
    }

    /// Waits until all queued attempts are logged, for a second at most.
    pub fn flush(&self) {
        let (done, told) = sync_channel(1);
        if self.queue.try_send(Message::Flush(done)).is_ok() {
            let _ = told.recv_timeout(FLUSH_TIME);
        }
    }
}

/// Rests for a moment after each batch: a wrong code wakes the thread seldom while there are many, and
/// its measurement takes no time from their verdicts.
fn measure_all(
    messages: &Receiver<Message>,
    others: &Waiting,
    (audit, counted): (&Audit, &Counted),
) {
    let (mut roots, mut of_others) = (WorkTime::default(), WorkTime::default());
    let mut held = Held::default();
    let tell = |measured: Measured| measured.tell(audit, counted);
    loop {
        let first = match next(messages, held.is_empty()) {
            Ok(message) => Some(message),
            Err(RecvTimeoutError::Timeout) => None,
            // The daemon ends: what is still held back is lost.
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let mut waits_for_us = Vec::new();
        for message in first.into_iter().chain(messages.try_iter().take(QUEUE)) {
            match message {
                Message::Attempt(attempt) => {
                    let time = if attempt.is_others() {
                        others.end();
                        &mut of_others
                    } else {
                        &mut roots
                    };
                    time.spend(Instant::now(), || measure(&attempt, tell, &mut held));
                }
                Message::Flush(done) => waits_for_us.push(done),
            }
        }
        held.due(Hour::now()).into_iter().for_each(tell);
        for done in waits_for_us {
            let _ = done.try_send(());
        }
        thread::sleep(REST);
    }
}

/// The next message. While a line is held back, it is looked at regularly: a timer would not notice
/// that the clock is set.
fn next(messages: &Receiver<Message>, is_idle: bool) -> Result<Message, RecvTimeoutError> {
    if is_idle {
        messages.recv().map_err(RecvTimeoutError::from)
    } else {
        messages.recv_timeout(LOOK)
    }
}

/// Logs how far the clock of the device is off that shows the answer nearest to now. Of a code that
/// the device has yet to show, the line is held back until the code opens nothing any more: a
/// guesser who reads the log would else wait for it.
fn measure(attempt: &MissedAttempt, tell: impl FnOnce(Measured), held: &mut Held<Measured>) {
    let MissedAttempt {
        missed,
        answer,
        settings,
        now,
        line,
    } = attempt;
    let found = missed.devices.iter().filter_map(|device| {
        let skew = skew(device, &missed.owner, answer, &settings.secrets, *now)?;
        Some((&device.name, skew))
    });
    let nearest = found.min_by_key(|(_, skew)| skew.seconds.unsigned_abs());
    let Some((device, skew)) = nearest.filter(|_| !missed.is_untold) else {
        return;
    };
    let line = line.clone().with("device", device).with("at", now);
    let measured = Measured {
        line: line.with("seconds", skew.seconds),
        seconds: skew.seconds,
    };
    match skew.secret_for {
        0 => tell(measured),
        seconds => held.hold(measured, seconds, Hour::now()),
    }
}

/// Where an answer was right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Skew {
    /// How far the device's clock is ahead of ours.
    seconds: i64,
    /// Seconds until the answer opens no login any more, alone or as half of a pair.
    secret_for: u64,
}

/// The skew of the device's clock, if it shows the answer at any time near now.
fn skew(
    device: &Device,
    owner: &UserName,
    answer: &Answer,
    secrets: &Secrets,
    now: u64,
) -> Option<Skew> {
    if device.kind != Kind::Totp {
        return None;
    }
    let key = device.key(owner, secrets).ok()?;
    let codes = answer.codes(device.parameters.digits)?;
    let ours = device.parameters.step_at(now);
    let found = device.parameters.find(
        &key,
        &codes,
        ours.saturating_sub(REACH)..=ours.saturating_add(REACH),
    );
    let nearest = found.into_iter().min_by_key(|step| step.abs_diff(ours))?;
    let steps = i64::try_from(nearest.abs_diff(ours)).ok()?;
    let seconds = steps.checked_mul(device.parameters.period.into())?;
    let seconds = if nearest < ours {
        seconds.saturating_neg()
    } else {
        seconds
    };
    let last = nearest.saturating_add((codes.len() as u64).saturating_sub(1));
    Some(Skew {
        seconds,
        secret_for: secret_for(device, last, now),
    })
}

/// Seconds until no login is compared with `step` any more: none if the window has passed it. The
/// window is where the device's learned drift has moved it, so that a step before ours may still be
/// to come.
fn secret_for(device: &Device, step: u64, now: u64) -> u64 {
    if step < shown(device, now) {
        return 0;
    }
    let until = searched_until(step).saturating_add(1);
    device.parameters.start_of(until).saturating_sub(now)
}

/// The rate limit of the thread: a twentieth of a processor, and a second of work at once, also
/// under a brute-force attack. Root's calls have one, and all other callers another, so that no
/// process uses up what shows root's users that a phone's clock is wrong.
#[derive(Debug, Default)]
struct WorkTime {
    /// The time until which the work done so far uses up the share.
    paid: Option<Instant>,
}

impl WorkTime {
    /// Does the work, unless too much was done already.
    fn spend(&mut self, now: Instant, work: impl FnOnce()) {
        let paid = self.paid.map_or(now, |paid| paid.max(now));
        if paid.saturating_duration_since(now) > AT_ONCE {
            return;
        }
        work();
        self.paid = paid.checked_add(now.elapsed().saturating_mul(SHARE));
    }
}

/// Steps to either side of now: two hours with steps of thirty seconds. A clock without summer time
/// is found.
const REACH: u64 = 240;
/// How often the lines that are held back are looked at.
const LOOK: Duration = Duration::from_secs(1);
const QUEUE: usize = 64;
const QUEUE_OF_OTHERS: usize = 32;
const SHARE: u32 = 20;
/// A second of work.
const AT_ONCE: Duration = Duration::from_secs(20);
const REST: Duration = Duration::from_millis(10);
const FLUSH_TIME: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use common::secret::{Key, SecretText};
    use common::totp::Parameters;

    use super::*;
    use crate::record::tests::{device, secrets, user};

    const NOW: u64 = 1_234_567_890;

    /// The skew found for `codes` consecutive codes that the device shows from `steps` away from
    /// now.
    fn found(device: &Device, steps: i64, codes: i64) -> Option<i64> {
        let key = Key::new(b"12345678901234567890".to_vec()).unwrap();
        let step = |later| {
            device
                .parameters
                .step_at(NOW)
                .saturating_add_signed(steps + later)
        };
        let shown =
            |later| SecretText::new(device.parameters.code_at(&key, step(later)).to_string());
        let answer = Answer::parse(&(0..codes).map(shown).collect::<Vec<_>>()).unwrap();
        skew(device, &user("alice"), &answer, &secrets(), NOW).map(|skew| skew.seconds)
    }

    #[test]
    fn a_code_of_another_time_tells_how_far_the_clock_is_off() {
        let slow = Parameters {
            period: 60,
            ..Parameters::default()
        };
        let [usual, slow] =
            [Parameters::default(), slow].map(|it| device(&user("alice"), "default", it));
        for (steps, seconds) in [(-21, -630), (10, 300), (-240, -7200), (240, 7200)] {
            assert_eq!(found(&usual, steps, 1), Some(seconds));
            assert_eq!(found(&slow, steps, 1), Some(2 * seconds));
        }
        assert_eq!(
            (found(&usual, -241, 1), found(&usual, 241, 1)),
            (None, None)
        );
        assert_eq!(
            found(&usual, 100, 2),
            Some(3000),
            "two in a row, by the first"
        );
    }

    #[test]
    fn other_callers_leave_root_its_part_of_the_queue() {
        let others = Waiting::default();
        assert_eq!(
            (0..QUEUE).filter(|_| others.begin()).count(),
            QUEUE_OF_OTHERS
        );
        others.end();
        assert_eq!([others.begin(), others.begin()], [true, false]);
    }

    #[test]
    fn a_skew_is_secret_until_no_login_is_compared_with_the_step_any_more() {
        let mut device = device(&user("alice"), "default", Parameters::default());
        let ours = device.parameters.step_at(NOW);
        let passed = NOW % 30;
        for (steps, secret) in [(-2, 0), (3, 18 * 30 - passed), (200, 215 * 30 - passed)] {
            let step = ours.saturating_add_signed(steps);
            assert_eq!(secret_for(&device, step, NOW), secret, "{steps}");
        }
        device.drift = device.drift.after_a_pair(ours - 9, ours, 1);
        assert_eq!(shown(&device, NOW), ours - 4);
        assert_eq!(secret_for(&device, ours - 5, NOW), 0);
        assert_eq!(
            secret_for(&device, ours - 1, NOW),
            14 * 30 - passed,
            "its clock is slow: the code is yet to come"
        );
    }

    #[test]
    fn of_a_device_that_counts_there_is_no_time() {
        let counting = Device {
            kind: Kind::Hotp,
            ..device(&user("alice"), "default", Parameters::default())
        };
        assert_eq!(found(&counting, -21, 1), None);
    }

    #[test]
    fn the_share_of_a_processor_is_bounded() {
        let mut share = WorkTime::default();
        let begun = Instant::now();
        let mut done = 0;
        for _ in 0..10_000 {
            // As if it began twenty milliseconds ago, and so took as long.
            let now = begun.checked_sub(Duration::from_millis(20)).unwrap();
            share.spend(now, || done += 1);
        }
        assert!((1..=60).contains(&done), "{done}");
    }
}
