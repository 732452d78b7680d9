//! A cluster of real etcd for the tests, on loopback addresses: members that are killed, paused and
//! started again, with or without TLS and roles.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use common::config::tls_files::TlsFiles;
use common::config::{EtcdSettings, Trust};
use etcd_client::{Client, Error};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

use super::certificates::Certificates;
use crate::store::etcd::nodes::options;
use crate::store::etcd::wire::Wire;

/// The cluster.
pub(in crate::store) struct Cluster {
    folder: tempfile::TempDir,
    members: Vec<Member>,
    certificates: Option<Certificates>,
    wire: Wire,
}

struct Member {
    arguments: Vec<String>,
    endpoint: String,
    data: PathBuf,
    process: Option<Process>,
}

/// The process of a member, and a shell that kills it when this test process ends, however it ends.
struct Process {
    shell: Child,
    _holds: ChildStdin,
    pid: Pid,
}

/// One member without TLS, which all tests share that need no more.
pub(in crate::store) fn shared() -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(|| Cluster::of(1))
}

impl Cluster {
    /// A cluster without TLS.
    pub(in crate::store) fn of(members: usize) -> Self {
        Self::new(members, None)
    }

    /// A cluster of one that talks TLS with that certificate, and wants one of its clients.
    pub(in crate::store) fn with_tls(certificate: &str) -> Self {
        let certificates = Certificates::new();
        let arguments = certificates.of_the_server(certificate);
        Self::new(1, Some((certificates, arguments)))
    }

    fn new(count: usize, tls: Option<(Certificates, Vec<String>)>) -> Self {
        let (certificates, tls) = tls.unzip();
        let tls = tls.unwrap_or_default();
        let folder = tempfile::tempdir().unwrap();
        let scheme = if certificates.is_some() {
            "https"
        } else {
            "http"
        };
        let peers: Vec<String> = (0..count)
            .map(|_| format!("http://127.0.0.1:{}", port()))
            .collect();
        let named = |(index, peer): (usize, &String)| format!("m{index}={peer}");
        let all: Vec<String> = peers.iter().enumerate().map(named).collect();
        let member = |(index, peer): (usize, &String)| {
            let endpoint = format!("{scheme}://127.0.0.1:{}", port());
            let data = folder.path().join(format!("m{index}"));
            let mut arguments: Vec<String> = [
                ("name", format!("m{index}")),
                ("data-dir", data.display().to_string()),
                ("listen-client-urls", endpoint.clone()),
                ("advertise-client-urls", endpoint.clone()),
                ("listen-peer-urls", peer.clone()),
                ("initial-advertise-peer-urls", peer.clone()),
                ("initial-cluster", all.join(",")),
                ("heartbeat-interval", "50".to_owned()),
                ("election-timeout", "500".to_owned()),
            ]
            .map(|(name, value)| format!("--{name}={value}"))
            .into();
            arguments.extend(tls.clone());
            Member {
                arguments,
                endpoint,
                data,
                process: None,
            }
        };
        let members = peers.iter().enumerate().map(member).collect();
        let mut cluster = Self {
            folder,
            members,
            certificates,
            wire: Wire::start().unwrap(),
        };
        cluster.start_together(&(0..count).collect::<Vec<_>>());
        cluster
    }

    /// The settings of a store with that prefix, whose files on this machine are in that folder.
    pub(in crate::store) fn settings(&self, prefix: &str, folder: &Path) -> EtcdSettings {
        let client = self.certificates.as_ref().map(|all| all.client("verifier"));
        EtcdSettings {
            endpoints: self
                .members
                .iter()
                .map(|member| member.endpoint.clone())
                .collect(),
            prefix: prefix.to_owned(),
            tls: client,
            timeout: Duration::from_secs(5),
            path: folder.join("store"),
        }
    }

    /// The certificate of another client, which was made when the cluster was.
    pub(in crate::store) fn client(&self, name: &str) -> TlsFiles {
        self.certificates.as_ref().unwrap().client(name)
    }

    /// Does something as the administrator of etcd.
    pub(in crate::store) fn administer<T, F>(&self, does: impl FnOnce(Client) -> F) -> T
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        self.ask(0, "root", does).unwrap()
    }

    /// The number of the leader.
    pub(in crate::store) fn leader(&self) -> usize {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            for number in 0..self.members.len() {
                let status = self.ask(
                    number,
                    "root",
                    |mut client| async move { client.status().await },
                );
                let is_leader = status.is_some_and(|status| {
                    let header = status.header().unwrap();
                    status.leader() == header.member_id()
                });
                if is_leader {
                    return number;
                }
            }
            assert!(Instant::now() < until, "no leader");
        }
    }

    /// The answer of a member to that client, if there is one.
    pub(super) fn ask<T, F>(
        &self,
        number: usize,
        client: &str,
        does: impl FnOnce(Client) -> F,
    ) -> Option<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let mut settings = self.settings("/p/", self.folder.path());
        settings.tls = self.certificates.as_ref().map(|all| all.client(client));
        let files = settings.tls.as_ref();
        let texts = files.map(|files| files.read(&trust()).unwrap());
        let endpoint = self.members[number].endpoint.clone();
        let options = options(&endpoint, &settings, texts.as_ref());
        let until = Instant::now() + Duration::from_secs(2);
        let connects = async move { Client::connect([endpoint], Some(options)).await };
        let client = self.wire.call(until, connects).unwrap();
        self.wire.call(until, does(client)).ok()
    }

    /// Kills a member at once.
    pub(in crate::store) fn kill(&mut self, number: usize) {
        self.members[number].process = None;
    }

    /// Starts a member that was killed, with its data.
    pub(in crate::store) fn start(&mut self, number: usize) {
        self.members[number].start();
        self.members[number].wait();
    }

    /// Starts members that do not serve without each other.
    pub(in crate::store) fn start_together(&mut self, numbers: &[usize]) {
        numbers
            .iter()
            .for_each(|number| self.members[*number].start());
        numbers
            .iter()
            .for_each(|number| self.members[*number].wait());
    }

    /// Stops a member in its tracks: it neither answers nor closes its connections.
    pub(in crate::store) fn pause(&self, number: usize) {
        self.members[number].signal(Signal::SIGSTOP);
    }

    /// Lets it go on.
    pub(in crate::store) fn go_on(&self, number: usize) {
        self.members[number].signal(Signal::SIGCONT);
    }

    /// Plays a command for etcd as its root, in a shell.
    pub(in crate::store) fn etcdctl(&self, command: &str) {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", command])
            .env("ETCDCTL_ENDPOINTS", &self.members[0].endpoint);
        if let Some(certificates) = &self.certificates {
            let TlsFiles { ca, cert, key } = certificates.client("root");
            let files = [
                ("ETCDCTL_CACERT", ca),
                ("ETCDCTL_CERT", cert),
                ("ETCDCTL_KEY", key),
            ];
            shell.envs(files);
        }
        let played = shell.output().unwrap();
        let told = String::from_utf8_lossy(&played.stderr);
        assert!(played.status.success(), "{command}: {told}");
    }

    /// Makes a new cluster of the only member, which does not run, from a snapshot.
    pub(in crate::store) fn restore(&self, snapshot: &Path) {
        let Member {
            arguments, data, ..
        } = &self.members[0];
        std::fs::remove_dir_all(data).unwrap();
        let of = |name: &str| {
            let name = format!("--{name}=");
            arguments
                .iter()
                .find(|argument| argument.starts_with(&name))
                .unwrap()
        };
        let names = [
            "name",
            "data-dir",
            "initial-cluster",
            "initial-advertise-peer-urls",
        ];
        let kept = names.map(|name| of(name).as_str()).join(" ");
        self.etcdctl(&format!(
            "etcdctl snapshot restore {} {kept} --initial-cluster-token=restored",
            snapshot.display()
        ));
    }

    /// Copies the data of a member that does not run.
    pub(in crate::store) fn copy_data(&self, number: usize, to: &Path) {
        assert!(self.members[number].process.is_none());
        copy(&self.members[number].data, to);
    }

    /// Puts data in the place of those of a member that does not run.
    pub(in crate::store) fn put_data_back(&self, number: usize, from: &Path) {
        assert!(self.members[number].process.is_none());
        std::fs::remove_dir_all(&self.members[number].data).unwrap();
        copy(from, &self.members[number].data);
    }
}

impl Member {
    fn start(&mut self) {
        let mut shell = Command::new("sh")
            .args([
                "-c",
                r#""$@" 2>&1 & echo "pid $!"; read -r _; kill -KILL $! 2>/dev/null"#,
                "sh",
                "etcd",
            ])
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let holds = shell.stdin.take().unwrap();
        self.process = Some(Process {
            shell,
            _holds: holds,
            pid: Pid::from_raw(0),
        });
    }

    /// Waits until the member serves. Its further lines are read and dropped, so that it is never
    /// held up.
    fn wait(&mut self) {
        let process = self.process.as_mut().unwrap();
        let mut lines = BufReader::new(process.shell.stdout.take().unwrap()).lines();
        let mut told = String::new();
        for line in lines.by_ref().map(Result::unwrap) {
            if let Some(pid) = line.strip_prefix("pid ") {
                process.pid = Pid::from_raw(pid.parse().unwrap());
            }
            if line.contains("ready to serve client requests") {
                std::thread::spawn(move || lines.for_each(drop));
                return;
            }
            told.push_str(&line);
            told.push('\n');
        }
        panic!("etcd (package etcd-server) does not start:\n{told}");
    }

    fn signal(&self, signal: Signal) {
        kill(self.process.as_ref().unwrap().pid, signal).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = kill(self.pid, Signal::SIGKILL);
        let _ = self._holds.write_all(b"\n");
        let _ = self.shell.wait();
    }
}

/// This process stands for the daemon, and for root.
pub(in crate::store) fn trust() -> Trust {
    Trust::new(geteuid().as_raw(), None)
}

fn port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(copied.unwrap().success());
}
