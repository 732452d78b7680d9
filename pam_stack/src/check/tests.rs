//! Planted faults in the stacks of distributions, each found with its line; and healthy stacks,
//! about which nothing is said.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::{Circumstances, check};
use crate::files::{Files, Folders};
use crate::finding::{Finding, Severity};
use crate::read::read;

/// Files that are on no disk: `== PATH` begins one.
struct Written(BTreeMap<PathBuf, String>);

impl Written {
    fn new(text: &str) -> Self {
        let files = text.split("== ").skip(1).map(|file| {
            let (path, lines) = file.split_once('\n').expect("a path and lines");
            (PathBuf::from("/etc/pam.d").join(path), lines.to_owned())
        });
        Self(files.collect())
    }
}

impl Files for Written {
    fn read(&self, path: &Path) -> io::Result<Option<String>> {
        Ok(self.0.get(path).cloned())
    }

    fn exists(&self, path: &Path) -> Option<bool> {
        Some(!path.ends_with("pam_gone.so"))
    }
}

fn folders(at_include: bool) -> Folders {
    Folders {
        services: vec!["/etc/pam.d".into(), "/usr/lib/pam.d".into()],
        includes: vec!["/etc/pam.d".into()],
        modules: vec!["/lib/security".into()],
        at_include,
    }
}

fn findings(service: &str, text: &str, circumstances: Circumstances) -> Vec<Finding> {
    // Only Debian's files have `@include`.
    let folders = folders(text.contains("@include"));
    check(&read(service, &Written::new(text), &folders), circumstances)
}

/// A stack with a fault.
struct Planted {
    fault: &'static str,
    service: &'static str,
    files: &'static str,
    kind: &'static str,
    severity: Severity,
    /// Where it is found: file and line.
    place: Option<(&'static str, usize)>,
}

macro_rules! planted {
    ($($fault:literal: $service:literal, $severity:ident $kind:literal at $place:expr => $files:expr;)*) => {
        [$(Planted {
            fault: $fault,
            service: $service,
            files: $files,
            kind: $kind,
            severity: Severity::$severity,
            place: $place,
        }),*]
    };
}

const DEBIAN_COMMON: &str = "== common-auth
auth [success=1 default=ignore] pam_unix.so nullok
auth requisite pam_deny.so
auth required pam_permit.so
auth optional pam_cap.so
";

const RED_HAT_SHARED: &str = "== password-auth
auth required pam_env.so
auth required pam_faildelay.so delay=2000000
auth [default=1 ignore=ignore success=ok] pam_usertype.so isregular
auth [default=1 ignore=ignore success=ok] pam_localuser.so
auth sufficient pam_unix.so nullok
auth [default=1 ignore=ignore success=ok] pam_usertype.so isregular
auth sufficient pam_sss.so forward_pass
auth required pam_deny.so
";

const GENTOO_SHARED: &str = "== system-auth
auth required pam_env.so
auth requisite pam_faillock.so preauth
auth sufficient pam_unix.so nullok try_first_pass
auth [default=die] pam_faillock.so authfail
== system-login
auth required pam_shells.so
auth required pam_nologin.so
auth include system-auth
== system-remote-login
auth include system-login
";

const ARCH_SHARED: &str = "== system-auth
auth required pam_faillock.so preauth
-auth [success=2 default=ignore] pam_systemd_home.so
auth [success=1 default=bad] pam_unix.so try_first_pass nullok
auth [default=die] pam_faillock.so authfail
auth optional pam_permit.so
auth required pam_env.so
auth required pam_faillock.so authsucc
== system-login
auth required pam_shells.so
auth requisite pam_nologin.so
auth include system-auth
== system-remote-login
auth include system-login
";

/// The files of a distribution, and more.
macro_rules! with {
    ($shared:expr, $more:expr) => {
        Box::leak(format!("{}{}", $shared, $more).into_boxed_str()) as &'static str
    };
}

fn faults() -> Vec<Planted> {
    let mut all = Vec::from(debian());
    all.extend(shared_files());
    all.extend(own_lines());
    all.extend(refusals());
    all
}

fn debian() -> [Planted; 7] {
    planted! {
        "sudo asks, sudo-i was forgotten": "sudo-i", Hole "not-named" at Some(("sudo-i", 1)) =>
            with!(DEBIAN_COMMON, "== sudo\n@include common-auth\nauth required pam_totp.so\n== sudo-i\n@include common-auth\n");
        "the password jumps over the module in common-auth": "sshd", Hole "not-asked" at Some(("common-auth", 1)) =>
            "== sshd\n@include common-auth\n== common-auth\nauth [success=2 default=ignore] pam_unix.so\nauth requisite pam_deny.so\nauth required pam_totp.so\nauth required pam_permit.so\n";
        "the password is sufficient": "sshd", Hole "not-asked" at Some(("sshd", 1)) =>
            "== sshd\nauth sufficient pam_unix.so\nauth required pam_totp.so\n";
        "a group is let by with pam_succeed_if": "sshd", Hole "not-asked" at Some(("sshd", 2)) =>
            "== sshd\nauth requisite pam_unix.so\nauth [success=1 default=ignore] pam_succeed_if.so user ingroup staff\nauth required pam_totp.so\nauth required pam_permit.so\n";
        "an included file is gone": "sshd", LockOut "unreadable" at Some(("sshd", 1)) =>
            "== sshd\n@include common-auth\nauth required pam_totp.so\n";
        "the service has session lines only": "sshd", Hole "not-named" at Some(("sshd", 1)) =>
            "== sshd\nsession required pam_unix.so\n== other\nauth required pam_unix.so\n";
        "the service has no file": "cockpit", Hole "not-named" at None =>
            "== sshd\nauth required pam_totp.so\n== other\nauth required pam_unix.so\n";
    }
}

fn shared_files() -> [Planted; 9] {
    planted! {
        "Red Hat: a shared file with sufficient is included": "sshd", Hole "not-asked" at Some(("password-auth", 5)) =>
            with!(RED_HAT_SHARED, "== sshd\nauth include password-auth\nauth required pam_totp.so\n");
        "Red Hat: pam_sss of a shared file": "sshd", Hole "not-asked" at Some(("password-auth", 7)) =>
            with!(RED_HAT_SHARED, "== sshd\nauth include password-auth\nauth required pam_totp.so\n");
        "Red Hat: pam_localuser jumps over the module": "sudo", Hole "not-asked" at Some(("sudo", 2)) =>
            "== sudo\nauth requisite pam_unix.so\nauth [default=1 ignore=ignore success=ok] pam_localuser.so\nauth required pam_totp.so\n";
        "Red Hat: substack, so that a wrong password still asks": "sshd", Warning "asked-after-a-failure" at Some(("password-auth", 8)) =>
            with!(RED_HAT_SHARED, "== sshd\nauth substack password-auth\nauth required pam_totp.so\n");
        "Red Hat: postlogin has the module, after a substack": "sshd", Warning "asked-after-a-failure" at Some(("password-auth", 8)) =>
            with!(RED_HAT_SHARED, "== sshd\nauth substack password-auth\nauth include postlogin\n== postlogin\nauth required pam_totp.so nullok\n");
        "Red Hat: postlogin has the module, after an include": "sshd", Hole "not-asked" at Some(("password-auth", 5)) =>
            with!(RED_HAT_SHARED, "== sshd\nauth include password-auth\nauth include postlogin\n== postlogin\nauth required pam_totp.so nullok\n");
        "Gentoo: system-auth has sufficient": "sshd", Hole "not-asked" at Some(("system-auth", 3)) =>
            with!(GENTOO_SHARED, "== sshd\nauth include system-remote-login\nauth required pam_totp.so\n");
        "Arch: the module stands in system-auth, and a home jumps over it": "sshd", Hole "not-asked" at Some(("system-auth", 1)) =>
            "== sshd\nauth include system-auth\n== system-auth\n-auth [success=3 default=ignore] pam_systemd_home.so\nauth [success=1 default=bad] pam_unix.so\nauth [default=die] pam_faillock.so authfail\nauth required pam_totp.so\nauth optional pam_permit.so\n";
        "openSUSE: @include where libpam does not know it": "sshd", LockOut "never-in" at Some(("sshd", 1)) =>
            "== sshd\n@Include common-auth\nauth required pam_totp.so\n";
    }
}

fn own_lines() -> [Planted; 11] {
    planted! {
        "nullok without pam_permit": "sshd", LockOut "ends-in-ignore" at Some(("sshd", 1)) =>
            "== sshd\nauth required pam_totp.so nullok\n";
        "the first factor is required": "sshd", Warning "asked-after-a-failure" at Some(("sshd", 1)) =>
            "== sshd\nauth required pam_unix.so\nauth required pam_totp.so\n";
        "a wrong password still shows the key of a new device": "sshd", Hole "enrols-after-a-failure" at Some(("sshd", 2)) =>
            "== sshd\nauth required pam_unix.so\nauth required pam_totp.so enroll=first_factor\n";
        "a device for a user that has proven nothing": "su", Warning "enrols-unproven" at Some(("su", 1)) =>
            "== su\nauth required pam_totp.so enroll=first_factor\n";
        "the password is optional": "sshd", Warning "code-alone" at Some(("sshd", 1)) =>
            "== sshd\nauth optional pam_unix.so\nauth required pam_totp.so\n";
        "the module is sufficient before the password": "su", Hole "refusal-lets-in" at Some(("su", 1)) =>
            "== su\nauth sufficient pam_totp.so\nauth required pam_unix.so\n";
        "the module stands twice": "sshd", Warning "asked-twice" at Some(("common-auth", 1)) =>
            "== sshd\nauth required pam_totp.so\nauth include common-auth\n== common-auth\nauth required pam_totp.so\n";
        "pam_deny stands last": "sshd", LockOut "never-in" at Some(("sshd", 2)) =>
            "== sshd\nauth required pam_totp.so\nauth required pam_deny.so\n";
        "a jump goes beyond the end": "sshd", LockOut "never-in" at None =>
            "== sshd\nauth requisite pam_unix.so\nauth [success=1 default=die] pam_totp.so\n";
        "the module is in account": "sshd", Warning "wrong-type" at Some(("sshd", 2)) =>
            "== sshd\nauth required pam_totp.so\naccount required pam_totp.so\n";
        "the file of a required module is gone": "sshd", LockOut "never-in" at Some(("sshd", 1)) =>
            "== sshd\nauth required pam_gone.so\nauth required pam_totp.so\n";
    }
}

fn refusals() -> [Planted; 10] {
    planted! {
        "the module is optional": "sshd", Hole "refusal-lets-in" at Some(("sshd", 2)) =>
            "== sshd\nauth requisite pam_unix.so\nauth optional pam_totp.so\n";
        "a stopped daemon lets in": "sshd", Hole "fault-lets-in" at Some(("sshd", 2)) =>
            "== sshd\nauth requisite pam_unix.so\nauth [success=ok ignore=ignore authinfo_unavail=ignore default=bad] pam_totp.so\n";
        "a removed module lets in": "sshd", Hole "fault-lets-in" at Some(("sshd", 2)) =>
            "== sshd\nauth requisite pam_unix.so\n-auth [success=ok ignore=ignore module_unknown=ignore default=bad] pam_totp.so\n";
        "users without a device are let in": "sshd", Hole "unenrolled-let-in" at Some(("sshd", 2)) =>
            "== sshd\nauth requisite pam_unix.so\nauth [success=ok ignore=ignore user_unknown=ignore default=bad] pam_totp.so user_unknown\n";
        "a reset forgets the refusal": "sshd", Hole "refusal-lets-in" at Some(("sshd", 1)) =>
            "== sshd\nauth required pam_totp.so\nauth [default=reset] pam_echo.so\nauth required pam_permit.so\n";
        "a misspelt control field": "sshd", LockOut "never-in" at None =>
            "== sshd\nauth requierd pam_unix.so\nauth required pam_totp.so\n";
        "a misspelt type": "sshd", Warning "bad-line" at Some(("sshd", 1)) =>
            "== sshd\nauht required pam_unix.so\nauth required pam_totp.so\n";
        "the file ends in a backslash": "sshd", LockOut "unreadable" at Some(("sshd", 2)) =>
            "== sshd\nauth required pam_totp.so\nsession required pam_unix.so \\\n";
        "a file includes itself": "sshd", LockOut "never-in" at Some(("sshd", 1)) =>
            "== sshd\nauth include sshd\nauth required pam_totp.so\n";
        "written on Windows": "sshd", Warning "bad-line" at Some(("sshd", 1)) =>
            "== sshd\nauth required pam_totp.so retry=1\r\nauth required pam_totp.so\n";
    }
}

#[test]
fn every_planted_fault_is_found_at_its_line() {
    let faults = faults();
    assert!(faults.len() >= 30);
    for planted in &faults {
        let found = findings(planted.service, planted.files, Circumstances::default());
        let place = planted
            .place
            .map(|(file, line)| (Path::new("/etc/pam.d").join(file), line));
        let is_it = |finding: &Finding| {
            finding.kind == planted.kind
                && finding.severity == planted.severity
                && finding.place.as_ref().map(|at| (at.file.clone(), at.line)) == place
        };
        assert!(found.iter().any(is_it), "{}: {found:#?}", planted.fault);
    }
}

/// A healthy stack: its name, the service, and the files.
type Healthy = (&'static str, &'static str, &'static str);

fn healthy_debian() -> [Healthy; 6] {
    [
        (
            "key and code",
            "sshd",
            "== sshd\nauth required pam_totp.so\n",
        ),
        (
            "password and code",
            "sshd",
            "== sshd\nauth requisite pam_unix.so\nauth required pam_totp.so\n",
        ),
        (
            "one field",
            "vsftpd",
            "== vsftpd\nauth required pam_totp.so forward_pass\nauth required pam_unix.so use_first_pass\n",
        ),
        (
            "Debian, after common-auth",
            "login",
            with!(
                DEBIAN_COMMON,
                "== login\nauth optional pam_faildelay.so delay=3000000\nauth requisite pam_nologin.so\n@include common-auth\nauth optional pam_group.so\nauth required pam_totp.so\n"
            ),
        ),
        (
            "Debian, in common-auth",
            "sudo",
            "== sudo\n@include common-auth\n== common-auth\nauth [success=2 default=ignore] pam_unix.so\nauth [success=1 default=ignore] pam_sss.so use_first_pass\nauth requisite pam_deny.so\nauth required pam_permit.so\nauth required pam_totp.so\n",
        ),
        (
            "pam_faillock",
            "sshd",
            "== sshd\nauth required pam_faillock.so preauth\nauth [success=1 default=bad] pam_unix.so\nauth [default=die] pam_faillock.so authfail\nauth required pam_totp.so\nauth sufficient pam_faillock.so authsucc\n",
        ),
    ]
}

fn healthy_others() -> [Healthy; 7] {
    [
        (
            "key or password",
            "sshd",
            "== sshd\nauth [success=1 default=ignore] pam_exec.so quiet /etc/pam-totp/a-key-was-shown\nauth requisite pam_unix.so\nauth required pam_totp.so\n",
        ),
        (
            "Red Hat, a key and a code",
            "sshd",
            with!(RED_HAT_SHARED, "== sshd\nauth required pam_totp.so\n"),
        ),
        (
            "Arch, after the shared file",
            "sshd",
            with!(
                ARCH_SHARED,
                "== sshd\nauth requisite pam_unix.so\nauth required pam_totp.so\n"
            ),
        ),
        (
            "nullok with pam_permit",
            "sshd",
            "== sshd\nauth requisite pam_unix.so\nauth required pam_totp.so nullok\nauth required pam_permit.so\n",
        ),
        (
            "enrolment with the first factor alone",
            "sshd",
            "== sshd\nauth requisite pam_unix.so\nauth required pam_totp.so enroll=first_factor\n",
        ),
        (
            "the long form of requisite",
            "sshd",
            "== sshd\nauth [success=1 ignore=1 default=ignore] pam_totp.so\nauth requisite pam_deny.so\nauth required pam_permit.so\n",
        ),
        (
            "a missing module that may be missing",
            "sshd",
            "== sshd\n-auth optional pam_gone.so\nauth required pam_totp.so\n",
        ),
    ]
}

#[test]
fn nothing_is_said_about_healthy_stacks() {
    for (name, service, files) in healthy_debian().into_iter().chain(healthy_others()) {
        let found = findings(service, files, Circumstances::default());
        assert_eq!(found, [], "{name}");
    }
}

#[test]
fn root_that_needs_no_code_for_su_is_a_note_and_no_hole() {
    let files = "== su\nauth sufficient pam_rootok.so\nauth requisite pam_unix.so\nauth required pam_totp.so\n";
    let found = findings("su", files, Circumstances::default());
    let kinds: Vec<_> = found.iter().map(|it| (it.severity, it.kind)).collect();
    assert_eq!(kinds, [(Severity::Note, "root-needs-no-code")]);
}

#[test]
fn a_group_that_setup_exempts_is_a_note_and_any_other_line_is_a_hole() {
    let line = "auth [success=1 default=ignore] pam_succeed_if.so quiet user ingroup breakglass\n";
    let rest = "auth required pam_totp.so\nauth required pam_permit.so\n";
    let severity = |first: &str, line: &str| {
        let files = format!("== sudo\n{first}{line}{rest}");
        let found = findings("sudo", &files, Circumstances::default());
        found.first().map(|it| (it.severity, it.kind))
    };
    let password = "auth requisite pam_unix.so\n";
    assert_eq!(
        severity(password, line),
        Some((Severity::Note, "exempt-group"))
    );
    let hole = Some((Severity::Hole, "not-asked"));
    assert_eq!(severity("", line), hole, "no first factor");
    for (part, other) in [
        ("quiet ", ""),
        ("user ingroup breakglass", "user notingroup breakglass"),
        ("breakglass", "breakglass:users"),
        ("breakglass", "breakglass user != root"),
        ("default=ignore", "user_unknown=1 default=ignore"),
        ("success=1", "success=done"),
        ("pam_succeed_if", "pam_listfile"),
    ] {
        assert_eq!(
            severity(password, &line.replace(part, other)),
            hole,
            "{other}"
        );
    }
    let two = format!("{line}auth required pam_env.so\n").replace("success=1", "success=2");
    assert_eq!(severity(password, &two), hole, "not right above the module");
}

#[test]
fn exemptions_of_the_settings_need_another_success_in_the_stack() {
    let alone = "== sshd\nauth required pam_totp.so\n";
    let exempting = Circumstances {
        has_exemptions: true,
    };
    assert_eq!(findings("sshd", alone, exempting)[0].kind, "ends-in-ignore");
    let with_password = "== sshd\nauth requisite pam_unix.so\nauth required pam_totp.so\n";
    assert_eq!(findings("sshd", with_password, exempting), []);
}

#[test]
fn a_stack_with_too_many_ways_is_not_called_healthy() {
    let gate =
        "auth [success=ok auth_err=1 user_unknown=2 abort=3 default=ignore] pam_listfile.so\n";
    let mut files = "== sshd\n".to_owned();
    for _ in 0..40 {
        files.push_str(gate);
        files.push_str("auth sufficient pam_totp.so\n");
    }
    let found = findings("sshd", &files, Circumstances::default());
    assert!(!found.is_empty());
}
