//! Hours of the week, in local time: `mon-fri 08:00-18:00`.

use crate::config::values::calendar::DateTime;

/// Hours of some days of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    /// One for each day of the week, Monday first.
    days: [bool; DAYS.len()],
    /// Minutes since midnight.
    from: i64,
    /// The first minute after the hours.
    until: i64,
}

impl Hours {
    /// Parses `mon-fri 08:00-18:00`, `sat,sun`, or `22:00-24:00` of every day.
    ///
    /// # Errors
    /// The sentence that says how hours are written.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(' ').collect();
        match parts.as_slice() {
            [one] => Self::of(one, WHOLE_DAY).or_else(|| Self::of(EVERY_DAY, one)),
            [days, span] => Self::of(days, span),
            _ => None,
        }
        .ok_or_else(|| FORM.to_owned())
    }

    fn of(days: &str, span: &str) -> Option<Self> {
        let (from, until) = span.split_once('-')?;
        let (from, until) = (minute(from)?, minute(until)?);
        Some(Self {
            days: week(days)?,
            from,
            until,
        })
        .filter(|_| from < until)
    }

    /// Whether `time` lies in these hours.
    #[must_use]
    pub fn hold(&self, time: DateTime) -> bool {
        let weekday = usize::try_from(time.weekday().to_monday_zero_offset());
        let today = weekday.is_ok_and(|weekday| self.days.get(weekday) == Some(&true));
        let minute = time.duration_since(time.date().at(0, 0, 0, 0)).as_mins();
        today && (self.from..self.until).contains(&minute)
    }
}

/// `mon-wed,sat`. A range may go over the end of the week.
fn week(text: &str) -> Option<[bool; DAYS.len()]> {
    let mut days = [false; DAYS.len()];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(first)?, day(last)?);
        let row = (0..DAYS.len()).cycle().skip(first).take(DAYS.len());
        let length = row.clone().position(|day| day == last)?;
        for day in row.take(length.saturating_add(1)) {
            *days.get_mut(day)? = true;
        }
    }
    Some(days)
}

fn day(text: &str) -> Option<usize> {
    DAYS.iter().position(|name| *name == text)
}

/// `08:30` in minutes; `24:00` is the end of the day.
fn minute(text: &str) -> Option<i64> {
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes) = (
        two_digits(hours)?,
        two_digits(minutes).filter(|minutes| *minutes < 60)?,
    );
    hours
        .checked_mul(60)?
        .checked_add(minutes)
        .filter(|minute| *minute <= DAY)
}

fn two_digits(text: &str) -> Option<i64> {
    let plain = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const EVERY_DAY: &str = "mon-sun";
const WHOLE_DAY: &str = "00:00-24:00";
/// Minutes of a day.
const DAY: i64 = 24 * 60;
const FORM: &str = "write hours as 'mon-fri 08:00-18:00', 'sat,sun' or '06:00-22:00'; split hours over midnight in two: \
                    '22:00-24:00' and '00:00-06:00'";
