//! Whether the certificate of a fleet's machine ends soon: logins end with it.

use std::path::Path;

use pam_stack::{Finding, Severity};

use super::{about_file, finding};
use crate::fleet::end_of;
use crate::table::{day, now};

/// Tells of a certificate that has ended, or ends within thirty days. One that cannot be read is none:
/// the daemon says so.
pub(crate) fn check(cert: &Path) -> Option<Finding> {
    let until = end_of(&std::fs::read(cert).ok()?)?;
    judge(until, now()).map(|finding| about_file(cert, finding))
}

fn judge(until: u64, now: u64) -> Option<Finding> {
    let on = day(until);
    if until <= now {
        let what = format!("the certificate has ended on {on}: no login passes through it");
        return Some(finding(Severity::LockOut, KIND, what, RENEW));
    }
    let is_soon = until.saturating_sub(now) < SOON;
    is_soon.then(|| {
        let what = format!("the certificate ends on {on}, and then no login passes through it");
        finding(Severity::Warning, KIND, what, RENEW)
    })
}

const KIND: &str = "certificate-ends";
const SOON: u64 = 30 * 86_400;
const RENEW: &str = "Add the machine again where the fleet's authority is ('totpctl fleet'), and unpack the new file here";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_within_thirty_days_is_a_warning_and_one_that_has_come_a_lock_out() {
        let now = 1_800_000_000;
        let found = |until| judge(until, now).map(|finding| finding.severity);
        assert_eq!(found(now + SOON), None);
        assert_eq!(found(now + SOON - 1), Some(Severity::Warning));
        assert_eq!(found(now + 1), Some(Severity::Warning));
        assert_eq!(found(now), Some(Severity::LockOut));
        assert_eq!(check(Path::new("/dev/null")), None);
    }
}
