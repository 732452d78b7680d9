//! For `make bench-fleet` and `bench/fleet_sim.py`: plain transactions on etcd, each of which replaces one
//! row and requires its revision, through the crate that the daemon uses. What a login costs stands
//! beside what such a transaction costs.
//!
//!     plain_transactions ENDPOINT CA CERT KEY FROM TO ROWS
//!
//! Copies that many rows below the prefix FROM to the prefix TO, so that values are as large as those of
//! the daemon. Then each line of standard input is how many callers share how many rows; the answer is
//! one line: seconds, and the nanoseconds of each transaction.

use std::error::Error;
use std::io::{BufRead, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use etcd_client::{
    Certificate, Client, Compare, CompareOp, ConnectOptions, GetOptions, Identity, TlsOptions, Txn,
    TxnOp,
};
use tokio::runtime::{Builder, Runtime};

/// A row of ours, and its revision.
struct Row {
    key: Vec<u8>,
    value: Vec<u8>,
    revision: i64,
}

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [endpoint, ca, cert, key, from, to, count] = arguments.as_slice() else {
        return Err("usage: plain_transactions ENDPOINT CA CERT KEY FROM TO ROWS".into());
    };
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let client = runtime.block_on(connected(endpoint, [ca, cert, key]))?;
    let mut rows = runtime.block_on(copied(client.clone(), from, to, count.parse()?))?;
    println!("{}", rows.len());
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (callers, count) = line.split_once(' ').ok_or("two numbers, please")?;
        rows = measured(&runtime, &client, rows, callers.parse()?, count.parse()?)?;
    }
    Ok(())
}

async fn connected(endpoint: &str, files: [&String; 3]) -> Result<Client, Failure> {
    let [ca, cert, key] = files.map(std::fs::read);
    let tls = TlsOptions::new()
        .ca_certificate(Certificate::from_pem(ca?))
        .identity(Identity::from_pem(cert?, key?));
    let options = ConnectOptions::new().with_tls(tls);
    Ok(Client::connect([endpoint], Some(options)).await?)
}

async fn copied(mut client: Client, from: &str, to: &str, count: i64) -> Result<Vec<Row>, Failure> {
    let limit = Some(GetOptions::new().with_prefix().with_limit(count));
    let found = client.get(from, limit).await?;
    let mut rows = Vec::new();
    for row in found.kvs() {
        let rest = row.key().strip_prefix(from.as_bytes()).unwrap_or_default();
        let (key, value) = ([to.as_bytes(), rest].concat(), row.value().to_vec());
        let put = client.put(key.clone(), value.clone(), None).await?;
        let revision = put.header().map_or(0, |header| header.revision());
        rows.push(Row {
            key,
            value,
            revision,
        });
    }
    Ok(rows)
}

/// Replaces the first `count` rows, and says how long each took. Each caller takes the next row when it
/// has its answer.
fn measured(
    runtime: &Runtime,
    client: &Client,
    mut rows: Vec<Row>,
    callers: usize,
    count: usize,
) -> Result<Vec<Row>, Failure> {
    let rest = rows.split_off(count.min(rows.len()));
    let left = Arc::new(Mutex::new(rows));
    let begun = Instant::now();
    let done = runtime.block_on(async {
        let callers = (0..callers).map(|_| tokio::spawn(caller(client.clone(), Arc::clone(&left))));
        let mut done = Vec::new();
        for caller in callers.collect::<Vec<_>>() {
            done.extend(caller.await??);
        }
        Ok::<_, Failure>(done)
    })?;
    let mut line = format!("{}", begun.elapsed().as_secs_f64());
    let mut rows = rest;
    for (row, nanoseconds) in done {
        line.push_str(&format!(" {nanoseconds}"));
        rows.push(row);
    }
    println!("{line}");
    std::io::stdout().flush()?;
    Ok(rows)
}

async fn caller(
    mut client: Client,
    left: Arc<Mutex<Vec<Row>>>,
) -> Result<Vec<(Row, u128)>, Failure> {
    let mut done = Vec::new();
    while let Some(mut row) = next(&left) {
        let txn = Txn::new()
            .when([Compare::mod_revision(
                row.key.clone(),
                CompareOp::Equal,
                row.revision,
            )])
            .and_then([TxnOp::put(row.key.clone(), row.value.clone(), None)]);
        let begun = Instant::now();
        let answer = client.txn(txn).await?;
        let took = begun.elapsed().as_nanos();
        if !answer.succeeded() {
            return Err("another program changes the rows".into());
        }
        row.revision = answer.header().map_or(0, |header| header.revision());
        done.push((row, took));
    }
    Ok(done)
}

fn next(left: &Mutex<Vec<Row>>) -> Option<Row> {
    left.lock().unwrap_or_else(PoisonError::into_inner).pop()
}
