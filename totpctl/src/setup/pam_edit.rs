//! Puts one line into a PAM service file of Debian's shape, and takes it out again. A file of any
//! other shape is refused: its lines may let a login pass by ours.
//!
//! Pure: texts in, texts out.

use super::recipe::Place;

/// The text with the line `@include INCLUDE` beside or in place of `@include common-auth`.
///
/// # Errors
/// A sentence that says which line is not understood.
pub(crate) fn put_in(text: &str, include: &str, place: Place) -> Result<String, String> {
    let at = line_of_common_auth(text)?;
    let ours = format!("@include {include}\n");
    Ok(text
        .split_inclusive('\n')
        .enumerate()
        .map(|(number, line)| match place {
            _ if number != at => line.to_owned(),
            Place::InsteadOfCommonAuth => ours.clone(),
            Place::AfterCommonAuth => format!("{}\n{ours}", line.trim_end_matches('\n')),
        })
        .collect())
}

/// The text without our line, for a file that was changed since. `None`: it does not have the line
/// exactly once.
pub(crate) fn take_out(text: &str, include: &str, place: Place) -> Option<String> {
    let is_ours = |line: &&str| included(line) == Some(include);
    if text.lines().filter(is_ours).count() != 1 {
        return None;
    }
    let former = match place {
        Place::AfterCommonAuth => "",
        Place::InsteadOfCommonAuth => "@include common-auth\n",
    };
    let lines = text.split_inclusive('\n');
    Some(
        lines
            .map(|line| if is_ours(&line) { former } else { line })
            .collect(),
    )
}

/// Whether every authentication of the file is that of another service: `auth include su`.
pub(crate) fn only_includes(text: &str, service: &str) -> bool {
    let lines: Vec<Vec<&str>> = text.lines().filter_map(auth_words).collect();
    let common = text.lines().filter_map(included);
    let common = common.filter(|file| *file == COMMON_AUTH).count();
    common == 0
        && matches!(&lines[..], [line] if matches!(line[..], ["auth", "include", name] if name == service))
}

/// Whether a line names the module.
pub(crate) fn names_the_module(text: &str) -> bool {
    let mut lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default());
    lines.any(|line| line.contains("pam_totp") || line.contains("pam-totp-"))
}

/// Checks `common-auth`: a wrong password ends the login there, and a right one does not end it
/// with success before our line. That is how pam-auth-update writes it.
///
/// # Errors
/// A sentence that says what is not so.
pub(crate) fn check_common_auth(text: &str, unix_only: bool) -> Result<(), String> {
    whole_lines(text)?;
    if text.lines().any(|line| included(line).is_some()) {
        return Err("it includes another file".to_owned());
    }
    let lines: Vec<Vec<&str>> = text.lines().filter_map(auth_words).collect();
    let deny = ["auth", "requisite", "pam_deny.so"];
    let end = lines.iter().position(|line| *line == deny);
    let end = end.ok_or("it has no line 'auth requisite pam_deny.so'")?;
    for (number, line) in lines.iter().enumerate().take(end) {
        let jump = end.saturating_sub(number);
        let is_usual = matches!(line[..], ["auth", control, module, ..]
            if control == format!("[success={jump} default=ignore]")
                && (!unix_only || module == "pam_unix.so"));
        if !is_usual {
            return Err(format!("its line '{}' is not understood", line.join(" ")));
        }
    }
    let mut rest = lines.iter().skip(end.saturating_add(1));
    if end == 0 || rest.next().map(Vec::as_slice) != Some(&["auth", "required", "pam_permit.so"]) {
        return Err("the lines around 'auth requisite pam_deny.so' are not understood".to_owned());
    }
    match rest.find(|line| {
        !matches!(
            line[..],
            ["auth", "optional" | "required" | "requisite", ..]
        )
    }) {
        Some(line) => Err(format!("its line '{}' is not understood", line.join(" "))),
        None => Ok(()),
    }
}

/// The number of the line `@include common-auth`, in a file whose other lines let no login by.
fn line_of_common_auth(text: &str) -> Result<usize, String> {
    whole_lines(text)?;
    if let Some(line) = text.lines().find(|line| !is_harmless(line)) {
        return Err(format!("its line '{}' is not understood", line.trim()));
    }
    let is_it = |line: &str| included(line) == Some(COMMON_AUTH);
    let mut found = text.lines().enumerate().filter(|(_, line)| is_it(line));
    match (found.next(), found.next()) {
        (Some((number, _)), None) => Ok(number),
        (None, _) => Err("it has no line '@include common-auth'".to_owned()),
        _ => Err("it has the line '@include common-auth' more than once".to_owned()),
    }
}

/// Refuses lines that go on in the next one, which could hide what they say.
fn whole_lines(text: &str) -> Result<(), String> {
    let goes_on = text.lines().find(|line| line.trim_end().ends_with('\\'));
    goes_on.map_or(Ok(()), |line| {
        Err(format!(
            "its line '{}' goes on in the next one",
            line.trim()
        ))
    })
}

/// Whether a line cannot end the login with success, except that of root in `su`.
fn is_harmless(line: &str) -> bool {
    if let Some(file) = included(line) {
        return OTHER_FILES.contains(&file) || file == COMMON_AUTH;
    }
    let Some(words) = auth_words(line) else {
        return true;
    };
    match words[..] {
        ["auth", "sufficient", "pam_rootok.so"] => true,
        ["auth", "optional" | "required" | "requisite", module, ..] => HARMLESS.contains(&module),
        _ => false,
    }
}

/// The file of an `@include` line.
fn included(line: &str) -> Option<&str> {
    let mut words = line.split('#').next()?.split_whitespace();
    let is_include = words.next()?.eq_ignore_ascii_case("@include");
    words.next().filter(|_| is_include)
}

/// The words of a line about authentication; brackets are one word.
fn auth_words(line: &str) -> Option<Vec<&str>> {
    let line = line.split('#').next()?.trim();
    let (kind, rest) = line.split_once(char::is_whitespace)?;
    if !kind.trim_start_matches('-').eq_ignore_ascii_case("auth") {
        return None;
    }
    let rest = rest.trim_start();
    let (control, rest) = match rest.find(']').filter(|_| rest.starts_with('[')) {
        Some(end) => rest.split_at(end.saturating_add(1)),
        None => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
    };
    let words = [kind, control].into_iter().chain(rest.split_whitespace());
    Some(words.collect())
}

const COMMON_AUTH: &str = "common-auth";
/// What Debian's service files include for the other management groups.
const OTHER_FILES: [&str; 4] = [
    "common-account",
    "common-password",
    "common-session",
    "common-session-noninteractive",
];
/// Modules that end no login with success where they are optional, required or requisite.
const HARMLESS: [&str; 12] = [
    "pam_access.so",
    "pam_cap.so",
    "pam_env.so",
    "pam_faildelay.so",
    "pam_group.so",
    "pam_issue.so",
    "pam_keyinit.so",
    "pam_nologin.so",
    "pam_securetty.so",
    "pam_shells.so",
    "pam_time.so",
    "pam_wheel.so",
];

#[cfg(test)]
mod tests {
    use super::*;

    const SUDO: &str = "#%PAM-1.0\nsession required pam_limits.so\n\n@include common-auth\n@include common-account\n";
    const COMMON: &str = "# a comment\n\
        auth\t[success=1 default=ignore]\tpam_unix.so nullok\n\
        auth\trequisite\t\t\tpam_deny.so\n\
        auth\trequired\t\t\tpam_permit.so\n\
        auth\toptional\t\t\tpam_cap.so \n";

    #[test]
    fn the_line_stands_after_the_password_or_in_its_place_and_comes_out_again() {
        for (place, lines) in [
            (
                Place::AfterCommonAuth,
                "@include common-auth\n@include pam-totp-sudo\n",
            ),
            (Place::InsteadOfCommonAuth, "@include pam-totp-sudo\n"),
        ] {
            let changed = put_in(SUDO, "pam-totp-sudo", place).unwrap();
            assert_eq!(changed, SUDO.replace("@include common-auth\n", lines));
            let back = take_out(&changed, "pam-totp-sudo", place);
            assert_eq!(back.as_deref(), Some(SUDO));
            assert_eq!(take_out(SUDO, "pam-totp-sudo", place), None);
        }
        let bare = put_in("@include common-auth", "x", Place::AfterCommonAuth);
        assert_eq!(bare.unwrap(), "@include common-auth\n@include x\n");
    }

    #[test]
    fn a_file_with_a_line_that_may_let_a_login_by_is_refused() {
        for line in [
            "auth sufficient pam_unix.so",
            "auth [success=done default=ignore] pam_succeed_if.so uid = 0",
            "auth sufficient pam_wheel.so trust",
            "auth include system-auth",
            "auth substack password-auth",
            "-auth sufficient pam_fprintd.so",
            "AUTH sufficient pam_permit.so",
            "auth required \\",
            "@include other-file",
            "@include common-auth",
        ] {
            let refused = put_in(&format!("{line}\n{SUDO}"), "x", Place::AfterCommonAuth);
            assert!(refused.is_err(), "{line}");
        }
        assert!(put_in("", "x", Place::AfterCommonAuth).is_err());
    }

    #[test]
    fn what_root_may_do_without_a_password_stays() {
        let su = "auth       sufficient pam_rootok.so\n@include common-auth\n";
        assert!(put_in(su, "pam-totp-su", Place::AfterCommonAuth).is_ok());
    }

    #[test]
    fn common_auth_must_end_a_login_at_a_wrong_password_and_only_then() {
        assert_eq!(check_common_auth(COMMON, true), Ok(()));
        let sssd = COMMON.replace(
            "auth\t[success=1 default=ignore]\tpam_unix.so nullok\n",
            "auth [success=2 default=ignore] pam_unix.so\nauth [success=1 default=ignore] pam_sss.so use_first_pass\n",
        );
        assert_eq!(check_common_auth(&sssd, false), Ok(()));
        assert!(check_common_auth(&sssd, true).is_err(), "a directory");
        for (part, other) in [
            ("success=1", "success=2"),
            ("success=1", "success=done"),
            ("default=ignore", "default=bad"),
            ("requisite\t\t\tpam_deny.so", "required pam_deny.so"),
            ("required\t\t\tpam_permit.so", "sufficient pam_permit.so"),
            ("optional", "sufficient"),
            ("optional\t", "[default=done]\t"),
            ("# a comment", "@include elsewhere"),
            ("# a comment", "auth sufficient pam_permit.so"),
            ("# a comment", "auth \\"),
        ] {
            let text = COMMON.replace(part, other);
            assert!(check_common_auth(&text, false).is_err(), "{other}");
        }
        assert!(check_common_auth("", false).is_err());
    }

    #[test]
    fn a_sister_that_includes_the_service_needs_no_line_of_its_own() {
        assert!(only_includes(
            "auth\t\tinclude\t\tsu\nsession include su\n",
            "su"
        ));
        for text in [
            "auth include sudo\n",
            "auth include su\n@include common-auth\n",
            "",
        ] {
            assert!(!only_includes(text, "su"), "{text}");
        }
    }
}
