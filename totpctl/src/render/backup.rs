//! Prints the results of `backup` and `restore`, as provisiond reports them, with the next step.

use std::path::Path;

use common::wire::text::printable;
use serde::{Deserialize, Serialize};

use super::Render;
use crate::table::second;

/// What provisiond did with a backup.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Backup {
    /// provisiond sees a pipe.
    #[serde(default)]
    file: String,
    done: Done,
    program: String,
    host: String,
    made: u64,
    generation: u64,
    users: u64,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Done {
    Made,
    Checked,
    Restored,
}

impl Backup {
    /// The same, of that file.
    pub(crate) fn of(self, file: &Path) -> Self {
        Self {
            file: file.to_string_lossy().into_owned(),
            ..self
        }
    }
}

impl Render for Backup {
    fn people(&self) -> String {
        let users = match self.users {
            1 => "1 user".to_owned(),
            users => format!("{users} users"),
        };
        let (file, host) = (printable(&self.file), printable(&self.host));
        let end = match self.done {
            Done::Made => MADE,
            Done::Checked => CHECKED,
            Done::Restored => RESTORED,
        };
        format!(
            "{file}: {users} of {host} at {}; {end}\n",
            second(self.made)
        )
    }
}

const MADE: &str = "keys in it are sealed under the application secrets, which are not in it: keep a copy of the secrets file \
                    elsewhere. Names of users and times of logins can be read in it";
const CHECKED: &str = "it is whole, and the application secrets of this machine open every record";
const RESTORED: &str = "restored. Next: start the daemon. Codes from before are refused, and recovery codes, bypasses, tickets and \
                        HOTP devices wait until they are renewed; users that it lacks are refused until \
                        'totpctl store accept-loss'";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_result_says_what_is_in_the_backup_and_what_to_do_next() {
        for (done, part) in [
            ("made", "keep a copy of the secrets file"),
            ("checked", "it is whole"),
            ("restored", "Next: start the daemon"),
        ] {
            let told = format!(
                r#"{{"done":"{done}","program":"0.1.0","host":"h\u001b","made":1796025493,"generation":7,"users":1}}"#
            );
            let backup: Backup = serde_json::from_str(&told).unwrap();
            let text = backup.of(Path::new("/b")).people();
            assert!(text.starts_with("/b: 1 user of h\\u{1b} at "), "{text}");
            assert!(text.contains(part), "{text}");
        }
    }
}
