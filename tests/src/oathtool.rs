//! Authenticators of another author: every code comes from `oathtool`.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// The next wrong code, far from those of which there are several.
static WRONG: AtomicU32 = AtomicU32::new(100_000);

/// A device in a user's pocket.
#[derive(Clone, Debug)]
pub struct Authenticator {
    /// Its key, in base32.
    pub key: String,
    /// `sha1`, `sha256` or `sha512`.
    pub alg: String,
    /// Digits in a code.
    pub digits: u8,
    /// Seconds a code is shown.
    pub period: u32,
}

impl Authenticator {
    /// The usual kind: SHA-1, six digits, 30 seconds.
    #[must_use]
    pub fn new(key: &str) -> Self {
        Self {
            key: key.to_owned(),
            alg: "sha1".into(),
            digits: 6,
            period: 30,
        }
    }

    /// What it shows now.
    #[must_use]
    pub fn code(&self) -> String {
        self.code_at(0)
    }

    /// What it shows `steps` from now. Those of now and of the next step stay good when the test is
    /// slow; that of the step before may just have run out.
    #[must_use]
    pub fn code_at(&self, steps: i64) -> String {
        self.run(self.seconds_at(steps), 0).remove(0)
    }

    /// What it shows at a time, in Unix seconds.
    #[must_use]
    pub fn code_when(&self, seconds: i64) -> String {
        self.run(seconds, 0).remove(0)
    }

    /// The codes of this step and the next, for a daemon that wants two.
    #[must_use]
    pub fn pair(&self) -> [String; 2] {
        self.run(now(), 1).try_into().expect("two codes")
    }

    /// Acts for one candidate after the other, until no new time step began meanwhile. Returns that
    /// candidate, with the code that the device showed then and the next one.
    ///
    /// # Panics
    /// When every time takes longer than a step.
    pub fn within_a_step<T>(
        &self,
        candidates: impl IntoIterator<Item = T>,
        act: impl Fn(&T),
    ) -> (T, [String; 2]) {
        let once = |candidate| {
            let shown = self.pair();
            act(&candidate);
            (self.pair() == shown).then_some((candidate, shown))
        };
        candidates
            .into_iter()
            .find_map(once)
            .expect("a step that lasts long enough")
    }

    /// A code that the device does not show for a long while. Each call gives another one: a
    /// repeated code is no new guess.
    #[must_use]
    pub fn wrong(&self) -> String {
        self.wrong_after(WRONG.fetch_add(1, Ordering::Relaxed), 1)
            .remove(0)
    }

    /// Several of them, for every caller the same.
    #[must_use]
    pub fn wrong_codes(&self, count: usize) -> Vec<String> {
        self.wrong_after(0, count)
    }

    fn wrong_after(&self, first: u32, count: usize) -> Vec<String> {
        // The daemon looks for the skew of a wrong code within 240 steps.
        let near = self.run(self.seconds_at(-250), 500);
        let width = usize::from(self.digits);
        (first..)
            .map(|n| format!("{n:0width$}"))
            .filter(|code| !near.contains(code))
            .take(count)
            .collect()
    }

    fn seconds_at(&self, steps: i64) -> i64 {
        now() + steps * i64::from(self.period)
    }

    /// What a device that counts shows at `counter`, and after each of `further` presses of its
    /// button.
    #[must_use]
    pub fn counted(&self, counter: u64, further: u32) -> Vec<String> {
        let mut oathtool = Command::new("oathtool");
        oathtool.args(["--hotp", "--counter", &counter.to_string()]);
        self.codes(oathtool, further)
    }

    fn run(&self, seconds: i64, further: u32) -> Vec<String> {
        let mut oathtool = Command::new("oathtool");
        oathtool
            .arg(format!("--totp={}", self.alg))
            .args(["--time-step-size", &format!("{}s", self.period)]);
        oathtool.args(["--now", &format!("@{seconds}")]);
        self.codes(oathtool, further)
    }

    fn codes(&self, mut oathtool: Command, further: u32) -> Vec<String> {
        oathtool.args(["--base32", &self.key, "--digits", &self.digits.to_string()]);
        oathtool.args(["--window", &further.to_string()]);
        let output = oathtool
            .output()
            .expect("oathtool, of the package of that name");
        assert!(
            output.status.success(),
            "oathtool: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout)
            .expect("digits")
            .lines()
            .map(str::to_owned)
            .collect()
    }
}

/// Unix seconds.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock after 1970");
    i64::try_from(since.as_secs()).expect("a clock of our age")
}
