//! Prints the state of the daemon (`status`), and of its clock (`clock-accept`, in the same words).

use common::wire::protocol::{
    ClockAcceptReply, ClockState, CopyReply, OfflineState, StatusReply, UpstreamServer,
};
use common::wire::text::printable;

use super::{Render, sealed};
use crate::table::{minute, second};

impl Render for StatusReply {
    fn people(&self) -> String {
        let accept = match self.acceptable {
            Some(true) => "; if the clock is right: totpctl clock-accept",
            Some(false) | None => "",
        };
        if let Some(upstream) = &self.upstream {
            return relay(self, upstream);
        }
        let lines = [
            ("running since", minute(self.started)),
            ("store", printable(&self.store)),
            ("users", users(self)),
            ("generation", self.generation.to_string()),
            ("second copy", copy(&self.store, self.copy)),
            ("default tag", printable(&self.default_tag)),
            ("secrets", secrets(self)),
            ("sealed under", sealed_under(self)),
            ("connections", self.connections.to_string()),
            ("audit lines lost", lost(self.audit_lost, LOG_IS_STUCK)),
            ("events lost", lost(self.events_lost, DISK_IS_FULL)),
            ("clock", clock(self.clock, self.quarantine_until) + accept),
        ];
        titled(self, &lines)
    }
}

/// A line for each name and value, below the daemon's version.
fn titled(status: &StatusReply, lines: &[(&str, String)]) -> String {
    let title = format!("provisiond {}\n", printable(&status.version));
    lines.iter().fold(title, |text, (name, value)| {
        text + &format!("{name:<18}{value}\n")
    })
}

/// The state of a relay, which keeps nothing: its verifiers.
fn relay(status: &StatusReply, upstream: &[UpstreamServer]) -> String {
    let servers: Vec<_> = upstream.iter().map(server).collect();
    let clock = match status.clock {
        ClockState::Unsynchronised => "not synchronised; the verifiers' clocks count",
        _ => "the verifiers' clocks count",
    };
    let lines = [
        ("running since", minute(status.started)),
        ("relay to", servers.join("\n                  ")),
        ("when cut off", when_cut_off(status.offline)),
        ("connections", status.connections.to_string()),
        ("audit lines lost", lost(status.audit_lost, LOG_IS_STUCK)),
        ("clock", clock.to_owned()),
    ];
    titled(status, &lines)
}

/// What happens while no verifier can be reached.
fn when_cut_off(offline: Option<OfflineState>) -> String {
    match offline {
        Some(OfflineState {
            two_codes: true,
            refused: true,
            ..
        }) => NO_COPIES.to_owned(),
        Some(OfflineState {
            two_codes: true,
            copies,
            ..
        }) => format!("two codes open a login; offline copies of {copies} users"),
        _ => "every login with a code is refused".to_owned(),
    }
}

fn server(server: &UpstreamServer) -> String {
    let name = printable(&server.server);
    let since = server.since.map(second).unwrap_or_default();
    match server.reached {
        None => format!("{name}: not tried yet"),
        Some(true) => format!("{name}: reached at {since}"),
        Some(false) => {
            let reason = server.reason.as_deref().unwrap_or_default();
            format!("{name}: not reached since {since}: {}", printable(reason))
        }
    }
}

/// What is sealed under each tag, a line each.
fn sealed_under(status: &StatusReply) -> String {
    match &status.sealed {
        Some(sealed) => sealed::lines(sealed).join("\n                  "),
        None => "not counted; restart the daemon to have it counted".to_owned(),
    }
}

fn secrets(status: &StatusReply) -> String {
    let wrong: Vec<_> = status
        .wrong_secrets
        .iter()
        .map(|tag| printable(tag))
        .collect();
    match wrong.as_slice() {
        [] => "ok".to_owned(),
        wrong => format!(
            "another application secret than before under {}; users with keys under it are refused: put the former one back, and a new one beside it under a tag of its own",
            wrong.join(", ")
        ),
    }
}

/// A number of lines that were lost, and the next step if there are any.
fn lost(lines: u64, next_step: &str) -> String {
    match lines {
        0 => "0".to_owned(),
        lines => format!("{lines} since the start: {next_step}"),
    }
}

/// The state of the store's second copy of every record.
fn copy(store: &str, copy: Option<CopyReply>) -> String {
    let Some(copy) = copy else {
        return match store {
            "etcd" => "on every member of etcd".to_owned(),
            _ => "an older daemon does not tell".to_owned(),
        };
    };
    let state = match (copy.whole, copy.seen_whole) {
        (None, _) => "not read back yet".to_owned(),
        (Some(true), Some(seen)) => format!("whole at {}", minute(seen)),
        (Some(true), None) => "whole".to_owned(),
        (Some(false), _) => {
            "damaged, and not made anew: 'journalctl -t provisiond' says why".to_owned()
        }
    };
    let snapshot = copy
        .snapshot
        .map(|made| format!("; snapshot of {}", minute(made)));
    let counted = |number: u64, what: &str| match number {
        0 => String::new(),
        number => format!("; {what} since the start: {number}"),
    };
    state
        + &snapshot.unwrap_or_default()
        + &counted(copy.healed, "healed")
        + &counted(copy.not_healed, "healing failed")
}

fn users(status: &StatusReply) -> String {
    let users = status.users;
    let of = status
        .users_known
        .filter(|known| *known > users)
        .map(|known| format!(" of {known}"))
        .unwrap_or_default();
    match status.incomplete {
        true => format!(
            "{users}{of}; users may be missing, and no user is enrolled: put a good copy of the store back, or run \
             'totpctl store accept-loss'"
        ),
        false => users.to_string(),
    }
}

/// The state of the machine's clock, in the same words in `status` and in `clock-accept`.
fn clock(state: ClockState, quarantine_until: Option<u64>) -> String {
    match state {
        ClockState::Ok => "ok".to_owned(),
        ClockState::Unsynchronised => {
            "not synchronised; the daemon does not correct for devices' clocks".to_owned()
        }
        ClockState::BeforeBuild => {
            "before the daemon was built; every login is refused: set the clock".to_owned()
        }
        ClockState::Quarantine => match quarantine_until {
            Some(time) => format!(
                "in quarantine until {}; codes shown from then on are accepted",
                second(time)
            ),
            None => "in quarantine; codes from before are refused".to_owned(),
        },
    }
}

impl Render for ClockAcceptReply {
    fn people(&self) -> String {
        let done = if self.accepted {
            "the daemon accepts the clock"
        } else {
            "there is nothing to accept in the clock"
        };
        // An older daemon does not tell the state.
        match self.clock {
            Some(state) => format!("{done}: it is {}\n", clock(state, self.quarantine_until)),
            None => format!("{done}; to see the state of the clock: totpctl status\n"),
        }
    }
}

const NO_COPIES: &str = "every login with a code is refused, because a verifier gives this host no offline copies: add 'offline-copy: true' \
                         to the rule of this host there, or remove 'policy.when-cut-off' here";
const LOG_IS_STUCK: &str =
    "check that the journal takes lines ('systemctl status systemd-journald')";
const DISK_IS_FULL: &str = "check that the disk of the store has room";

#[cfg(test)]
mod tests {
    use common::wire::protocol::SealedUnder;

    use super::*;

    fn under(tag: &str, records: u64) -> SealedUnder {
        SealedUnder {
            tag: tag.into(),
            default: tag != "1",
            known: true,
            records,
            macs: records,
            device_keys: records,
            code_keys: records,
            tombstones: 0,
            decoys: 0,
        }
    }

    fn a_status() -> StatusReply {
        StatusReply {
            upstream: None,
            fleet: None,
            offline: None,
            version: "0.1.0".into(),
            started: 1_795_468_680,
            store: "sled".into(),
            users: 12,
            generation: 345,
            incomplete: false,
            users_known: None,
            default_tag: "2026-11-23".into(),
            wrong_secrets: Vec::new(),
            sealed: Some(vec![under("2026-11-23", 11), under("1", 1)]),
            connections: 1,
            audit_lost: 0,
            events_lost: 0,
            clock: ClockState::Quarantine,
            quarantine_until: Some(1_795_468_740),
            acceptable: Some(true),
            copy: Some(CopyReply {
                whole: Some(true),
                seen_whole: Some(1_795_468_700),
                snapshot: None,
                healed: 0,
                not_healed: 0,
            }),
        }
    }

    #[test]
    fn the_daemons_state_is_a_list_of_lines() {
        let status = a_status();
        let (started, until) = (minute(1_795_468_680), second(1_795_468_740));
        let seen = minute(1_795_468_700);
        assert_eq!(
            status.people(),
            format!(
                "\
provisiond 0.1.0
running since     {started}
store             sled
users             12
generation        345
second copy       whole at {seen}
default tag       2026-11-23
secrets           ok
sealed under      2026-11-23 (default): 11 records
                  1: 1 record; to seal them under the default tag: totpctl rotate
connections       1
audit lines lost  0
events lost       0
clock             in quarantine until {until}; codes shown from then on are accepted; if the clock is right: totpctl clock-accept
"
            )
        );
        for (known, told) in [
            (Some(100), "12 of 100; users may"),
            (Some(12), "12; users may"),
        ] {
            let status = StatusReply {
                incomplete: true,
                users_known: known,
                ..status.clone()
            };
            let text = status.people();
            assert!(
                text.contains(&format!("users             {told} be missing")),
                "{text}"
            );
        }
    }

    #[test]
    fn lines_that_were_lost_have_a_next_step_and_none_have_none() {
        assert_eq!(lost(0, LOG_IS_STUCK), "0");
        assert_eq!(
            lost(7, DISK_IS_FULL),
            "7 since the start: check that the disk of the store has room"
        );
    }

    #[test]
    fn the_second_copy_is_told_with_its_age_and_what_was_healed() {
        let (seen, made) = (1_795_468_700, 1_795_400_000);
        let whole = CopyReply {
            whole: Some(true),
            seen_whole: Some(seen),
            snapshot: Some(made),
            healed: 2,
            not_healed: 1,
        };
        let (seen, made) = (minute(seen), minute(made));
        assert_eq!(
            copy("sled", Some(whole)),
            format!(
                "whole at {seen}; snapshot of {made}; healed since the start: 2; healing failed since the start: 1"
            )
        );
        let hurt = CopyReply {
            whole: Some(false),
            ..CopyReply::default()
        };
        assert!(copy("sled", Some(hurt)).starts_with("damaged, and not made anew"));
        assert_eq!(
            copy("sled", Some(CopyReply::default())),
            "not read back yet"
        );
        assert_eq!(copy("sled", None), "an older daemon does not tell");
        assert_eq!(copy("etcd", None), "on every member of etcd");
    }

    #[test]
    fn what_clock_accept_says_of_the_clock_is_what_status_says() {
        let until = Some(1_795_468_740);
        for (state, quarantine_until) in [
            (ClockState::Ok, None),
            (ClockState::Unsynchronised, None),
            (ClockState::BeforeBuild, None),
            (ClockState::Quarantine, until),
        ] {
            for (accepted, done) in [
                (true, "the daemon accepts the clock: it is "),
                (false, "there is nothing to accept in the clock: it is "),
            ] {
                let reply = ClockAcceptReply {
                    accepted,
                    clock: Some(state),
                    quarantine_until,
                };
                let shown = clock(state, quarantine_until);
                assert_eq!(reply.people(), format!("{done}{shown}\n"));
            }
        }
        let older = ClockAcceptReply {
            accepted: false,
            clock: None,
            quarantine_until: None,
        };
        assert!(older.people().ends_with("totpctl status\n"));
    }
}
