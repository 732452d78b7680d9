//! The authority of a fleet, the files for its machines, and the list of revoked hosts.
//!
//! - `authority`: makes the authority's key and certificate, and signs with it.
//! - `issued`: the authority's list of what it has signed.
//! - `bundle`: the file that a machine unpacks.
//! - `revoked`: one more entry in the settings of a verifier.

mod authority;
mod bundle;
mod issued;
mod revoked;

pub(crate) use self::authority::{Authority, Purpose, Signed, end_of};
pub(crate) use self::bundle::{pack, settings_of_a_host, settings_of_a_verifier};
pub(crate) use self::issued::Issued;
pub(crate) use self::revoked::with_one_more;
