//! Prints the result of `metrics` in Prometheus' text format: the name, type, help and labels of
//! every metric.
//!
//! Labels are words of our own, the version and the administrator's tags of secrets: never a user, a
//! device or an address.

use std::fmt::{Display, Write as _};

use common::wire::protocol::{
    ByWord, ClockState, CopyReply, MetricsReply, SealedUnder, Skews, StatusReply, StoreMetrics,
    Times,
};
use serde::Serialize;

use super::Render;

/// What the daemon tells, and when it was asked.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    /// In Unix seconds.
    pub(crate) read: u64,
    pub(crate) status: StatusReply,
    pub(crate) metrics: MetricsReply,
}

impl Render for Measured {
    fn people(&self) -> String {
        let Self {
            read,
            status,
            metrics,
        } = self;
        let mut page = Page::default();
        page.of_the_daemon(true, *read);
        page.of_the_program(status);
        page.of_logins(metrics);
        page.of_callers(status, metrics);
        page.of_the_log(status);
        page.of_clocks(status, metrics);
        page.of_the_store(status, &metrics.store);
        page.0
    }
}

/// The metrics of a daemon that does not answer.
pub(crate) fn down(read: u64) -> String {
    let mut page = Page::default();
    page.of_the_daemon(false, read);
    page.0
}

/// The lines so far.
#[derive(Default)]
struct Page(String);

impl Page {
    fn of_the_daemon(&mut self, answers: bool, read: u64) {
        self.gauge("up", "Whether the daemon answers.", u64::from(answers));
        self.gauge(
            "metrics_timestamp_seconds",
            "When these metrics were read.",
            read,
        );
    }

    fn of_the_program(&mut self, status: &StatusReply) {
        self.head(
            "build_info",
            "gauge",
            "The version of the daemon, and the kind of its store.",
        );
        let labels = [("version", &*status.version), ("store", &*status.store)];
        self.line("build_info", &labels, 1);
        self.gauge(
            "start_time_seconds",
            "When the daemon started.",
            status.started,
        );
    }

    fn of_logins(&mut self, metrics: &MetricsReply) {
        self.counters(
            "verdicts_total",
            "Attempts to log in by their verdict; it does not tell which names are enrolled.",
            ("verdict", &metrics.verdicts),
        );
        self.histogram(
            "verdict_duration_seconds",
            "How long attempts took, from the arrival of the call to the reply.",
            &metrics.verdict_times,
        );
        self.counters(
            "pools_exhausted_total",
            "Attempts that took the last guess of a pool, for known and unknown sources.",
            ("pool", &metrics.pools_exhausted),
        );
    }

    fn of_callers(&mut self, status: &StatusReply, metrics: &MetricsReply) {
        self.gauge("connections", "Connections open now.", status.connections);
        self.counter(
            "connections_refused_total",
            "Connections for which there was no place.",
            metrics.connections_refused,
        );
        self.counters(
            "calls_not_permitted_total",
            "Calls that the role of their caller does not permit.",
            ("role", &metrics.not_permitted),
        );
    }

    fn of_the_log(&mut self, status: &StatusReply) {
        self.counter(
            "audit_lines_lost_total",
            "Lines that the system's log did not take.",
            status.audit_lost,
        );
        self.counter(
            "events_lost_total",
            "Events that could not be kept for 'totpctl log'.",
            status.events_lost,
        );
    }

    fn of_clocks(&mut self, status: &StatusReply, metrics: &MetricsReply) {
        self.head(
            "clock_state",
            "gauge",
            "What the daemon thinks of the machine's clock: 1 for its state.",
        );
        for (state, word) in CLOCK_STATES {
            let is_it = u64::from(status.clock == state);
            self.line("clock_state", &[("state", word)], is_it);
        }
        self.gauge(
            "quarantine_end_timestamp_seconds",
            "When the quarantine ends; 0 without one.",
            status.quarantine_until.unwrap_or_default(),
        );
        let by_direction = |of: fn(&Skews) -> u64| -> ByWord {
            let skews = metrics.skews.iter();
            skews
                .map(|(word, skews)| (word.clone(), of(skews)))
                .collect()
        };
        self.counters(
            "device_clock_skew_measurements_total",
            "Wrong codes that were right at another time: the clock of a device is off.",
            ("direction", &by_direction(|skews| skews.count)),
        );
        self.counters(
            "device_clock_skew_seconds_total",
            "The seconds by which those clocks were off, together.",
            ("direction", &by_direction(|skews| skews.seconds)),
        );
    }

    fn of_the_store(&mut self, status: &StatusReply, store: &StoreMetrics) {
        self.gauge("users", "Users with a record.", status.users);
        self.gauge(
            "store_incomplete",
            "Whether users may be missing from the store.",
            u64::from(status.incomplete),
        );
        self.of_secrets(status);
        self.of_commits(store);
        // An older daemon does not say.
        if let Some(copy) = &status.copy {
            self.of_the_copy(copy);
        }
    }

    fn of_secrets(&mut self, status: &StatusReply) {
        self.gauge(
            "wrong_secrets",
            "Tags whose application secret has another value than before.",
            status.wrong_secrets.len(),
        );
        // An older daemon does not count them.
        let Some(sealed) = &status.sealed else {
            return;
        };
        let by_tag = |of: fn(&SealedUnder) -> u64| -> ByWord {
            let tags = sealed.iter();
            tags.map(|under| (under.tag.clone(), of(under))).collect()
        };
        self.by_word(
            ("sealed_records", "gauge"),
            "Records in which anything is sealed under each tag of an application secret.",
            ("tag", &by_tag(|under| under.records)),
        );
        self.by_word(
            ("secret_known", "gauge"),
            "Whether the daemon has the application secret of the tag.",
            ("tag", &by_tag(|under| under.known.into())),
        );
    }

    fn of_commits(&mut self, store: &StoreMetrics) {
        self.counter(
            "store_commits_total",
            "Groups of updates that became durable together.",
            store.commits,
        );
        self.counter(
            "store_commit_records_total",
            "Records in these groups.",
            store.commit_records,
        );
        self.by_word(
            ("store_bytes", "gauge"),
            "What each part of the store takes on the disk.",
            ("part", &store.bytes),
        );
    }

    fn of_the_copy(&mut self, copy: &CopyReply) {
        self.gauge(
            "store_snapshot_timestamp_seconds",
            "When the snapshot in the copy was written; 0 if there is none.",
            copy.snapshot.unwrap_or_default(),
        );
        self.gauge(
            "store_copy_whole_timestamp_seconds",
            "When the copy was last known to be whole; 0 if never.",
            copy.seen_whole.unwrap_or_default(),
        );
        self.counter(
            "store_healed_total",
            "How often a part of the store was made anew from the other one.",
            copy.healed,
        );
        self.counter(
            "store_not_healed_total",
            "How often that failed.",
            copy.not_healed,
        );
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, "gauge", help);
        self.line(name, &[], value);
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, "counter", help);
        self.line(name, &[], value);
    }

    fn counters(&mut self, name: &str, help: &str, counts: (&str, &ByWord)) {
        self.by_word((name, "counter"), help, counts);
    }

    fn by_word(
        &mut self,
        (name, kind): (&str, &str),
        help: &str,
        (label, counts): (&str, &ByWord),
    ) {
        self.head(name, kind, help);
        for (word, count) in counts {
            self.line(name, &[(label, word)], count);
        }
    }

    /// Each bucket holds those before it, too, and the last one all.
    fn histogram(&mut self, name: &str, help: &str, times: &Times) {
        self.head(name, "histogram", help);
        let bucket = format!("{name}_bucket");
        let mut all = 0u64;
        let mut bounds = times.bounds.iter();
        for count in &times.counts {
            all = all.saturating_add(*count);
            let bound = bounds.next().map(|bound| seconds(*bound).to_string());
            let bound = bound.as_deref().unwrap_or("+Inf");
            self.line(&bucket, &[("le", bound)], all);
        }
        self.line(&format!("{name}_sum"), &[], seconds(times.sum));
        self.line(&format!("{name}_count"), &[], all);
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {PREFIX}{name} {help}");
        let _ = writeln!(self.0, "# TYPE {PREFIX}{name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<_> = labels
            .iter()
            .map(|(label, value)| format!("{label}=\"{}\"", escaped(value)))
            .collect();
        let labels = match labels.as_slice() {
            [] => String::new(),
            labels => format!("{{{}}}", labels.join(",")),
        };
        let _ = writeln!(self.0, "{PREFIX}{name}{labels} {value}");
    }
}

fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

/// The value of a label, as the format wants it.
fn escaped(value: &str) -> String {
    value
        .replace('\\', r"\\")
        .replace('"', "\\\"")
        .replace('\n', r"\n")
}

const PREFIX: &str = "pam_totp_";

const CLOCK_STATES: [(ClockState, &str); 4] = [
    (ClockState::BeforeBuild, "before_build"),
    (ClockState::Quarantine, "quarantine"),
    (ClockState::Unsynchronised, "unsynchronised"),
    (ClockState::Ok, "ok"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn under_1() -> SealedUnder {
        SealedUnder {
            tag: "1".into(),
            default: false,
            known: true,
            records: 7,
            macs: 7,
            device_keys: 7,
            code_keys: 7,
            tombstones: 0,
            decoys: 0,
        }
    }

    fn words(pairs: &[(&str, u64)]) -> ByWord {
        pairs
            .iter()
            .map(|(word, count)| ((*word).to_owned(), *count))
            .collect()
    }

    fn measured() -> Measured {
        let skews = [(
            "behind".to_owned(),
            Skews {
                count: 2,
                seconds: 90,
            },
        )];
        Measured {
            read: 1_795_468_690,
            status: StatusReply {
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
                wrong_secrets: vec!["1".into()],
                sealed: Some(vec![under_1()]),
                connections: 1,
                audit_lost: 3,
                events_lost: 0,
                clock: ClockState::Ok,
                quarantine_until: None,
                acceptable: Some(false),
                copy: Some(CopyReply {
                    whole: Some(true),
                    seen_whole: Some(1_795_468_681),
                    snapshot: None,
                    healed: 1,
                    not_healed: 0,
                }),
            },
            metrics: MetricsReply {
                verdicts: words(&[("accepted", 5), ("rejected", 1)]),
                verdict_times: Times {
                    bounds: vec![250, 1_000, 2_500_000],
                    counts: vec![1, 3, 0, 2],
                    sum: 6_000_750,
                },
                pools_exhausted: words(&[("known", 0), ("unknown", 4)]),
                not_permitted: words(&[("none", 7)]),
                connections_refused: 8,
                skews: skews.into(),
                store: StoreMetrics {
                    commits: 9,
                    commit_records: 10,
                    bytes: words(&[("copy", 65_536), ("store", 524_288)]),
                },
            },
        }
    }

    #[test]
    fn the_metrics_are_in_prometheus_text_format() {
        let text = measured().people();
        for lines in [
            "# HELP pam_totp_up Whether the daemon answers.\n# TYPE pam_totp_up gauge\npam_totp_up 1\n",
            "\npam_totp_metrics_timestamp_seconds 1795468690\n",
            "\npam_totp_build_info{version=\"0.1.0\",store=\"sled\"} 1\n",
            "\npam_totp_verdicts_total{verdict=\"accepted\"} 5\n",
            "\npam_totp_clock_state{state=\"quarantine\"} 0\npam_totp_clock_state{state=\"unsynchronised\"} 0\n\
             pam_totp_clock_state{state=\"ok\"} 1\n",
            "\npam_totp_device_clock_skew_seconds_total{direction=\"behind\"} 90\n",
            "\npam_totp_wrong_secrets 1\n",
            "\npam_totp_sealed_records{tag=\"1\"} 7\n",
            "\npam_totp_secret_known{tag=\"1\"} 1\n",
            "\npam_totp_store_snapshot_timestamp_seconds 0\n",
            "\npam_totp_store_copy_whole_timestamp_seconds 1795468681\n",
            "\npam_totp_store_healed_total 1\n",
        ] {
            assert!(text.contains(lines), "{lines}\nis not in\n{text}");
        }
        let heads = text.lines().filter(|line| line.starts_with("# TYPE "));
        assert_eq!(heads.count(), 28);
    }

    #[test]
    fn the_buckets_of_the_histogram_add_up() {
        let text = measured().people();
        let histogram = "\
# TYPE pam_totp_verdict_duration_seconds histogram
pam_totp_verdict_duration_seconds_bucket{le=\"0.00025\"} 1
pam_totp_verdict_duration_seconds_bucket{le=\"0.001\"} 4
pam_totp_verdict_duration_seconds_bucket{le=\"2.5\"} 4
pam_totp_verdict_duration_seconds_bucket{le=\"+Inf\"} 6
pam_totp_verdict_duration_seconds_sum 6.00075
pam_totp_verdict_duration_seconds_count 6
";
        assert!(text.contains(histogram), "{text}");
    }

    #[test]
    fn a_daemon_that_does_not_answer_is_told_and_nothing_else() {
        let text = down(5);
        let values: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            values,
            ["pam_totp_up 0", "pam_totp_metrics_timestamp_seconds 5"]
        );
    }

    #[test]
    fn a_label_cannot_end_its_line() {
        assert_eq!(escaped("a\"} 1\nb\\"), "a\\\"} 1\\nb\\\\");
    }
}
