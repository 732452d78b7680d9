//! sshd's effective settings (`sshd -T`): whether every way to log in goes through PAM, and whether a
//! user has the time and the attempts to type a code.

use std::path::Path;
use std::process::{Command, Stdio};

use common::names::user::UserName;
use common::wire::text::printable;
use nix::unistd::User;
use pam_stack::{Finding, Severity};

use super::finding;

/// Asks sshd for its settings, for a user if one is named, and checks them. No sshd: no finding.
pub(crate) fn check(user: Option<&str>) -> Vec<Finding> {
    let Some(sshd) = PROGRAMS.iter().find(|path| Path::new(path).exists()) else {
        return Vec::new();
    };
    match ask(sshd, user) {
        Ok(settings) => of_settings(&settings, user),
        Err(why) => vec![unusable(&why)],
    }
}

/// The settings as sshd prints them: a line each, the key in lower case.
fn ask(sshd: &str, user: Option<&str>) -> Result<String, String> {
    let mut command = Command::new(sshd);
    command.arg("-T").stdin(Stdio::null());
    if let Some(user) = user {
        command.arg("-C").arg(connection_of(user));
    }
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        let said = String::from_utf8_lossy(&output.stderr);
        let line = said.lines().last().unwrap_or("it did not say why");
        Err(printable(line))
    }
}

/// A connection of this user, as `sshd -C` takes it. Without an account, `Match Group` would not
/// apply.
pub(crate) fn connection_of(user: &str) -> String {
    format!("user={user},host=localhost,addr=127.0.0.1")
}

/// Refuses a user that sshd cannot be asked about: in `sshd -C` a comma begins the next setting.
///
/// # Errors
/// What is wrong with the name, and the next step.
pub(crate) fn can_be_asked_about(user: &str) -> Result<(), String> {
    UserName::new(user).map_err(|bad| bad.to_string())?;
    let name = printable(user);
    if user.contains(',') {
        return Err(format!(
            "sshd cannot be asked about '{name}': its test mode (sshd -T -C) takes no name with a comma; look at its \
             Match blocks yourself"
        ));
    }
    match User::from_name(user) {
        Ok(Some(_)) => Ok(()),
        _ => Err(format!(
            "this machine has no account '{name}': check the spelling with 'getent passwd'"
        )),
    }
}

fn unusable(why: &str) -> Finding {
    if nix::unistd::geteuid().is_root() {
        finding(
            Severity::LockOut,
            "sshd-settings",
            format!("sshd does not accept its settings: {why}"),
            "Correct them, then run 'sshd -t'",
        )
    } else {
        finding(
            Severity::Note,
            "sshd-unread",
            "sshd's settings were not checked, because root alone can read its keys",
            "Run this command as root",
        )
    }
}

/// The value of a key; empty if sshd does not have the key.
fn value<'a>(settings: &'a str, key: &str) -> &'a str {
    settings
        .lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(found, _)| *found == key)
        .map_or("", |(_, value)| value.trim())
}

fn of_settings(settings: &str, user: Option<&str>) -> Vec<Finding> {
    let is_on = |key: &str| value(settings, key) == "yes";
    if !is_on("usepam") {
        return vec![finding(
            Severity::Hole,
            "sshd-without-pam",
            "sshd does not use PAM, so that no login over ssh asks for a code",
            "Write 'UsePAM yes' into sshd's settings",
        )];
    }
    let mut findings = of_methods(settings);
    if !is_on("kbdinteractiveauthentication") {
        findings.push(finding(
            Severity::LockOut,
            "sshd-no-prompt",
            "sshd cannot ask for a code: KbdInteractiveAuthentication is off",
            "Write 'KbdInteractiveAuthentication yes' into sshd's settings",
        ));
    }
    findings.extend(of_limits(settings));
    findings.extend(of_root(settings, user));
    findings
}

/// The ways to log in: each has to go through keyboard-interactive, which is PAM.
fn of_methods(settings: &str) -> Vec<Finding> {
    let methods = value(settings, "authenticationmethods");
    if methods.is_empty() || methods == "any" {
        return any_method(settings).into_iter().collect();
    }
    methods
        .split_whitespace()
        .filter(|list| !list.split(',').any(is_interactive))
        .map(without_prompt)
        .collect()
}

fn is_interactive(method: &str) -> bool {
    method == "keyboard-interactive" || method.starts_with("keyboard-interactive:")
}

fn without_prompt(list: &str) -> Finding {
    if list.split(',').any(|method| method == "password") {
        return finding(
            Severity::LockOut,
            "sshd-password-method",
            format!(
                "'AuthenticationMethods {list}' sends the password to every prompt, also to that for the code"
            ),
            "Write 'keyboard-interactive' in place of 'password', or 'forward_pass' after pam_totp.so if users type both in one field",
        );
    }
    finding(
        Severity::Hole,
        "sshd-without-code",
        format!("'AuthenticationMethods {list}' lets in without PAM, and so without a code"),
        format!("Write 'AuthenticationMethods {list},keyboard-interactive' into sshd's settings"),
    )
}

/// Without a list, each method that is on opens a login alone.
fn any_method(settings: &str) -> Option<Finding> {
    let alone: Vec<&str> = [
        ("pubkeyauthentication", "a key"),
        ("gssapiauthentication", "Kerberos"),
        ("hostbasedauthentication", "the client's host"),
    ]
    .into_iter()
    .filter(|(key, _)| value(settings, key) == "yes")
    .map(|(_, name)| name)
    .collect();
    (!alone.is_empty()).then(|| {
        finding(
            Severity::Hole,
            "sshd-without-code",
            format!("{} alone opens a login over ssh, without PAM and so without a code", alone.join(" or ")),
            "Write 'AuthenticationMethods keyboard-interactive' or 'AuthenticationMethods publickey,keyboard-interactive' into sshd's settings",
        )
    })
}

fn of_limits(settings: &str) -> Vec<Finding> {
    let number = |key: &str| value(settings, key).parse::<u64>().ok();
    let mut findings = Vec::new();
    if number("maxauthtries").is_some_and(|tries| tries < FEWEST_TRIES) {
        findings.push(finding(
            Severity::Warning,
            "sshd-few-tries",
            format!("sshd ends a connection after less than {FEWEST_TRIES} failures, and each key that a client offers is one"),
            "Write 'MaxAuthTries 6' into sshd's settings",
        ));
    }
    if number("logingracetime").is_some_and(|seconds| (1..SHORTEST_GRACE).contains(&seconds)) {
        findings.push(finding(
            Severity::Warning,
            "sshd-short-grace",
            format!("sshd ends a login after less than {SHORTEST_GRACE} seconds, and a user may have to wait for the next code"),
            "Write 'LoginGraceTime 120' into sshd's settings",
        ));
    }
    let penalties = value(settings, "persourcepenalties");
    if !penalties.is_empty() && penalties != "no" {
        findings.push(finding(
            Severity::Note,
            "sshd-penalties",
            "sshd makes addresses wait after refused logins, and all users behind one address wait together",
            "If that is an office, name its address in PerSourcePenaltyExemptList",
        ));
    }
    findings
}

/// root over ssh: without passwords, sshd never asks root for a code either.
fn of_root(settings: &str, user: Option<&str>) -> Option<Finding> {
    let is_root = user == Some("root");
    let permitted = value(settings, "permitrootlogin");
    let without = matches!(permitted, "without-password" | "prohibit-password");
    (is_root && without).then(|| {
        finding(
            Severity::LockOut,
            "sshd-root",
            format!("sshd refuses keyboard-interactive for root (PermitRootLogin {permitted}), so that root cannot type a code"),
            "See 'root over ssh' in the administrator's guide",
        )
    })
}

const PROGRAMS: [&str; 3] = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd"];
const FEWEST_TRIES: u64 = 3;
const SHORTEST_GRACE: u64 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    const HEALTHY: &str = "usepam yes\npubkeyauthentication yes\nkbdinteractiveauthentication yes\nauthenticationmethods publickey,keyboard-interactive\nmaxauthtries 6\nlogingracetime 120\npermitrootlogin without-password\npersourcepenalties no\n";

    fn kinds(change: (&str, &str), user: Option<&str>) -> Vec<(&'static str, Severity)> {
        of_settings(&HEALTHY.replace(change.0, change.1), user)
            .into_iter()
            .map(|found| (found.kind, found.severity))
            .collect()
    }

    #[test]
    fn every_setting_that_lets_in_without_a_code_or_locks_out_is_found() {
        let methods = "authenticationmethods publickey,keyboard-interactive";
        for (change, found) in [
            (("", ""), None),
            (
                ("usepam yes", "usepam no"),
                Some(("sshd-without-pam", Severity::Hole)),
            ),
            (
                (
                    "kbdinteractiveauthentication yes",
                    "kbdinteractiveauthentication no",
                ),
                Some(("sshd-no-prompt", Severity::LockOut)),
            ),
            (
                (methods, "authenticationmethods any"),
                Some(("sshd-without-code", Severity::Hole)),
            ),
            (
                (
                    methods,
                    "authenticationmethods publickey,keyboard-interactive publickey",
                ),
                Some(("sshd-without-code", Severity::Hole)),
            ),
            (
                (methods, "authenticationmethods keyboard-interactive:pam"),
                None,
            ),
            (
                (methods, "authenticationmethods publickey,password"),
                Some(("sshd-password-method", Severity::LockOut)),
            ),
            (
                ("maxauthtries 6", "maxauthtries 2"),
                Some(("sshd-few-tries", Severity::Warning)),
            ),
            (
                ("logingracetime 120", "logingracetime 30"),
                Some(("sshd-short-grace", Severity::Warning)),
            ),
            (("logingracetime 120", "logingracetime 0"), None),
            (
                ("persourcepenalties no", "persourcepenalties authfail:5"),
                Some(("sshd-penalties", Severity::Note)),
            ),
        ] {
            assert_eq!(kinds(change, None), Vec::from_iter(found), "{change:?}");
        }
    }

    #[test]
    fn a_name_that_would_be_a_setting_of_the_test_mode_is_refused_with_a_sentence() {
        assert_eq!(can_be_asked_about("root"), Ok(()));
        for name in ["root,addr=10.0.0.1", "a/b", "", "no-such-account"] {
            assert!(can_be_asked_about(name).is_err(), "{name}");
        }
    }

    #[test]
    fn root_that_cannot_type_a_code_is_locked_out_if_asked_for() {
        assert_eq!(kinds(("", ""), Some("alice")), []);
        assert_eq!(
            kinds(("", ""), Some("root")),
            [("sshd-root", Severity::LockOut)]
        );
        assert_eq!(kinds(("without-password", "yes"), Some("root")), []);
    }
}
