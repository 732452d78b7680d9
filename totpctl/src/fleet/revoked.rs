//! One more entry in the list `revoked` of a verifier's settings. Every other line stays as it is,
//! comments as well, and the result counts only if it parses to the same fleet with that entry.

use common::config::fleet::{Fleet, Revoked, revocation};

/// Why the settings are left alone.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotRevoked {
    /// What was typed.
    #[error("{0}")]
    NoName(String),
    /// The settings are in error.
    #[error("the settings are in error, and are left as they are: {0}")]
    Bad(String),
    /// No verifier's.
    #[error(
        "the settings have no section 'fleet' below 'provisiond', so this daemon serves no host: run this on a verifier"
    )]
    NoFleet,
    /// Written in a way that this program does not change.
    #[error(
        "this program cannot change the settings as they are written: put '{0}' into 'revoked' below 'fleet' by hand, and run 'totpctl reload'"
    )]
    ByHand(String),
}

/// The settings with one more entry. `None`: it is there already.
pub(crate) fn with_one_more(text: &str, entry: &str) -> Result<Option<String>, NotRevoked> {
    let revoked = revocation(entry).map_err(NotRevoked::NoName)?;
    let mut wanted = fleet(text)?;
    if wanted.revoked.contains(&revoked) {
        return Ok(None);
    }
    // A fingerprint may look like a number.
    let entry = match &revoked {
        Revoked::Host(name) => name.clone(),
        Revoked::Certificate(_) => format!("'{entry}'"),
    };
    wanted.revoked.insert(0, revoked);
    let edited = edited(text, &entry).filter(|edited| fleet(edited).as_ref() == Ok(&wanted));
    edited.map(Some).ok_or(NotRevoked::ByHand(entry))
}

fn fleet(text: &str) -> Result<Fleet, NotRevoked> {
    let fleet = Fleet::in_settings(text).map_err(|why| NotRevoked::Bad(why.to_string()))?;
    fleet.ok_or(NotRevoked::NoFleet)
}

/// The entry at the head of the list, or in a list of its own as the first line of the section.
fn edited(text: &str, entry: &str) -> Option<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let head = lines.iter().position(|line| line.trim() == "fleet:")?;
    let inside = head.checked_add(1)?;
    let mut keys = lines.iter().skip(inside);
    let indent = indent(keys.find(|line| !says_nothing(line))?).to_owned();
    let key = format!("{indent}revoked:");
    let Some(place) = lines.iter().position(|line| line.starts_with(&key)) else {
        lines.insert(inside, format!("{key} [{entry}]"));
        return Some(joined(&lines));
    };
    let list = lines.get(place)?.strip_prefix(&key)?.trim().to_owned();
    match list.strip_prefix('[') {
        Some("]") => *lines.get_mut(place)? = format!("{key} [{entry}]"),
        Some(rest) => *lines.get_mut(place)? = format!("{key} [{entry}, {rest}"),
        None if !list.is_empty() => *lines.get_mut(place)? = format!("{key} [{entry}, {list}]"),
        None => {
            let next = place.checked_add(1)?;
            let item = format!("{}- {entry}", self::indent(lines.get(next)?));
            lines.insert(next, item);
        }
    }
    Some(joined(&lines))
}

fn joined(lines: &[String]) -> String {
    lines.join("\n") + "\n"
}

fn says_nothing(line: &str) -> bool {
    let line = line.trim_start();
    line.is_empty() || line.starts_with('#')
}

fn indent(line: &str) -> &str {
    let text = line.trim_start();
    line.strip_suffix(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECTION: &str = "\
# Ours.
provisiond:
  fleet:
    # The files.
    ca: /c
    cert: /h
    key: /k
    hosts:
      web: {names: ['*.web'], services: [sshd], users-groups: [staff]}
";

    #[test]
    fn an_entry_is_added_however_the_list_is_written_and_nothing_else_changes() {
        let fingerprint = "ab".repeat(32);
        for (before, after) in [
            ("", "    revoked: [gone.web]\n"),
            ("    revoked: []\n", "    revoked: [gone.web]\n"),
            ("    revoked: a.web\n", "    revoked: [gone.web, a.web]\n"),
            (
                "    revoked: [a.web, b.web]\n",
                "    revoked: [gone.web, a.web, b.web]\n",
            ),
            (
                "    revoked:\n      - a.web\n",
                "    revoked:\n      - gone.web\n      - a.web\n",
            ),
        ] {
            let is_new = before.is_empty();
            let edited = with_one_more(&format!("{SECTION}{before}"), "gone.web")
                .unwrap()
                .unwrap();
            let expected = match is_new {
                true => SECTION.replacen("fleet:\n", &format!("fleet:\n{after}"), 1),
                false => format!("{SECTION}{after}"),
            };
            assert_eq!(edited, expected);
            assert_eq!(with_one_more(&edited, "GONE.web"), Ok(None));
            assert!(
                with_one_more(&edited, &fingerprint)
                    .unwrap()
                    .unwrap()
                    .contains(&fingerprint)
            );
        }
    }

    #[test]
    fn settings_that_cannot_be_changed_with_certainty_are_left_to_the_administrator() {
        let flow = "provisiond: {fleet: {ca: /c, cert: /h, key: /k, hosts: {web: {names: [a], services: [sshd], users-groups: [b]}}}}\n";
        let cut = format!("{SECTION}    revoked: [a.web,\n      b.web]\n");
        assert!(
            with_one_more(&cut, "gone").unwrap().is_some(),
            "a list of two lines"
        );
        let by_hand = Err(NotRevoked::ByHand("gone".to_owned()));
        assert_eq!(with_one_more(flow, "gone"), by_hand);
        let other = format!("other:\n  fleet:\n    a: b\n{SECTION}");
        assert_eq!(with_one_more(&other, "gone"), by_hand);
        assert_eq!(
            with_one_more("provisiond:\n", "gone"),
            Err(NotRevoked::NoFleet)
        );
        assert!(matches!(
            with_one_more(SECTION, "a b"),
            Err(NotRevoked::NoName(_))
        ));
        assert!(matches!(
            with_one_more("a: [", "gone"),
            Err(NotRevoked::Bad(_))
        ));
    }
}
