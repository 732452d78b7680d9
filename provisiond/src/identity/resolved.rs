//! Resolves the user name of a call to an account. A name service may accept several spellings of a
//! name (many directories do not tell `ALICE` from `alice`). All of them mean one user: one record,
//! one budget, one use of a code.
//!
//! A name that the name service does not know is taken byte for byte, and so is every name while it
//! does not answer. The account that it found last tells then which uid the name had.

use common::names::user::UserName;

use crate::identity::names::{Account, Asking, Found, NoAnswer};

/// The user name that a caller gave, and the account that the name service finds for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    said: UserName,
    account: Found<Account>,
    /// While the name service does not answer: the account that it found last.
    last: Option<Account>,
}

impl Named {
    /// Asks the name service.
    #[must_use]
    pub fn of(said: UserName, names: Asking<'_>) -> Self {
        let account = names.by_name(&said);
        Self::answered(said, account, names)
    }

    /// The same for a login.
    #[must_use]
    pub fn at_login(said: UserName, names: Asking<'_>) -> Self {
        let account = names.by_name_at_login(&said);
        Self::answered(said, account, names)
    }

    fn answered(said: UserName, account: Found<Account>, names: Asking<'_>) -> Self {
        let last = match account {
            Ok(_) => None,
            Err(NoAnswer) => names.last_by_name(&said),
        };
        Self {
            said,
            account,
            last,
        }
    }

    /// An account that is already known: the caller's own.
    #[must_use]
    pub fn own(account: &Account) -> Self {
        Self {
            said: account.name.clone(),
            account: Ok(Some(account.clone())),
            last: None,
        }
    }

    /// The name in the name service's spelling. The account's record is stored under it, or under
    /// its lower-case form.
    #[must_use]
    pub fn user(&self) -> &UserName {
        self.account().map_or(&self.said, |account| &account.name)
    }

    /// The account, if the name service has found one. `None` also while it does not answer: a rule
    /// for certain accounts must then match none.
    #[must_use]
    pub fn account(&self) -> Option<&Account> {
        self.account.as_ref().ok().and_then(Option::as_ref)
    }

    /// The uid that the name has, or had when the name service last answered. `Ok(None)`: it has
    /// no account. For comparisons that refuse, and never to permit what a present answer would
    /// not.
    ///
    /// # Errors
    /// [`NoAnswer`]: there was no answer yet.
    pub fn last_uid(&self) -> Found<u32> {
        match (&self.account, &self.last) {
            (Err(NoAnswer), Some(last)) => Ok(Some(last.uid)),
            (account, _) => account.as_ref().map_or(Err(NoAnswer), |account| {
                Ok(account.as_ref().map(|account| account.uid))
            }),
        }
    }

    /// Whether the name service did not answer, so that the name may be another spelling of an
    /// enrolled user's.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.account == Err(NoAnswer)
    }

    /// The name as the caller gave it.
    #[must_use]
    pub fn said(&self) -> &UserName {
        &self.said
    }

    /// The lower-case form of the name service's spelling, if it differs.
    #[must_use]
    pub fn lower_case(&self) -> Option<UserName> {
        UserName::new(&self.user().as_str().to_lowercase())
            .ok()
            .filter(|lower| lower != self.user())
    }

    /// A name and the answer of the name service.
    #[cfg(test)]
    pub(crate) fn found(said: UserName, account: Found<Account>) -> Self {
        Self {
            said,
            account,
            last: None,
        }
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
        let alice = Account {
            name: name("alice"),
            uid: 1000,
            gid: 1000,
        };
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
            let account = Account {
                name: name(spelt),
                uid: 1,
                gid: 1,
            };
            Named::found(name(said), Ok(Some(account)))
                .lower_case()
                .map(|lower| lower.to_string())
        };
        assert_eq!(
            (lower("alice", "alice"), lower("ALICE", "alice")),
            (None, None)
        );
        assert_eq!(
            lower("ALICE", "Alice@EXAMPLE").as_deref(),
            Some("alice@example")
        );
    }
}
