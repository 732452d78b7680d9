//! Whose record a call is about. A name service may know an account by several spellings (many directories do not tell
//! `ALICE` from `alice`), and a login by any of them is the same person's: one record, one budget, one use of a code.
//!
//! Names that the name service does not know are taken byte for byte; so are all of them while it does not answer.

use std::collections::BTreeSet;

use common::names::user::UserName;

use crate::identity::names::{Account, Asking, Found, NoAnswer};

/// A name as it was said, and the account that goes by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    said: UserName,
    account: Found<Account>,
}

impl Named {
    /// Asks the name service.
    #[must_use]
    pub fn of(said: UserName, names: Asking<'_>) -> Self {
        let account = names.by_name(&said);
        Self { said, account }
    }

    /// The same for a login.
    #[must_use]
    pub fn at_login(said: UserName, names: Asking<'_>) -> Self {
        let account = names.by_name_at_login(&said);
        Self { said, account }
    }

    /// An account that is known already.
    #[must_use]
    pub fn own(account: &Account) -> Self {
        Self { said: account.name.clone(), account: Ok(Some(account.clone())) }
    }

    /// The name that records go by.
    #[must_use]
    pub fn user(&self) -> &UserName {
        self.account().map_or(&self.said, |account| &account.name)
    }

    /// The account, as far as the name service has said that there is one. What holds only for some accounts holds for
    /// none of which this does not tell.
    #[must_use]
    pub fn account(&self) -> Option<&Account> {
        self.account.as_ref().ok().and_then(Option::as_ref)
    }

    /// Whether the name service did not answer, so that the name may be another spelling of a user's.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.account == Err(NoAnswer)
    }

    /// The name as it was said.
    #[must_use]
    pub fn said(&self) -> &UserName {
        &self.said
    }

    /// The other names that a record of the account may have, from when the name service spelt it otherwise: as it was said,
    /// and in small letters, which is how directories that do not tell them apart spell most.
    #[must_use]
    pub fn other_names(&self) -> BTreeSet<UserName> {
        let small = |name: &UserName| UserName::new(&name.as_str().to_lowercase()).ok();
        let names = [Some(self.said.clone()), small(&self.said), small(self.user())];
        names.into_iter().flatten().filter(|name| name != self.user()).collect()
    }

    /// The name as it was said, if records go by another.
    #[must_use]
    pub fn other_spelling(&self) -> Option<&str> {
        (self.said != *self.user()).then(|| self.said.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> UserName {
        UserName::new(name).unwrap()
    }

    #[test]
    fn records_go_by_the_name_services_spelling_and_else_by_what_was_said() {
        let alice = Account { name: name("alice"), uid: 1000, gid: 1000 };
        let said = |account| Named { said: name("ALICE"), account };
        let known = said(Ok(Some(alice.clone())));
        assert_eq!((known.user(), known.account(), known.other_spelling()), (&alice.name, Some(&alice), Some("ALICE")));
        for (account, unknown) in [(Ok(None), false), (Err(NoAnswer), true)] {
            let named = said(account);
            assert_eq!((named.user().as_str(), named.account(), named.other_spelling()), ("ALICE", None, None));
            assert_eq!(named.is_unknown(), unknown);
        }
        let own = Named::own(&alice);
        assert_eq!((own.user(), own.account(), own.other_spelling()), (&alice.name, Some(&alice), None));
        assert!(!known.is_unknown() && !own.is_unknown());
    }

    #[test]
    fn a_record_may_have_the_name_that_was_said_or_one_in_small_letters() {
        let named = |said: &str, spelt: &str| {
            let named = Named { said: name(said), account: Ok(Some(Account { name: name(spelt), uid: 1, gid: 1 })) };
            named.other_names().iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert!(named("alice", "alice").is_empty());
        assert_eq!(named("ALICE", "alice"), ["ALICE"]);
        assert_eq!(named("Alice", "Alice"), ["alice"]);
        assert_eq!(named("ALICE", "Alice@EXAMPLE"), ["ALICE", "alice", "alice@example"]);
        let nobodys = Named { said: name("Alice"), account: Ok(None) };
        assert_eq!(nobodys.other_names(), [name("alice")].into());
    }
}
