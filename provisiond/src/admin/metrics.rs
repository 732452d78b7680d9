//! `Metrics`: what the daemon has counted since it started, for a monitoring system.

use common::wire::protocol::{ByWord, MetricsReply, StoreMetrics};

use crate::service::Service;
use crate::store::{ByPart, Measures};

/// `Metrics`: all counters.
pub(crate) fn metrics(service: &Service) -> MetricsReply {
    let counters = &service.counters;
    MetricsReply {
        verdicts: counters.verdicts(),
        verdict_times: counters.verdict_times(),
        pools_exhausted: counters.pools_exhausted(),
        not_permitted: counters.calls_not_permitted(),
        connections_refused: counters.connections_refused(),
        skews: service.skews.counted(),
        store: of_store(service.records.measures()),
    }
}

fn of_store(measures: Measures) -> StoreMetrics {
    StoreMetrics {
        commits: measures.commits,
        commit_records: measures.records,
        bytes: by_word(measures.bytes),
    }
}

fn by_word(parts: Vec<ByPart>) -> ByWord {
    let words = parts.into_iter();
    words
        .map(|(word, count)| (word.to_owned(), count))
        .collect()
}
