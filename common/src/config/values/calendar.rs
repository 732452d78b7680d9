//! What a time is called on this machine: its date, its day of the week and the clock on the wall.
//!
//! The time zone is the machine's (localtime(5)), and no environment is asked: a caller of `sudo` could set it.

use std::fmt;
use std::io::ErrorKind;
use std::path::Path;

use tz::{DateTime, TimeZone};

/// A day of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    year: i32,
    month: u8,
    day: u8,
}

impl Date {
    /// Reads `2026-12-01` (ISO 8601), and no other way to write it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-').map(|part| number(part, if part.len() == 4 { 4 } else { 2 }));
        let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
        let date = Self { year: year.into(), month: u8::try_from(month).ok()?, day: u8::try_from(day).ok()? };
        // Whether the month has that day, the calendar knows.
        let exists = tz::UtcDateTime::new(date.year, date.month, date.day, 0, 0, 0, 0).is_ok();
        (exists && text == date.to_string() && parts.next().is_none()).then_some(date)
    }
}

impl Date {
    /// Its first second, in Unix seconds, where the clocks show UTC. `None` before 1970.
    #[must_use]
    pub fn start(self) -> Option<u64> {
        let midnight = tz::UtcDateTime::new(self.year, self.month, self.day, 0, 0, 0, 0).ok()?;
        u64::try_from(midnight.unix_time()).ok()
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// Digits and nothing else, so many.
pub(crate) fn number(text: &str, digits: usize) -> Option<u16> {
    let plain = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// A time as this machine's calendar and its clocks on the wall show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalTime {
    /// The day.
    pub date: Date,
    /// Its place in the week; Monday is 0.
    pub weekday: u8,
    /// Minutes since midnight, as the clock on the wall counts them.
    pub minute: u16,
    /// Seconds of that minute.
    pub second: u8,
}

impl LocalTime {
    /// What `time`, in Unix seconds, is called here. `None`: the time zone cannot be read.
    #[must_use]
    pub fn of(time: u64) -> Option<Self> {
        Self::in_zone(time, &zone(Path::new(ZONE))?)
    }

    fn in_zone(time: u64, zone: &TimeZone) -> Option<Self> {
        let local = DateTime::from_timespec(i64::try_from(time).ok()?, 0, zone.as_ref()).ok()?;
        Some(Self {
            date: Date { year: local.year(), month: local.month(), day: local.month_day() },
            // Theirs begins with Sunday.
            weekday: local.week_day().checked_add(6)?.checked_rem(7)?,
            minute: u16::from(local.hour()).checked_mul(60)?.checked_add(local.minute().into())?,
            second: local.second(),
        })
    }
}

impl fmt::Display for LocalTime {
    /// `2026-12-01 08:30:00`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hours, minutes) = (self.minute.checked_div(60).unwrap_or(0), self.minute.checked_rem(60).unwrap_or(0));
        write!(f, "{} {hours:02}:{minutes:02}:{:02}", self.date, self.second)
    }
}

/// A machine without the file is on UTC; with one that makes no sense nobody knows.
fn zone(path: &Path) -> Option<TimeZone> {
    match std::fs::read(path) {
        Ok(file) => TimeZone::from_tz_data(&file).ok(),
        Err(error) if error.kind() == ErrorKind::NotFound => Some(TimeZone::utc()),
        Err(_) => None,
    }
}

const ZONE: &str = "/etc/localtime";

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(time: u64, zone: &str) -> (String, u8) {
        let local = LocalTime::in_zone(time, &TimeZone::from_posix_tz(zone).unwrap()).unwrap();
        (local.to_string(), local.weekday)
    }

    #[test]
    fn a_date_is_written_in_one_way() {
        assert_eq!(Date::parse("2028-02-29").unwrap().to_string(), "2028-02-29");
        assert!(Date::parse("2026-12-01") < Date::parse("2027-01-15"));
        for text in [
            "",
            "2026-12",
            "2026-12-1",
            "2026-02-29",
            "2026-13-01",
            "2026-00-01",
            "2026-12-01-01",
            "26-12-01",
            "+026-12-01",
            "2026-1201-1",
            "12-2026-01",
            " 2026-12-01",
            "2026/12/01",
        ] {
            assert_eq!(Date::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_day_begins_at_midnight() {
        let start = |day| Date::parse(day).unwrap().start();
        assert_eq!((start("1970-01-01"), start("2027-01-01")), (Some(0), Some(1_798_761_600)));
        assert_eq!(start("1969-12-31"), None);
    }

    #[test]
    fn a_time_is_called_what_the_zone_says() {
        let rule = "CET-1CEST,M3.5.0,M10.5.0/3";
        assert_eq!(shown(1_798_761_600, "UTC0"), ("2027-01-01 00:00:00".into(), 4));
        assert_eq!(shown(1_798_761_599, rule), ("2027-01-01 00:59:59".into(), 4));
        assert_eq!(shown(1_798_761_599, "EST5"), ("2026-12-31 18:59:59".into(), 3));
        // Between two and three the clock jumps.
        assert_eq!(shown(1_806_195_599, rule), ("2027-03-28 01:59:59".into(), 6));
        assert_eq!(shown(1_806_195_600, rule), ("2027-03-28 03:00:00".into(), 6));
    }

    #[test]
    fn a_time_beyond_all_calendars_has_no_name() {
        assert_eq!(LocalTime::of(u64::MAX), None);
        assert!(LocalTime::of(0).is_some());
    }

    #[test]
    fn a_machine_without_a_zone_is_on_utc_and_with_a_broken_one_nobody_knows() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(zone(&folder.path().join("none")), Some(TimeZone::utc()));
        std::fs::write(folder.path().join("broken"), "TZif, but nothing more").unwrap();
        assert_eq!(zone(&folder.path().join("broken")), None);
        assert_eq!(zone(folder.path()), None);
    }
}
