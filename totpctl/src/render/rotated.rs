//! Prints the result of `rotate`: what was sealed anew, what is left, and the next step.

use common::wire::protocol::{RotateReply, SealedUnder};
use common::wire::text::printable;
use serde::Serialize;

use super::Render;

/// The result of `rotate`.
#[derive(Debug, Serialize)]
pub(crate) struct Rotated {
    tag: String,
    resealed: u64,
    failed: u64,
    left: Vec<SealedUnder>,
}

impl Rotated {
    /// From the last reply; `None` if it is not the last.
    pub(crate) fn of(reply: RotateReply) -> Option<Self> {
        let left = reply.sealed?.into_iter().filter(|under| !under.default);
        Some(Self {
            tag: reply.tag,
            resealed: reply.resealed,
            failed: reply.failed,
            left: left.collect(),
        })
    }

    /// Whether nothing is left under another tag.
    pub(crate) fn is_whole(&self) -> bool {
        self.left.iter().all(|under| needed(under) == 0)
    }

    fn next_step(&self) -> String {
        let former: Vec<String> = self
            .left
            .iter()
            .map(|under| printable(&under.tag))
            .collect();
        match (self.is_whole(), former.as_slice()) {
            (true, []) => String::new(),
            (true, former) => format!(
                "next: take {} out of the secrets file, and restart the daemon, which then erases the former seals from \
                 the disk: systemctl restart provisiond\n",
                former.join(" and ")
            ),
            (false, _) if self.failed > 0 => {
                "next: the log names the users (event=not_resealed): put a missing secret or a good copy of the store back, \
                 or 'totpctl forget' them; then run the rotation again\n"
                    .to_owned()
            }
            (false, _) => "next: run the rotation again\n".to_owned(),
        }
    }
}

/// Records and decoys that need the tag.
fn needed(under: &SealedUnder) -> u64 {
    under.records.saturating_add(under.decoys)
}

impl Render for Rotated {
    fn people(&self) -> String {
        let sealed = format!(
            "sealed anew under {}: {}\n",
            printable(&self.tag),
            self.resealed
        );
        let left = self.left.iter().map(|under| {
            let tag = printable(&under.tag);
            format!("left under {tag}: {}\n", needed(under))
        });
        sealed + &left.collect::<String>() + &self.next_step()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rotated(failed: u64, records: u64) -> Rotated {
        let under = |tag: &str, default, records| SealedUnder {
            tag: tag.into(),
            default,
            known: true,
            records,
            macs: records,
            device_keys: records,
            code_keys: records,
            tombstones: 0,
            decoys: 0,
        };
        let reply = RotateReply {
            tag: "2".into(),
            total: 500,
            looked: 500,
            resealed: 499,
            failed,
            sealed: Some(vec![under("1", false, records), under("2", true, 499)]),
        };
        Rotated::of(reply).unwrap()
    }

    #[test]
    fn the_result_says_what_is_left_and_the_next_step() {
        let done = rotated(0, 0);
        assert!(done.is_whole());
        assert_eq!(
            done.people(),
            "sealed anew under 2: 499\n\
             left under 1: 0\n\
             next: take 1 out of the secrets file, and restart the daemon, which then erases the former seals from the disk: \
             systemctl restart provisiond\n"
        );
        for (failed, next) in [
            (1, "next: the log names"),
            (0, "next: run the rotation again"),
        ] {
            let left = rotated(failed, 1);
            assert!(!left.is_whole());
            let text = left.people();
            assert!(text.contains("left under 1: 1\n"), "{text}");
            assert!(text.contains(next), "{text}");
        }
    }
}
