//! Notes that the daemons of one store leave for each other: a row for each, which its daemon writes
//! anew every few seconds. No login waits for them.

use data_encoding::HEXLOWER;
use etcd_client::{Compare, CompareOp, Txn, TxnOp};
use nix::unistd::gethostname;
use sha2::{Digest, Sha256};

use super::updates::{range, rows_of_range};
use super::{EtcdStore, PAGE, after};
use crate::store::{Note, Unavailable};

impl EtcdStore {
    /// Writes this daemon's note, removes those of `gone`, and reads all. A state of the store that another
    /// daemon has changed is heard of here as well, by a daemon that changes nothing for a long time.
    pub(super) fn exchange(&self, note: &[u8], gone: &[String]) -> Result<Vec<Note>, Unavailable> {
        if self.nodes.is_over() {
            return Err(Unavailable);
        }
        let own = self.own_name();
        let state =
            Compare::mod_revision(self.keys.state(), CompareOp::Equal, self.known().revision);
        let write = TxnOp::put(self.keys.note(&own), note.to_vec(), None);
        let remove = gone.iter().filter(|name| **name != own).take(AT_ONCE);
        let remove = remove.map(|name| TxnOp::delete(self.keys.note(name), None));
        let look = range(self.keys.notes(), PAGE);
        let ops: Vec<TxnOp> = [write].into_iter().chain(remove).chain([look]).collect();
        let index = ops.len().saturating_sub(1);
        let deadline = after(self.timeout);
        let txn = Txn::new().when([state]).and_then(ops);
        let answer = self.nodes.ask(&txn, deadline).map_err(|_| Unavailable)?;
        if !answer.response.succeeded() {
            self.follow_state(deadline);
            return Err(Unavailable);
        }
        let (rows, _) = rows_of_range(&answer.response, index);
        Ok(rows
            .into_iter()
            .filter_map(|row| {
                let name = self.keys.note_of(row.key())?;
                Some(Note {
                    is_own: name == own,
                    name,
                    revision: u64::try_from(row.mod_revision()).unwrap_or(0),
                    text: row.value().to_vec(),
                })
            })
            .collect())
    }

    /// The same at each start, and another one for each daemon of a machine.
    fn own_name(&self) -> String {
        let hash = Sha256::new()
            .chain_update(gethostname().unwrap_or_default().as_encoded_bytes())
            .chain_update([0])
            .chain_update(self.path.as_os_str().as_encoded_bytes())
            .finalize();
        HEXLOWER.encode(hash.first_chunk::<8>().map_or(&[], |bytes| bytes))
    }
}

/// etcd takes 128 operations in one transaction, and the others come later.
const AT_ONCE: usize = 64;
