//! Prometheus: the metrics on their way from the daemon by way of node_exporter, and the alerts.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;

use serde_json::Value;
use tests::daemon::Daemon;
use tests::guide::GUIDE;
use tests::libpam::PamCode;
use tests::lines::PATIENCE;
use tests::stack::Stack;
use tests::{program, world};

use crate::scene::{Running, free_port};

#[test]
fn after_one_login_prometheus_knows_of_one_accepted_code() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    let login = Stack::of(&daemon, "watched", "retry=1").login("alice", &[&alice.code()]);
    assert_eq!(login.code, PamCode::SUCCESS);
    let folder = world::scratch_folder("collector");
    write_metrics(&daemon, &folder);
    let exporter = Exporter::start(&folder);
    let prometheus = Prometheus::start(&exporter);
    prometheus.answers(r#"pam_totp_verdicts_total{verdict="accepted"}"#, "1");
    prometheus.answers("pam_totp_verdict_duration_seconds_count", "1");
    prometheus.answers("pam_totp_up", "1");
    prometheus.answers(r#"pam_totp_build_info{store="sled"}"#, "1");
    prometheus.evaluates_the_rules();
}

#[test]
fn promtool_finds_nothing_to_say_of_the_metrics() {
    let _place = world::enter();
    let mut daemon = Daemon::start();
    daemon.enroll("alice");
    let metrics = |daemon: &Daemon| daemon.totpctl(&["metrics"], "").stdout;
    let of_a_daemon = metrics(&daemon);
    daemon.kill();
    for text in [of_a_daemon, metrics(&daemon)] {
        let text = String::from_utf8(text).expect("text");
        assert!(text.contains("\npam_totp_up "), "{text}");
        let mut promtool = Command::new("promtool");
        promtool.args(["check", "metrics"]);
        let said = program::with_input(promtool, &text);
        let is_clean = said.stdout.is_empty() && said.stderr.is_empty();
        assert!(said.status.success() && is_clean, "{said:?}");
    }
}

#[test]
fn every_alert_fires_where_it_must_and_stays_quiet_where_it_must() {
    let said = test_rules(&shipped(RULES));
    assert!(said.status.success(), "{said:?}");
}

#[test]
fn an_alert_that_always_fires_or_never_does_is_noticed() {
    let rules = fs::read_to_string(shipped(RULES)).expect("the rules");
    let alerts = alerts(&rules);
    assert!(alerts.len() > 10, "{alerts:?}");
    for planted in ["vector(1)", "vector(1) > 1"] {
        let folder = world::scratch_folder("rules");
        let path = folder.join(RULES);
        fs::write(&path, with_expressions(&rules, planted)).expect("the rules");
        let said = format!("{:?}", test_rules(&path));
        let unnoticed: Vec<_> = alerts
            .iter()
            .filter(|alert| !said.contains(&format!("alertname: {alert}, ")))
            .collect();
        assert!(unnoticed.is_empty(), "{planted}: {unnoticed:?}: {said}");
    }
}

#[test]
fn the_guide_says_of_every_alert_what_to_do() {
    let rules = fs::read_to_string(shipped(RULES)).expect("the rules");
    let rows: BTreeSet<&str> = GUIDE
        .lines()
        .filter_map(|line| line.strip_prefix("| `PamTotp")?.split('`').next())
        .collect();
    let named: BTreeSet<&str> = alerts(&rules)
        .into_iter()
        .filter_map(|alert| alert.strip_prefix("PamTotp"))
        .collect();
    assert_eq!(rows, named);
}

/// As `pam-totp-metrics.service` does.
fn write_metrics(daemon: &Daemon, folder: &Path) {
    let file = folder.join("pam-totp.prom");
    let file = file.to_str().expect("a path in UTF-8");
    let written = daemon.totpctl(&["metrics", "--textfile", file], "");
    assert!(written.status.success(), "{written:?}");
}

/// Debian's node_exporter, under an account of its own.
struct Exporter {
    _program: Running,
    port: u16,
}

impl Exporter {
    fn start(folder: &Path) -> Self {
        let port = free_port();
        let mut exporter = Command::new("setpriv");
        exporter.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"]);
        exporter.args(["prometheus-node-exporter", "--collector.disable-defaults"]);
        exporter.arg("--collector.textfile");
        exporter.arg(format!(
            "--collector.textfile.directory={}",
            folder.display()
        ));
        exporter.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        Self {
            _program: Running::listening(exporter, port),
            port,
        }
    }
}

/// Debian's Prometheus, with the alerts that the packages bring.
struct Prometheus {
    _program: Running,
    port: u16,
}

impl Prometheus {
    fn start(exporter: &Exporter) -> Self {
        let (port, folder) = (free_port(), world::scratch_folder("prometheus"));
        let config = folder.join("prometheus.yml");
        let text = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
             rule_files: [{}]\n\
             scrape_configs:\n\
             - {{job_name: node, static_configs: [{{targets: ['127.0.0.1:{}']}}]}}\n",
            shipped(RULES).display(),
            exporter.port
        );
        fs::write(&config, text).expect("its configuration");
        let mut prometheus = Command::new("prometheus");
        prometheus.arg(format!("--config.file={}", config.display()));
        prometheus.arg(format!(
            "--storage.tsdb.path={}",
            folder.join("data").display()
        ));
        prometheus.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        Self {
            _program: Running::listening(prometheus, port),
            port,
        }
    }

    /// Asks until the answer is this value, and nothing else.
    fn answers(&self, query: &str, value: &str) {
        self.until("query", query, |told| {
            let results = told["data"]["result"].as_array();
            results.is_some_and(|results| {
                results.len() == 1 && results.iter().all(|result| result["value"][1] == value)
            })
        });
    }

    fn evaluates_the_rules(&self) {
        let all = alerts(&fs::read_to_string(shipped(RULES)).expect("the rules")).len();
        self.until("rules", "", |told| {
            let rules = told["data"]["groups"][0]["rules"].as_array();
            rules.is_some_and(|rules| {
                rules.len() == all && rules.iter().all(|rule| rule["health"] == "ok")
            })
        });
    }

    /// Asks this part of its interface again and again.
    fn until(&self, part: &str, query: &str, is_so: impl Fn(&Value) -> bool) {
        let begun = Instant::now();
        loop {
            let mut curl = Command::new("curl");
            curl.args(["--silent", "--get", "--data-urlencode"]);
            curl.arg(format!("query={query}"));
            curl.arg(format!("http://127.0.0.1:{}/api/v1/{part}", self.port));
            let told = curl.output().expect("curl").stdout;
            let told = serde_json::from_slice(&told).unwrap_or(Value::Null);
            if is_so(&told) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{part} {query}: {told}");
        }
    }
}

/// Plays the tests of the alerts on these rules.
fn test_rules(rules: &Path) -> Output {
    let folder = world::scratch_folder("rules");
    fs::copy(rules, folder.join(RULES)).expect("the rules");
    fs::copy(shipped(TESTS), folder.join(TESTS)).expect("their tests");
    let mut promtool = Command::new("promtool");
    promtool.args(["test", "rules", TESTS]).current_dir(folder);
    promtool.output().expect("promtool")
}

fn alerts(rules: &str) -> Vec<&str> {
    let lines = rules.lines();
    lines
        .filter_map(|line| line.trim_start().strip_prefix("- alert: "))
        .collect()
}

/// The rules with another expression in every alert, which fires at once.
fn with_expressions(rules: &str, expression: &str) -> String {
    let mut text = String::new();
    let mut is_expression = false;
    for line in rules.lines() {
        let (key, _) = line.trim_start().split_once(':').unwrap_or_default();
        match key {
            "expr" => {
                is_expression = true;
                text += &format!("        expr: {expression}\n");
            }
            "for" | "labels" => is_expression = false,
            _ => {}
        }
        if !is_expression && key != "for" {
            text += &format!("{line}\n");
        }
    }
    text
}

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../packaging/prometheus")
        .join(name)
}

const RULES: &str = "pam-totp.rules.yml";
const TESTS: &str = "pam-totp.rules.test.yml";
