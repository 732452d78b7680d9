//! Whose record a call is about. A name service may know an account by several spellings (many directories do not tell
//! `ALICE` from `alice`), and a login by any of them is the same person's: one record, one budget, one use of a code.
//!
//! Names that the name service does not know are taken byte for byte; so are all of them while it does not answer.

use common::user::UserName;

use crate::names::{Account, Asking, Found, NoAnswer};

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
}
