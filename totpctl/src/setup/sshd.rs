//! sshd's part of a set-up: is its configuration valid and in effect for a user, and make it read
//! the configuration again. Sessions that are open stay open.

use std::collections::HashMap;
use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::programs::{has_systemd, run};
use super::recipe::Recipe;
use crate::doctor::{can_be_asked_about, connection_of};

/// Checks the configuration as it lies on the disk.
pub(crate) fn check() -> Result<(), String> {
    run(SSHD, &["-t"]).map(drop)
}

/// Checks that the lines of the recipe are in effect for the user that is to confirm it.
pub(crate) fn is_in_effect(recipe: &Recipe, user: &str) -> Result<(), String> {
    can_be_asked_about(user)?;
    judge(
        &run(SSHD, &["-T", "-C", &connection_of(user)])?,
        recipe,
        user,
    )
}

/// Makes a running sshd read its configuration again; starts one that has failed.
pub(crate) fn reload() -> Result<(), String> {
    if !has_systemd() {
        return reload_by_signal();
    }
    for unit in ["ssh.service", "sshd.service"] {
        let state = run("systemctl", &["show", "--value", "-p", "ActiveState", unit])?;
        match state.trim() {
            "active" | "reloading" => return run("systemctl", &["reload", unit]).map(drop),
            // At boot it may have read the former files already.
            "activating" => return run("systemctl", &["restart", unit]).map(drop),
            "failed" => {
                run("systemctl", &["reset-failed", unit])?;
                return run("systemctl", &["start", unit]).map(drop);
            }
            // Started for each connection, or not at all: it reads the files when it starts.
            _ => {}
        }
    }
    Ok(())
}

fn reload_by_signal() -> Result<(), String> {
    let pid = fs::read_to_string("/run/sshd.pid").unwrap_or_default();
    let Ok(pid) = pid.trim().parse() else {
        return Ok(());
    };
    let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    if program.ends_with("sshd") {
        kill(Pid::from_raw(pid), Signal::SIGHUP).map_err(|errno| errno.desc().to_owned())?;
    }
    Ok(())
}

/// `sshd -T` prints a line for each keyword, in lower case.
fn judge(told: &str, recipe: &Recipe, user: &str) -> Result<(), String> {
    let lines = told.lines().filter_map(|line| line.split_once(' '));
    let values: HashMap<&str, &str> = lines.collect();
    let is = |keyword: &str, value: &str| values.get(keyword).is_some_and(|found| *found == value);
    let expected = [
        ("usepam", "yes"),
        ("kbdinteractiveauthentication", "yes"),
        ("passwordauthentication", "no"),
        ("authenticationmethods", recipe.methods()),
    ];
    if let Some((keyword, value)) = expected.into_iter().find(|(key, value)| !is(key, value)) {
        let found = values.get(keyword).unwrap_or(&"nothing");
        return Err(format!(
            "for {user} sshd takes '{keyword} {found}' instead of '{value}': /etc/ssh/sshd_config must include \
             /etc/ssh/sshd_config.d/*.conf at its top, no Match block may set another value for {user}, and {user} must \
             be no member of the exempt group"
        ));
    }
    if recipe.demands_a_key() && !is("pubkeyauthentication", "yes") {
        return Err(
            "sshd accepts no keys ('PubkeyAuthentication no'): choose --mode password+code"
                .to_owned(),
        );
    }
    if user == "root" && !is("permitrootlogin", "yes") {
        return Err(
            "sshd does not let root type a code ('PermitRootLogin'): name a user that is to log in, with --user NAME; \
             see 'root over ssh' in the administrator's guide"
                .to_owned(),
        );
    }
    Ok(())
}

const SSHD: &str = "/usr/sbin/sshd";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Target;

    const TOLD: &str = "usepam yes\npubkeyauthentication yes\nkbdinteractiveauthentication yes\n\
        passwordauthentication no\npermitrootlogin without-password\n\
        authenticationmethods publickey,keyboard-interactive\n";

    #[test]
    fn lines_that_another_file_overrules_are_noticed() {
        let recipe = Recipe::new(Target::Sshd, None, None, false).unwrap();
        assert_eq!(judge(TOLD, &recipe, "alice"), Ok(()));
        for (part, other) in [
            ("usepam yes", "usepam no"),
            (
                "kbdinteractiveauthentication yes",
                "kbdinteractiveauthentication no",
            ),
            ("passwordauthentication no", "passwordauthentication yes"),
            ("publickey,keyboard-interactive", "publickey"),
            ("authenticationmethods publickey,keyboard-interactive\n", ""),
            ("pubkeyauthentication yes", "pubkeyauthentication no"),
        ] {
            assert!(
                judge(&TOLD.replace(part, other), &recipe, "alice").is_err(),
                "{other}"
            );
        }
        assert!(judge(TOLD, &recipe, "root").is_err());
        let lets_root = TOLD.replace("without-password", "yes");
        assert_eq!(judge(&lets_root, &recipe, "root"), Ok(()));
    }
}
