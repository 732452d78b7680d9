//! Whose record a call is about. A name service may know an account by several spellings (many directories do not tell
//! `ALICE` from `alice`), and a login by any of them is the same person's: one record, one budget, one use of a code.
//!
//! Names that the name service does not know are taken byte for byte; so are all of them while it does not answer.

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

    /// The name service's spelling. The account's record goes by it, or by its lower-case form.
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

    /// The lower-case form of the name service's spelling, if that is another name.
    #[must_use]
    pub fn lower_case(&self) -> Option<UserName> {
        UserName::new(&self.user().as_str().to_lowercase()).ok().filter(|lower| lower != self.user())
    }

    /// A name and what the name service has said of it.
    #[cfg(test)]
    pub(crate) fn found(said: UserName, account: Found<Account>) -> Self {
        Self { said, account }
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
        let said = |account| Named::found(name("ALICE"), account);
        let known = said(Ok(Some(alice.clone())));
        assert_eq!((known.user(), known.account()), (&alice.name, Some(&alice)));
        for (account, unknown) in [(Ok(None), false), (Err(NoAnswer), true)] {
            let named = said(account);
            assert_eq!((named.user().as_str(), named.account()), ("ALICE", None));
            assert_eq!(named.is_unknown(), unknown);
        }
        let own = Named::own(&alice);
        assert_eq!((own.user(), own.account()), (&alice.name, Some(&alice)));
        assert!(!known.is_unknown() && !own.is_unknown());
    }

    #[test]
    fn the_lower_case_form_is_that_of_the_name_services_spelling() {
        let lower = |said: &str, spelt: &str| {
            let account = Account { name: name(spelt), uid: 1, gid: 1 };
            Named::found(name(said), Ok(Some(account))).lower_case().map(|lower| lower.to_string())
        };
        assert_eq!((lower("alice", "alice"), lower("ALICE", "alice")), (None, None));
        assert_eq!(lower("ALICE", "Alice@EXAMPLE").as_deref(), Some("alice@example"));
    }
}
