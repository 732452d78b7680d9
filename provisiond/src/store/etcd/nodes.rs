//! The members of the cluster: which one is asked, and what happens if it does not answer.
//!
//! A question goes to one member after the other until one answers or the deadline has passed. It may
//! be asked twice, so it must be one that does no more the second time: a transaction that compares
//! revisions. A member is asked for changes only after it has told its version and its cluster on the
//! same connection; so a fault of the connection itself never leaves an update in doubt.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use common::config::tls_files::TlsTexts;
use common::config::{EtcdSettings, Trust};
use etcd_client::{
    Certificate, Client, ConnectOptions, Identity, ResponseHeader, StatusResponse, TlsOptions, Txn,
    TxnResponse,
};

use super::fault::Fault;
use super::version::{EtcdVersion, objection};
use super::wire::{NoAnswer, Wire};
use super::{Fatal, Tell, Told};

/// The members.
pub(super) struct Nodes {
    wire: Wire,
    settings: EtcdSettings,
    trust: Trust,
    least: EtcdVersion,
    made: RwLock<Arc<Made>>,
    /// The member that answered last.
    first: AtomicUsize,
    /// etcd's number of the cluster; 0 before the first answer.
    cluster: AtomicU64,
    /// The latest revision that was seen.
    revision: AtomicU64,
    /// The store is open. Before that, its opener says why it cannot be.
    serves: AtomicBool,
    /// When trouble was told last, until a member answers.
    trouble: Mutex<Option<Instant>>,
    tell: Tell,
    fatal: Fatal,
    is_over: AtomicBool,
}

/// The connections, as they were made from the files of that time.
struct Made {
    nodes: Vec<Node>,
    texts: Option<TlsTexts>,
}

struct Node {
    endpoint: String,
    client: Client,
    /// It has told its version and its cluster since its last fault.
    is_checked: AtomicBool,
}

/// The answer to a transaction.
pub(super) struct Answer {
    pub(super) response: TxnResponse,
    /// Etcd's revision at the answer.
    pub(super) revision: i64,
    /// The transaction may have been made before this answer, too.
    pub(super) was_doubtful: bool,
}

/// No member has answered.
#[derive(Debug)]
pub(super) struct Failure {
    /// What is wrong, and the next step.
    pub(super) sentence: String,
    /// The transaction may have been made, or may still be.
    pub(super) is_doubtful: bool,
}

impl Nodes {
    /// Makes the connections ready. Nothing is asked yet.
    ///
    /// # Errors
    /// The sentence: a file of TLS cannot be used.
    pub(super) fn new(
        (settings, trust): (&EtcdSettings, &Trust),
        least: EtcdVersion,
        (tell, fatal): (Tell, Fatal),
    ) -> Result<Self, String> {
        let wire = Wire::start().map_err(|error| format!("cannot start a thread: {error}"))?;
        let made = Made::new(&wire, settings, texts(settings, trust)?)?;
        Ok(Self {
            wire,
            settings: settings.clone(),
            trust: trust.clone(),
            least,
            made: RwLock::new(Arc::new(made)),
            first: AtomicUsize::new(0),
            cluster: AtomicU64::new(0),
            revision: AtomicU64::new(0),
            serves: AtomicBool::new(false),
            trouble: Mutex::default(),
            tell,
            fatal,
            is_over: AtomicBool::new(false),
        })
    }

    /// Asks one member after the other, until one answers or the deadline has passed.
    pub(super) fn ask(&self, txn: &Txn, deadline: Instant) -> Result<Answer, Failure> {
        let mut failure = Failure {
            sentence: "there was no time left to ask etcd".to_owned(),
            is_doubtful: false,
        };
        let mut has_heard = false;
        while Instant::now() < deadline && !self.is_over() {
            let made = self.made();
            let (mut all_last, mut any_lasts) = (true, false);
            for (index, node) in made.from(self.first.load(Ordering::Relaxed)) {
                if Instant::now() >= deadline {
                    break;
                }
                match self.ask_one(node, made.texts.as_ref(), txn, deadline) {
                    Ok((response, revision)) => {
                        self.first.store(index, Ordering::Relaxed);
                        self.is_reached();
                        return Ok(Answer {
                            response,
                            revision,
                            was_doubtful: failure.is_doubtful,
                        });
                    }
                    Err(fault) => {
                        all_last &= fault.lasts;
                        failure.is_doubtful |= fault.is_doubtful;
                        // What an administrator can mend says the most, and silence the least.
                        let says_less = any_lasts || fault.is_silence && has_heard;
                        if fault.lasts || !says_less {
                            failure.sentence = fault.sentence;
                        }
                        any_lasts |= fault.lasts;
                        has_heard |= !fault.is_silence;
                    }
                }
            }
            if !self.renew() && all_last {
                break;
            }
            std::thread::sleep(PAUSE.min(deadline.saturating_duration_since(Instant::now())));
        }
        self.is_in_trouble(&failure.sentence);
        Err(failure)
    }

    /// Etcd's number of the cluster.
    pub(super) fn cluster(&self) -> u64 {
        self.cluster.load(Ordering::SeqCst)
    }

    /// The latest revision that was seen.
    pub(super) fn revision(&self) -> u64 {
        self.revision.load(Ordering::SeqCst)
    }

    /// The bytes of the database, if a member tells them.
    pub(super) fn database_bytes(&self, deadline: Instant) -> Option<u64> {
        let made = self.made();
        let index = self.first.load(Ordering::Relaxed);
        let client = made.nodes.get(index)?.client.clone();
        let status = self.wire.call(deadline, status_of(client)).ok()?;
        u64::try_from(status.db_size()).ok()
    }

    /// The store is open: from now on trouble is told.
    pub(super) fn serve(&self) {
        self.serves.store(true, Ordering::SeqCst);
    }

    /// The store cannot go on: the daemon has to begin anew. Said once.
    pub(super) fn fail(&self, why: &str) {
        if !self.is_over.swap(true, Ordering::SeqCst) {
            (self.fatal)(why);
        }
    }

    /// No question is asked any more.
    pub(super) fn close(&self) {
        self.is_over.store(true, Ordering::SeqCst);
        self.wire.end();
    }

    /// Whether the store was closed, or has failed.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    fn ask_one(
        &self,
        node: &Node,
        texts: Option<&TlsTexts>,
        txn: &Txn,
        deadline: Instant,
    ) -> Result<(TxnResponse, i64), Fault> {
        let patience = Instant::now().checked_add(self.patience());
        let until = patience.map_or(deadline, |until| until.min(deadline));
        let fault = |error: &NoAnswer| Fault::of(error, &node.endpoint, &self.settings, texts);
        if !node.is_checked.load(Ordering::SeqCst) {
            let status = self.wire.call(until, status_of(node.client.clone()));
            let status = status.map_err(|error| fault(&error).of_a_question())?;
            self.check(node, &status)?;
            node.is_checked.store(true, Ordering::SeqCst);
        }
        let least = self.revision();
        let (mut client, txn) = (node.client.clone(), txn.clone());
        let answer = self.wire.call(until, async move { client.txn(txn).await });
        let response = answer.map_err(|error| {
            node.is_checked.store(false, Ordering::SeqCst);
            fault(&error)
        })?;
        let revision = self.follow(node, response.header(), least)?;
        Ok((response, revision))
    }

    /// The member's version serves, and it belongs to the cluster of the others.
    fn check(&self, node: &Node, status: &StatusResponse) -> Result<(), Fault> {
        let endpoint = &node.endpoint;
        if let Some(why) = objection(status.version(), self.least) {
            return Err(Fault::lasting(format!("{endpoint} {why}")));
        }
        if status.leader() == 0 {
            let why = "has no leader: more than half of the members must run and reach each other";
            return Err(Fault::passing(format!("{endpoint} {why}")));
        }
        self.is_of_the_cluster(node, status.header())
    }

    fn is_of_the_cluster(&self, node: &Node, header: Option<&ResponseHeader>) -> Result<(), Fault> {
        let told = header.map_or(0, ResponseHeader::cluster_id);
        let known = self
            .cluster
            .compare_exchange(0, told, Ordering::SeqCst, Ordering::SeqCst);
        match known {
            Ok(_) => Ok(()),
            Err(known) if known == told => Ok(()),
            Err(_) => Err(Fault::lasting(format!(
                "{} belongs to another cluster than the first member that answered: check the endpoints",
                node.endpoint
            ))),
        }
    }

    /// Every question is answered as of now (linearizable), so no answer is older than one before it.
    fn follow(
        &self,
        node: &Node,
        header: Option<&ResponseHeader>,
        least: u64,
    ) -> Result<i64, Fault> {
        self.is_of_the_cluster(node, header)?;
        let told = header.map_or(0, ResponseHeader::revision);
        let revision = u64::try_from(told).unwrap_or(0);
        if revision < least {
            let why = format!(
                "{} went back from revision {least} to {revision}: etcd was put back from a snapshot; the daemon begins \
                 anew, and quarantines the codes from before",
                node.endpoint
            );
            self.fail(&why);
            return Err(Fault {
                is_doubtful: true,
                ..Fault::lasting(why)
            });
        }
        self.revision.fetch_max(revision, Ordering::SeqCst);
        Ok(told)
    }

    /// Makes the connections anew if a file of TLS is another one than before. Returns whether it was.
    fn renew(&self) -> bool {
        let Ok(texts) = texts(&self.settings, &self.trust) else {
            return false;
        };
        if texts == self.made().texts {
            return false;
        }
        let Ok(made) = Made::new(&self.wire, &self.settings, texts) else {
            return false;
        };
        *self.made.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(made);
        true
    }

    fn made(&self) -> Arc<Made> {
        Arc::clone(&self.made.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// How long one member may take, so that there is time for the next one.
    fn patience(&self) -> Duration {
        let part = self.settings.timeout.checked_div(SHARES);
        part.unwrap_or(self.settings.timeout)
    }

    /// Tells of trouble when it begins, and then at most once a minute.
    fn is_in_trouble(&self, why: &str) {
        if !self.serves.load(Ordering::SeqCst) || self.is_over() {
            return;
        }
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if trouble.is_none_or(|told| told.elapsed() >= BETWEEN_LINES) {
            *trouble = Some(Instant::now());
            (self.tell)(Told::NotReached(why.to_owned()));
        }
    }

    fn is_reached(&self) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if trouble.take().is_some() {
            (self.tell)(Told::Reached);
        }
    }
}

impl Made {
    fn new(wire: &Wire, settings: &EtcdSettings, texts: Option<TlsTexts>) -> Result<Self, String> {
        let node = |endpoint: &String| -> Result<Node, String> {
            let options = options(endpoint, settings, texts.as_ref());
            let endpoints = [endpoint.clone()];
            let until = Instant::now().checked_add(settings.timeout);
            let until = until.unwrap_or_else(Instant::now);
            let client = wire.call(until, async move {
                Client::connect(endpoints, Some(options)).await
            });
            Ok(Node {
                endpoint: endpoint.clone(),
                client: client.map_err(|_| unusable(settings))?,
                is_checked: AtomicBool::new(false),
            })
        };
        Ok(Self {
            nodes: settings
                .endpoints
                .iter()
                .map(node)
                .collect::<Result<_, _>>()?,
            texts,
        })
    }

    /// All members, with their places, from that one on.
    fn from(&self, first: usize) -> impl Iterator<Item = (usize, &Node)> {
        let turns = self.nodes.iter().enumerate().cycle().skip(first);
        turns.take(self.nodes.len())
    }
}

async fn status_of(mut client: Client) -> Result<StatusResponse, etcd_client::Error> {
    client.status().await
}

/// Proxies of the environment are never asked: the client of HTTP/2 knows none.
pub(super) fn options(
    endpoint: &str,
    settings: &EtcdSettings,
    texts: Option<&TlsTexts>,
) -> ConnectOptions {
    let options = ConnectOptions::new()
        .with_require_leader(true)
        .with_connect_timeout(settings.timeout)
        .with_keep_alive(KEEP_ALIVE, settings.timeout)
        .with_keep_alive_while_idle(true);
    match texts {
        None => options,
        Some(texts) => options.with_tls(
            TlsOptions::new()
                .domain_name(host_of(endpoint))
                .ca_certificate(Certificate::from_pem(&texts.ca))
                .identity(Identity::from_pem(&texts.cert, texts.key.as_bytes())),
        ),
    }
}

/// The name that the member's certificate must have.
fn host_of(endpoint: &str) -> &str {
    let place = endpoint
        .split_once("://")
        .map_or(endpoint, |(_, place)| place);
    let host = place.rsplit_once(':').map_or(place, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

fn texts(settings: &EtcdSettings, trust: &Trust) -> Result<Option<TlsTexts>, String> {
    let files = settings.tls.as_ref();
    let texts = files.map(|files| files.read(trust)).transpose();
    texts.map_err(|error| error.to_string())
}

pub(super) fn unusable(settings: &EtcdSettings) -> String {
    match &settings.tls {
        Some(files) => format!(
            "{}, {} and {} cannot be used: each holds certificates or a key in PEM, and the key fits the certificate",
            files.ca.display(),
            files.cert.display(),
            files.key.display()
        ),
        None => "the endpoints of provisiond.store.etcd cannot be used".to_owned(),
    }
}

/// Parts of the time-out. A cluster has three or five members.
const SHARES: u32 = 4;
/// Between two rounds over all members.
const PAUSE: Duration = Duration::from_millis(25);
/// A connection that is dead is noticed before the next login.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
const BETWEEN_LINES: Duration = Duration::from_secs(60);
