//! Options of google-authenticator and pam_oath that this module refuses, each with a sentence that
//! names the setting to use instead.

/// Why an option of another module is refused, for an administrator that moves an old line to this
/// module.
pub(super) fn why_not(name: &str) -> Option<&'static str> {
    Some(match name {
        "secret" => {
            "is not supported: provisiond alone keeps the keys, and 'totpctl enroll' creates them"
        }
        "usersfile" => {
            "is not supported: provisiond's store holds the users, and 'totpctl enroll' adds them"
        }
        "user" => {
            "is not supported: the module reads no key files, and provisiond runs as a user of its own"
        }
        "no_strict_owner" | "allowed_perm" | "allow_readonly" => {
            "is not supported: the module uses no files of the user; provisiond's store holds everything"
        }
        "window" => {
            "is not supported: set 'policy.window' in provisiond's settings, in steps on each side of now \
             (google-authenticator counts all steps, so its 3 is 1 here; pam_oath counts each side, too)"
        }
        "alwaysok" => "is never supported: it would let every user in without a code",
        "failmode" => {
            "is never supported: every login is denied while provisiond cannot be reached"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use crate::options::Options;

    fn refused(argument: &str) -> String {
        Options::parse(&[argument.as_bytes()])
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn an_option_whose_setting_is_elsewhere_is_refused_with_the_place() {
        for (argument, place) in [
            ("secret=/var/keys/${USER}", "'totpctl enroll'"),
            ("usersfile=/etc/users.oath", "'totpctl enroll'"),
            ("user=root", "a user of its own"),
            ("no_strict_owner", "provisiond's store"),
            ("allowed_perm=0640", "provisiond's store"),
            ("allow_readonly", "provisiond's store"),
            ("window=20", "'policy.window'"),
        ] {
            let said = refused(argument);
            let (name, value) = argument.split_once('=').unwrap_or((argument, "no value"));
            assert!(
                said.contains(&format!("'{name}' ")) && said.contains(place),
                "{said}"
            );
            assert!(!said.contains(value), "{said}");
        }
    }

    #[test]
    fn a_window_says_how_each_of_the_others_counts() {
        let said = refused("window=3");
        assert!(
            said.contains("google-authenticator counts all steps")
                && said.contains("pam_oath counts each side")
        );
        assert!(said.contains("in steps on each side of now"), "{said}");
    }

    #[test]
    fn nothing_opens_for_everybody() {
        for argument in [
            "alwaysok",
            "alwaysok=no",
            "failmode=open",
            "failmode=safe",
            "failmode",
        ] {
            assert!(
                refused(argument).contains("is never supported"),
                "{argument}"
            );
        }
    }
}
