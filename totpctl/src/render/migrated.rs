//! Prints the result of `migrate`, as provisiond reports it, with the next step.

use common::wire::text::printable;
use serde::{Deserialize, Serialize};

use super::Render;

/// What provisiond has moved.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Migrated {
    from: String,
    to: String,
    /// `None`: an earlier run has moved them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    users: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
}

impl Render for Migrated {
    fn people(&self) -> String {
        let (from, to) = (printable(&self.from), printable(&self.to));
        let moved = match (self.users, &self.digest) {
            (Some(users), Some(digest)) => {
                let users = match users {
                    1 => "1 user".to_owned(),
                    users => format!("{users} users"),
                };
                format!("moved: {users}, the same records in both (SHA-256 {digest})")
            }
            _ => "an earlier run has moved them".to_owned(),
        };
        format!("from: {from}\nto: {to}\n{moved}\n{NEXT}\n")
    }
}

const NEXT: &str = "Next: put the settings of the new store in the place of the old ones, and start the daemon. No daemon \
                    serves the old store any more";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_says_what_has_moved_and_what_to_do_next() {
        for (told, part) in [
            (r#","users":2,"digest":"ab""#, "2 users, the same records"),
            (r#","users":1,"digest":"ab""#, "1 user, the same"),
            ("", "an earlier run"),
        ] {
            let told = format!(r#"{{"from":"a\u001b","to":"b"{told}}}"#);
            let moved: Migrated = serde_json::from_str(&told).unwrap();
            let text = moved.people();
            assert!(text.starts_with("from: a\\u{1b}\nto: b\n"), "{text}");
            assert!(
                text.contains(part) && text.contains("start the daemon"),
                "{text}"
            );
        }
    }
}
