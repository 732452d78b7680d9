//! Three members of etcd: on loopback addresses, or each on a machine of a network, with TLS and a
//! small disk of its own.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tests::fleet::{Authority, Tls};
use tests::lines::PATIENCE;
use tests::network::Host;
use tests::world;

/// The cluster. Its members end with it.
pub(crate) struct Cluster(Vec<Member>);

struct Member {
    /// The machine, with the certificate of the member there.
    place: Option<(Host, Tls)>,
    endpoint: String,
    /// Its folder, in which its data are.
    folder: PathBuf,
    arguments: Vec<String>,
    process: Option<Child>,
}

impl Cluster {
    /// On loopback addresses, without TLS.
    pub(crate) fn start() -> Self {
        Self::of([(); 3].map(|()| Member::here()), SHORT_ELECTION)
    }

    /// On these machines. A follower that does not hear the leader for so many milliseconds believes
    /// that there is none.
    pub(crate) fn over(hosts: &[Host], authority: &Authority, election: u32) -> Self {
        let members = hosts.iter().map(|host| Member::there(host, authority));
        Self::of(members, election)
    }

    fn of(members: impl IntoIterator<Item = (Member, String)>, election: u32) -> Self {
        let (members, peers): (Vec<_>, Vec<_>) = members.into_iter().unzip();
        let names = peers.iter().enumerate();
        let all: Vec<String> = names.map(|(n, peer)| format!("m{n}={peer}")).collect();
        let mut cluster = Self(members);
        for (number, (member, peer)) in cluster.0.iter_mut().zip(&peers).enumerate() {
            let name = format!("m{number}");
            member.is_one_of((&name, peer), &all.join(","), election);
        }
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
            process.kill().expect("a member that runs, or has ended");
            process.wait().expect("its end");
        }
    }

    /// Stops it where it stands.
    pub(crate) fn pause(&self, number: usize) {
        self.0[number].signal(Signal::SIGSTOP);
    }

    /// Lets it go on.
    pub(crate) fn go_on(&self, number: usize) {
        self.0[number].signal(Signal::SIGCONT);
    }

    /// Fills its disk to the last byte.
    pub(crate) fn fill_the_disk(&self, number: usize) {
        let mut file = File::create(self.0[number].filler()).expect("a file");
        while file.write_all(&[1; 1 << 16]).is_ok() {}
    }

    /// Makes room again. A member that ends for want of it, perhaps only now, is started again.
    pub(crate) fn make_room(&mut self, number: usize) {
        let (member, begun) = (&mut self.0[number], Instant::now());
        std::fs::remove_file(member.filler()).expect("the file");
        while !member.has_ended() {
            if member.answers() {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "m{number} does not go on");
        }
        self.start_again(&[number]);
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
        self.find_leader().expect("a leader")
    }

    /// The member that says that it is the leader.
    pub(crate) fn find_leader(&self) -> Option<usize> {
        let is_leader = |member: &Member| {
            let told = member.etcdctl(&["endpoint", "status", "--write-out=fields"]);
            let field = |name: &str| {
                let line = told.lines().find(|line| line.starts_with(name));
                line.and_then(|line| line.rsplit(' ').next())
                    .map(str::to_owned)
            };
            field("\"MemberID\"").is_some() && field("\"MemberID\"") == field("\"Leader\"")
        };
        self.0.iter().position(is_leader)
    }

    /// A member that does not answer.
    pub(crate) fn find_silent(&self) -> Option<usize> {
        self.0.iter().position(|member| !member.answers())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for (number, member) in self.0.iter().enumerate() {
            if member.process.is_some() {
                self.go_on(number);
            }
        }
        (0..self.0.len()).for_each(|number| self.kill(number));
    }
}

impl Member {
    /// One on loopback, and the address for its peers.
    fn here() -> (Self, String) {
        let [endpoint, peer] = [(); 2].map(|()| format!("http://127.0.0.1:{}", port()));
        let folder = world::scratch_folder("etcd");
        (Self::of(None, endpoint, folder), peer)
    }

    /// One on that machine, and the address for its peers.
    fn there(host: &Host, authority: &Authority) -> (Self, String) {
        let address = host.address();
        let tls = authority.member_at(&address);
        let folder = world::scratch_folder("etcd");
        let path = folder.to_str().expect("a path in UTF-8");
        world::run("mount", &["-t", "tmpfs", "-o", DISK, "tmpfs", path]);
        let [endpoint, peer] = [2379, 2380].map(|port| format!("https://{address}:{port}"));
        (Self::of(Some((host.clone(), tls)), endpoint, folder), peer)
    }

    fn of(place: Option<(Host, Tls)>, endpoint: String, folder: PathBuf) -> Self {
        Self {
            place,
            endpoint,
            folder,
            arguments: Vec::new(),
            process: None,
        }
    }

    fn is_one_of(&mut self, (name, peer): (&str, &str), all: &str, election: u32) {
        let data = self.folder.join("data").display().to_string();
        let mut told = vec![
            ("name", name.to_owned()),
            ("data-dir", data),
            ("listen-client-urls", self.endpoint.clone()),
            ("advertise-client-urls", self.endpoint.clone()),
            ("listen-peer-urls", peer.to_owned()),
            ("initial-advertise-peer-urls", peer.to_owned()),
            ("initial-cluster", all.to_owned()),
            ("heartbeat-interval", (election / 10).to_string()),
            ("election-timeout", election.to_string()),
        ];
        if let Some((_, Tls { ca, cert, key })) = &self.place {
            let [ca, cert, key] = [ca, cert, key].map(|path| path.display().to_string());
            told.extend([
                ("trusted-ca-file", ca.clone()),
                ("cert-file", cert.clone()),
                ("key-file", key.clone()),
                ("client-cert-auth", "true".to_owned()),
                ("peer-trusted-ca-file", ca),
                ("peer-cert-file", cert),
                ("peer-key-file", key),
                ("peer-client-cert-auth", "true".to_owned()),
            ]);
        }
        let argument = |(name, value)| format!("--{name}={value}");
        self.arguments = told.into_iter().map(argument).collect();
    }

    fn start(&mut self) {
        let mut etcd = self.command("etcd");
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
        let mut heard = Vec::new();
        let serves = lines.any(|line| {
            let serves = line.contains("ready to serve client requests");
            heard.push(line);
            serves
        });
        assert!(serves, "etcd does not serve:\n{}", heard.join("\n"));
        std::thread::spawn(move || lines.for_each(drop));
    }

    /// Whether it takes part in an agreement.
    fn answers(&self) -> bool {
        let read = self.etcdctl(&["get", "no-such-key", "--write-out=json"]);
        read.contains("revision")
    }

    fn has_ended(&mut self) -> bool {
        let process = self.process.as_mut().expect("a process");
        process.try_wait().expect("its status").is_some()
    }

    fn signal(&self, signal: Signal) {
        let process = self.process.as_ref().expect("a process");
        let pid = Pid::from_raw(i32::try_from(process.id()).expect("a pid"));
        kill(pid, signal).expect("a signal");
    }

    fn filler(&self) -> PathBuf {
        self.folder.join("filler")
    }

    fn command(&self, program: &str) -> Command {
        match &self.place {
            Some((host, _)) => host.command(program),
            None => Command::new(program),
        }
    }

    /// What etcdctl says of this member; nothing if it has no answer.
    fn etcdctl(&self, arguments: &[&str]) -> String {
        let mut etcdctl = self.command("etcdctl");
        etcdctl.args(["--endpoints", &self.endpoint, "--command-timeout=2s"]);
        if let Some((_, Tls { ca, cert, key })) = &self.place {
            for (option, path) in [("--cacert", ca), ("--cert", cert), ("--key", key)] {
                etcdctl.arg(option).arg(path);
            }
        }
        let output = etcdctl.args(arguments).output().expect("etcdctl");
        String::from_utf8(output.stdout).expect("text")
    }
}

fn port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address").port()
}

/// Room for the log of two segments, which etcd reserves, and for some of the database.
const DISK: &str = "size=224m,mode=700";
/// In milliseconds.
pub(crate) const SHORT_ELECTION: u32 = 500;
