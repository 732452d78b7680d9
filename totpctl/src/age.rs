//! How long this program has been running, and when a process was started. The kernel says so, also
//! of a program that had to wait for a processor.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use nix::unistd::{SysconfVar, sysconf};

/// The time since the program was started, in milliseconds. `None`: the kernel does not say.
pub(crate) fn in_milliseconds() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let now = Duration::from(clock_gettime(ClockId::CLOCK_BOOTTIME).ok()?);
    u64::try_from(now.saturating_sub(started(&stat)?).as_millis()).ok()
}

/// When the process of this `/proc/PID/stat` was started, since the machine was: a tick later than
/// the kernel says, which counts whole ticks. So a program never seems to have begun before one that
/// had ended.
pub(crate) fn started(stat: &str) -> Option<Duration> {
    started_at(
        stat,
        u64::try_from(sysconf(SysconfVar::CLK_TCK).ok()??).ok()?,
    )
}

fn started_at(stat: &str, ticks_a_second: u64) -> Option<Duration> {
    // The program's name, in parentheses, may hold spaces.
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: u64 = fields.split_whitespace().nth(STARTTIME)?.parse().ok()?;
    let milliseconds = ticks.saturating_add(1).saturating_mul(1000);
    milliseconds
        .checked_div(ticks_a_second)
        .map(Duration::from_millis)
}

/// The field `starttime` of proc(5), counted from the first one after the name.
const STARTTIME: usize = 19;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_is_that_of_the_program_whatever_its_name() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 1234 9 9";
        assert_eq!(started_at(stat, 100), Some(Duration::from_millis(12_350)));
        assert_eq!(started_at("7 (cut", 100), None);
        assert!(in_milliseconds().is_some_and(|age| age < 86_400_000));
    }
}
