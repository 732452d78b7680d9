//! Calendar dates, and the date and time of day in this machine's time zone.
//!
//! The time zone is the machine's (localtime(5)). The environment is never read: a caller of `sudo`
//! could set it.

use std::io::ErrorKind;
use std::path::Path;

use jiff::Timestamp;
pub use jiff::ZonedDateTime;
pub use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

/// Parses `2026-12-01` (ISO 8601), and no other notation.
#[must_use]
pub fn date(text: &str) -> Option<Date> {
    let date = text.parse::<Date>().ok()?;
    (date.to_string() == text).then_some(date)
}

/// The first second of a day in UTC, in Unix seconds. `None` before 1970.
#[must_use]
pub fn start(date: Date) -> Option<u64> {
    u64::try_from(date.duration_since(EPOCH.date()).as_secs()).ok()
}

/// The day in UTC whose first second `time` is, in Unix seconds. `None`: it is no first second, or is
/// after the year 9999.
#[must_use]
pub fn day(time: u64) -> Option<Date> {
    let date = in_zone(time, TimeZone::UTC)?.date();
    (start(date) == Some(time)).then_some(date)
}

/// The date and the time of day in this machine's time zone at `time`, in Unix seconds. `None`: the
/// time zone cannot be read.
#[must_use]
pub fn local(time: u64) -> Option<DateTime> {
    in_zone(time, zone(Path::new(ZONE))?).map(|time| time.datetime())
}

/// The same with the zone, to be shown to people: UTC, if the machine's zone cannot be read. `None`
/// after the year 9999.
#[must_use]
pub fn shown(time: u64) -> Option<ZonedDateTime> {
    in_zone(time, zone(Path::new(ZONE)).unwrap_or(TimeZone::UTC))
}

fn in_zone(time: u64, zone: TimeZone) -> Option<ZonedDateTime> {
    let time = Timestamp::from_second(i64::try_from(time).ok()?).ok()?;
    Some(time.to_zoned_datetime(zone))
}

/// A machine without the file is on UTC. If the file is not valid, the time zone is unknown.
fn zone(path: &Path) -> Option<TimeZone> {
    match std::fs::read(path) {
        Ok(file) => TimeZone::tzif("", &file).ok(),
        Err(error) if error.kind() == ErrorKind::NotFound => Some(TimeZone::UTC),
        Err(_) => None,
    }
}

const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
const ZONE: &str = "/etc/localtime";

#[cfg(test)]
mod tests {
    use std::env;
    use std::process::Command;

    use super::*;

    /// A file of a time zone that goes by `rule` (RFC 9636): no transitions, one type, and the rule
    /// in the footer.
    fn file(rule: &str) -> Vec<u8> {
        let counts = [0, 0, 0, 0, 1, 4].map(u32::to_be_bytes).concat();
        let block = [&b"TZif2"[..], &[0; 15], &counts, &[0; 6], b"UTC\0"].concat();
        [&block[..], &block, b"\n", rule.as_bytes(), b"\n"].concat()
    }

    /// The same with one transition, at `time`, from UTC to `offset` seconds east of it.
    fn file_with_a_transition(time: i64, offset: i32, rule: &str) -> Vec<u8> {
        let counts = [0, 0, 0, 1, 2, 8].map(u32::to_be_bytes).concat();
        let types = [&[0; 6][..], &offset.to_be_bytes(), &[0, 4], b"UTC\0XXX\0"].concat();
        let first = [&b"TZif2"[..], &[0; 15], &counts, &[0; 4], &[1], &types].concat();
        let second = [
            &b"TZif2"[..],
            &[0; 15],
            &counts,
            &time.to_be_bytes(),
            &[1],
            &types,
        ]
        .concat();
        [&first[..], &second, b"\n", rule.as_bytes(), b"\n"].concat()
    }

    fn read(file: &[u8]) -> Option<TimeZone> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("localtime"), file).unwrap();
        zone(&folder.path().join("localtime"))
    }

    fn shown(time: u64, file: &[u8]) -> String {
        in_zone(time, read(file).unwrap())
            .unwrap()
            .datetime()
            .to_string()
    }

    #[test]
    fn a_date_is_written_in_one_way() {
        assert_eq!(date("2028-02-29").unwrap().to_string(), "2028-02-29");
        assert!(date("2026-12-01") < date("2027-01-15"));
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
            "+002026-12-01",
            "2026-1201-1",
            "20261201",
            "12-2026-01",
            " 2026-12-01",
            "2026/12/01",
            "2026-12-01T00:00",
            "2026-12-01T00:00:00Z",
            "2026-W49-2",
        ] {
            assert_eq!(date(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_day_begins_at_midnight() {
        let start = |day| start(date(day).unwrap());
        assert_eq!(
            (start("1970-01-01"), start("2027-01-01")),
            (Some(0), Some(1_798_761_600))
        );
        assert_eq!(start("9999-12-31"), Some(253_402_214_400));
        assert_eq!(start("1969-12-31"), None);
        assert_eq!(day(1_798_761_600).unwrap().to_string(), "2027-01-01");
        assert_eq!((day(1_798_761_601), day(u64::MAX)), (None, None));
    }

    #[test]
    fn a_time_is_shown_as_the_zone_says() {
        let berlin = file("CET-1CEST,M3.5.0,M10.5.0/3");
        assert_eq!(shown(1_798_761_600, &file("UTC0")), "2027-01-01T00:00:00");
        assert_eq!(shown(1_798_761_599, &berlin), "2027-01-01T00:59:59");
        assert_eq!(shown(1_798_761_599, &file("EST5")), "2026-12-31T18:59:59");
        // In spring the clocks go from two to three, in autumn from three to two.
        assert_eq!(shown(1_806_195_599, &berlin), "2027-03-28T01:59:59");
        assert_eq!(shown(1_806_195_600, &berlin), "2027-03-28T03:00:00");
        assert_eq!(shown(1_824_944_399, &berlin), "2027-10-31T02:59:59");
        assert_eq!(shown(1_824_944_400, &berlin), "2027-10-31T02:00:00");
    }

    #[test]
    fn transitions_in_the_file_hold_until_its_rule_takes_over() {
        let moved = file_with_a_transition(1_798_761_600, 7200, "XXX-2");
        assert_eq!(shown(1_798_761_599, &moved), "2026-12-31T23:59:59");
        assert_eq!(shown(1_798_761_600, &moved), "2027-01-01T02:00:00");
        assert!(
            read(&file_with_a_transition(1_798_761_600, 7200, "XXX-3")).is_none(),
            "the two do not agree"
        );
    }

    #[test]
    fn a_time_beyond_all_calendars_has_no_name() {
        assert_eq!((local(u64::MAX), local(253_402_387_200)), (None, None));
        assert!(super::shown(u64::MAX).is_none() && super::shown(0).is_some());
        assert!(local(0).is_some());
    }

    #[test]
    fn a_machine_without_a_zone_is_on_utc_and_one_with_a_broken_file_has_no_time() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(zone(&folder.path().join("none")), Some(TimeZone::UTC));
        assert_eq!(zone(folder.path()), None);
        let whole = file("CET-1CEST,M3.5.0,M10.5.0/3");
        for broken in [
            &b""[..],
            b"TZif, but nothing more",
            &file("somewhere"),
            &file_with_a_transition(0, i32::MAX, ""),
        ] {
            assert_eq!(read(broken), None);
        }
        assert!(
            (0..whole.len()).all(|length| read(&whole[..length]).is_none()),
            "cut off"
        );
    }

    /// Runs itself once more, with another time zone in the environment.
    #[test]
    fn the_environment_does_not_change_the_time_zone() {
        let told = local(1_798_761_600).unwrap().to_string();
        if let Ok(expected) = env::var(EXPECTED) {
            assert_eq!(told, expected);
            return;
        }
        let name = "config::values::calendar::tests::the_environment_does_not_change_the_time_zone";
        let again = Command::new(env::current_exe().unwrap())
            .args(["--exact", name])
            .env(EXPECTED, told)
            .env("TZ", "<+1111>-11:11")
            .env("TZDIR", "/nowhere")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&again.stdout);
        assert!(
            again.status.success() && said.contains("1 passed"),
            "{said}"
        );
    }

    const EXPECTED: &str = "EXPECTED_LOCAL_TIME";
}
