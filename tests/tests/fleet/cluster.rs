//! Three members of etcd on loopback addresses.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tests::world;

/// The cluster. Its members end with it.
pub(crate) struct Cluster(Vec<Member>);

struct Member {
    endpoint: String,
    arguments: Vec<String>,
    process: Option<Child>,
}

impl Cluster {
    pub(crate) fn start() -> Self {
        let peers = [(); 3].map(|()| format!("http://127.0.0.1:{}", port()));
        let folder = world::scratch_folder("etcd");
        let all: Vec<String> = peers
            .iter()
            .enumerate()
            .map(|(n, peer)| format!("m{n}={peer}"))
            .collect();
        let member = |(number, peer): (usize, &String)| {
            Member::new(number, peer, &all.join(","), folder.clone())
        };
        let mut cluster = Self(peers.iter().enumerate().map(member).collect());
        cluster.start_again(&[0, 1, 2]);
        cluster
    }

    pub(crate) fn endpoints(&self) -> Vec<String> {
        self.0
            .iter()
            .map(|member| format!("'{}'", member.endpoint))
            .collect()
    }

    pub(crate) fn kill(&mut self, number: usize) {
        if let Some(mut process) = self.0[number].process.take() {
            process.kill().expect("a member that runs");
            process.wait().expect("its end");
        }
    }

    /// Starts members together: one alone would wait for the others.
    pub(crate) fn start_again(&mut self, numbers: &[usize]) {
        for number in numbers {
            self.0[*number].start();
        }
        for number in numbers {
            self.0[*number].wait();
        }
    }

    pub(crate) fn leader(&self) -> usize {
        let is_leader = |member: &Member| {
            let mut etcdctl = Command::new("etcdctl");
            etcdctl.args([
                "--endpoints",
                &member.endpoint,
                "endpoint",
                "status",
                "--write-out=fields",
            ]);
            let told = String::from_utf8(etcdctl.output().expect("etcdctl").stdout).expect("text");
            let field = |name: &str| {
                let line = told.lines().find(|line| line.starts_with(name));
                line.and_then(|line| line.rsplit(' ').next())
                    .map(str::to_owned)
            };
            field("\"MemberID\"").is_some() && field("\"MemberID\"") == field("\"Leader\"")
        };
        self.0.iter().position(is_leader).expect("a leader")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        (0..self.0.len()).for_each(|number| self.kill(number));
    }
}

impl Member {
    fn new(number: usize, peer: &str, all: &str, folder: PathBuf) -> Self {
        let endpoint = format!("http://127.0.0.1:{}", port());
        let data = folder.join(format!("m{number}"));
        let arguments = [
            ("name", format!("m{number}")),
            ("data-dir", data.display().to_string()),
            ("listen-client-urls", endpoint.clone()),
            ("advertise-client-urls", endpoint.clone()),
            ("listen-peer-urls", peer.to_owned()),
            ("initial-advertise-peer-urls", peer.to_owned()),
            ("initial-cluster", all.to_owned()),
            ("heartbeat-interval", "50".to_owned()),
            ("election-timeout", "500".to_owned()),
        ];
        Self {
            endpoint,
            arguments: arguments
                .map(|(name, value)| format!("--{name}={value}"))
                .into(),
            process: None,
        }
    }

    fn start(&mut self) {
        let mut etcd = Command::new("etcd");
        etcd.args(&self.arguments)
            .stdin(Stdio::null())
            .stderr(Stdio::piped());
        self.process = Some(etcd.spawn().expect("etcd (packaging/need etcd-test)"));
    }

    /// Waits until it serves. Its further lines are read and dropped.
    fn wait(&mut self) {
        let process = self.process.as_mut().expect("a process");
        let told = process.stderr.take().expect("its standard error");
        let mut lines = BufReader::new(told).lines().map_while(Result::ok);
        let serves = |line: String| line.contains("ready to serve client requests");
        assert!(
            lines.any(serves),
            "etcd does not serve: {:?}",
            self.arguments
        );
        std::thread::spawn(move || lines.for_each(drop));
    }
}

fn port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address").port()
}
