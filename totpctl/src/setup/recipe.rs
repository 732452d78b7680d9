//! The recipes: the lines that `setup` writes for each service and mode, for PAM and for sshd.
//!
//! Pure. The guide explains each recipe; here they stand on Debian's own `common-auth`.

use crate::cli::{Mode, Target};
use crate::exit::Failure;

/// A service, and what its logins are to take.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    pub(crate) target: Target,
    mode: Mode,
    exempt_group: Option<String>,
    nullok: bool,
}

/// Where the service file names our lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Place {
    /// After `@include common-auth`, which ends the login at a wrong password.
    AfterCommonAuth,
    /// In its place.
    InsteadOfCommonAuth,
}

impl Recipe {
    /// Checks that the options fit together.
    pub(crate) fn new(
        target: Target,
        mode: Option<Mode>,
        exempt_group: Option<String>,
        nullok: bool,
    ) -> Result<Self, Failure> {
        let usual = match target {
            Target::Sshd => Mode::Key,
            Target::Sudo | Target::Su | Target::Login => Mode::Password,
        };
        let mode = mode.unwrap_or(usual);
        if mode != Mode::Password && target != Target::Sshd {
            return Err(Failure::Usage(KEYS_ARE_FOR_SSHD));
        }
        if exempt_group
            .as_deref()
            .is_some_and(|name| !is_group_name(name))
        {
            return Err(Failure::Usage(BAD_GROUP));
        }
        Ok(Self {
            target,
            mode,
            exempt_group,
            nullok,
        })
    }

    /// The name of the file in `/etc/pam.d` that holds our lines.
    pub(crate) fn include(&self) -> String {
        format!("pam-totp-{}", self.target)
    }

    /// Where the service file names it.
    pub(crate) fn place(&self) -> Place {
        match self.mode {
            Mode::Password => Place::AfterCommonAuth,
            Mode::Key | Mode::KeyOrPassword => Place::InsteadOfCommonAuth,
        }
    }

    /// Whether the recipe asks `pam_unix.so` itself, and so knows no directory.
    pub(crate) fn knows_local_passwords_only(&self) -> bool {
        self.mode == Mode::KeyOrPassword
    }

    /// Whether a user needs an SSH key.
    pub(crate) fn demands_a_key(&self) -> bool {
        self.mode == Mode::Key
    }

    /// Our lines of PAM. The last one lets in a user that the daemon exempts or `nullok` lets by:
    /// the module then says PAM_IGNORE, and a stack needs one success.
    pub(crate) fn pam(&self) -> String {
        let mut lines = self.head("#");
        if self.mode == Mode::KeyOrPassword {
            lines.push_str(&format!(
                "auth [success=1 default=ignore] pam_exec.so quiet {KEY_SCRIPT_PATH}\n\
                 auth requisite pam_unix.so\n"
            ));
        }
        if let Some(group) = self.exempt_group.as_deref().filter(|_| !self.is_sshd()) {
            lines.push_str(&format!(
                "auth [success=1 default=ignore] pam_succeed_if.so quiet user ingroup {group}\n"
            ));
        }
        let options = if self.nullok { " nullok" } else { "" };
        lines.push_str(&format!(
            "auth required pam_totp.so{options}\nauth required pam_permit.so\n"
        ));
        lines
    }

    /// Our lines of sshd. Of a keyword that appears twice sshd takes the first.
    pub(crate) fn sshd(&self) -> Option<String> {
        if !self.is_sshd() {
            return None;
        }
        let mut lines = self.head("#");
        lines.push_str(&format!(
            "UsePAM yes\nKbdInteractiveAuthentication yes\nPasswordAuthentication no\n\
             AuthenticationMethods {}\nLoginGraceTime 180\n",
            self.methods()
        ));
        if let Some(group) = &self.exempt_group {
            // Without the daemon, too: a break-glass login.
            lines.push_str(&format!(
                "Match Group {group}\n    AuthenticationMethods publickey\n"
            ));
        }
        Some(lines)
    }

    /// sshd's `AuthenticationMethods`.
    pub(crate) fn methods(&self) -> &'static str {
        match self.mode {
            Mode::Key => "publickey,keyboard-interactive",
            Mode::Password => "keyboard-interactive",
            Mode::KeyOrPassword => "publickey,keyboard-interactive keyboard-interactive",
        }
    }

    /// The script that tells whether sshd has accepted a key.
    pub(crate) fn script(&self) -> Option<&'static str> {
        (self.mode == Mode::KeyOrPassword).then_some(KEY_SCRIPT)
    }

    fn is_sshd(&self) -> bool {
        self.target == Target::Sshd
    }

    fn head(&self, comment: &str) -> String {
        format!(
            "{comment} Written by 'totpctl setup {0}'; 'totpctl setup {0} --undo' takes it back.\n",
            self.target
        )
    }
}

/// A group's name that PAM and sshd read as one word and as no pattern.
fn is_group_name(name: &str) -> bool {
    let ordinary = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    (1..=32).contains(&name.len()) && name.chars().all(ordinary) && !name.starts_with('-')
}

/// Where the script goes.
pub(crate) const KEY_SCRIPT_PATH: &str = "/etc/pam-totp/a-key-was-shown";
const KEY_SCRIPT: &str = "\
#!/bin/sh
# Succeeds if sshd has accepted a key for this login.
case $SSH_AUTH_INFO_0 in publickey\\ *) exit 0 ;; esac
exit 1
";
const KEYS_ARE_FOR_SSHD: &str =
    "only sshd knows keys: for this service leave --mode out, it takes the password and a code";
const BAD_GROUP: &str =
    "--exempt-group takes the name of one group: letters, digits, '.', '_' and '-'";

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(target: Target, mode: Option<Mode>, group: Option<&str>, nullok: bool) -> Recipe {
        Recipe::new(target, mode, group.map(str::to_owned), nullok).unwrap()
    }

    fn lines(text: &str) -> Vec<&str> {
        text.lines().filter(|line| !line.starts_with('#')).collect()
    }

    #[test]
    fn sshd_takes_a_key_and_a_code_by_default_and_the_others_a_password_and_a_code() {
        let sshd = recipe(Target::Sshd, None, None, false);
        assert_eq!(sshd.methods(), "publickey,keyboard-interactive");
        assert_eq!(sshd.place(), Place::InsteadOfCommonAuth);
        for target in [Target::Sudo, Target::Su, Target::Login] {
            let other = recipe(target, None, None, false);
            assert_eq!(other.place(), Place::AfterCommonAuth);
            assert_eq!(other.sshd(), None);
            assert_eq!(
                lines(&other.pam()),
                ["auth required pam_totp.so", "auth required pam_permit.so"]
            );
        }
    }

    #[test]
    fn a_key_is_asked_for_by_sshd_alone() {
        for mode in [Mode::Key, Mode::KeyOrPassword] {
            assert!(Recipe::new(Target::Sudo, Some(mode), None, false).is_err());
        }
    }

    #[test]
    fn an_exempt_group_logs_in_by_key_at_sshd_and_skips_the_module_elsewhere() {
        let sshd = recipe(Target::Sshd, None, Some("machines"), false);
        assert!(
            sshd.sshd()
                .unwrap()
                .ends_with("Match Group machines\n    AuthenticationMethods publickey\n")
        );
        assert!(!sshd.pam().contains("machines"));
        let sudo = recipe(Target::Sudo, None, Some("machines"), true);
        assert_eq!(
            lines(&sudo.pam()),
            [
                "auth [success=1 default=ignore] pam_succeed_if.so quiet user ingroup machines",
                "auth required pam_totp.so nullok",
                "auth required pam_permit.so",
            ]
        );
    }

    #[test]
    fn a_group_is_one_word_and_no_pattern() {
        for name in [
            "",
            "a b",
            "*",
            "!admins",
            "a,b",
            "a\nPermitRootLogin yes",
            "-x",
            "a]",
        ] {
            let asked = Recipe::new(Target::Sshd, None, Some(name.to_owned()), false);
            assert!(asked.is_err(), "{name:?}");
        }
    }
}
