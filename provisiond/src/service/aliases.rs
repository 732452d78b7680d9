//! Finds the record of an account after a change of its name between lower and upper case. Records
//! are stored under the name service's spelling of the user name. If a directory changes that
//! between upper and lower case, the account keeps its record.

use common::config::Settings;
use common::names::user::UserName;

use crate::identity::resolved::Named;
use crate::record::Record;
use crate::records::Failure;
use crate::service::Service;

impl Service {
    /// The name of the record that a call is about: the name service's spelling, or its lower-case
    /// form if only that has a record, and the record is this account's.
    pub(crate) fn record_name(&self, named: &Named, settings: &Settings) -> UserName {
        record_name(named, |name| self.records.look(name, &settings.secrets))
    }
}

/// Where names are case-sensitive, `alice` may be another account than `Alice`. The uid that a
/// record is bound to tells them apart, also with `bind-uid: false`, which is about an account that
/// keeps its name. A name without an account is taken byte for byte.
fn record_name(
    named: &Named,
    look: impl Fn(&UserName) -> Result<Option<Record>, Failure>,
) -> UserName {
    let Some((account, lower)) = named.account().zip(named.lower_case()) else {
        return named.user().clone();
    };
    // Both records are loaded, always: the time must not tell whether there is one (timing side
    // channel).
    let (own, other) = (look(&account.name), look(&lower));
    let is_its_own = |record: &Record| record.uid.is_none_or(|uid| uid == account.uid);
    let may_be_its_own = match &other {
        Ok(record) => record.as_ref().is_some_and(is_its_own),
        // A damaged record refuses the account's login. Without it the account would count as never
        // enrolled.
        Err(_) => true,
    };
    if matches!(own, Ok(None)) && may_be_its_own {
        lower
    } else {
        account.name.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::moment::Moment;
    use crate::identity::names::Account;

    fn name(name: &str) -> UserName {
        UserName::new(name).unwrap()
    }

    fn bound_to(uid: Option<u32>) -> Result<Option<Record>, Failure> {
        Ok(Some(Record {
            uid,
            ..Record::new(&Moment::ordinary(0))
        }))
    }

    /// The name of the record of `Alice`, uid 1000, where `Alice` and `alice` have these records.
    fn found(
        own: fn() -> Result<Option<Record>, Failure>,
        lower: fn() -> Result<Option<Record>, Failure>,
    ) -> String {
        let named = Named::own(&Account {
            name: name("Alice"),
            uid: 1000,
            gid: 1000,
        });
        record_name(&named, |asked| {
            if *asked == name("alice") {
                lower()
            } else {
                own()
            }
        })
        .to_string()
    }

    #[test]
    fn a_record_is_found_by_the_lower_case_form_of_the_name_if_it_is_not_bound_to_another_uid() {
        let damaged = || Err(Failure::Unavailable);
        assert_eq!(found(|| Ok(None), || Ok(None)), "Alice");
        assert_eq!(found(|| Ok(None), || bound_to(Some(1000))), "alice");
        assert_eq!(found(|| Ok(None), || bound_to(None)), "alice");
        assert_eq!(
            found(|| Ok(None), || bound_to(Some(1001))),
            "Alice",
            "another account's"
        );
        assert_eq!(
            found(|| bound_to(Some(1001)), || bound_to(Some(1000))),
            "Alice",
            "its own name comes first"
        );
        assert_eq!(
            found(|| Ok(None), damaged),
            "alice",
            "it may be the account's"
        );
        assert_eq!(found(damaged, || bound_to(Some(1000))), "Alice");
    }

    #[test]
    fn nothing_more_is_looked_at_where_there_is_no_other_spelling_or_no_account() {
        let nothing =
            |_: &UserName| -> Result<Option<Record>, Failure> { panic!("nothing is looked at") };
        let alice = Named::own(&Account {
            name: name("alice"),
            uid: 1000,
            gid: 1000,
        });
        assert_eq!(record_name(&alice, nothing), name("alice"));
        for account in [Ok(None), Err(crate::identity::names::NoAnswer)] {
            assert_eq!(
                record_name(&Named::found(name("ALICE"), account), nothing),
                name("ALICE")
            );
        }
    }
}
