//! `List`: every user, or those of a group, or those who have no active device yet.

use std::collections::BTreeSet;

use common::protocol::{self, Error, List, ShowReply};
use common::user::UserName;

use crate::admin::told_damaged;
use crate::names::NoAnswer;
use crate::record::Record;
use crate::records::Listed;
use crate::service::Service;

impl Service {
    /// `List`: hands every user that is asked for to `take`, in the order of their names; behind them the members of the
    /// group who have no record.
    ///
    /// # Errors
    /// [`Error::StoreUnavailable`], that the name service does not tell who is in the group, or what `take` returns.
    pub fn list<E: From<Error>>(&self, wish: &List, mut take: impl FnMut(ShowReply) -> Result<(), E>) -> Result<(), E> {
        let settings = self.settings();
        let not_enrolled = wish.not_enrolled.unwrap_or(false);
        let mut members = self.members(wish.group.as_deref())?;
        let mut after = None;
        loop {
            let page = self.records.page(after.as_ref(), &settings.secrets).map_err(|_| Error::StoreUnavailable)?;
            let Some(last) = page.last() else { break };
            after = Some(last.user.clone());
            for listed in page {
                let counts = members.remove(listed.user.as_str()) || self.is_in(&listed.user, wish.group.as_deref())?;
                if counts && !(not_enrolled && has_active(&listed)) {
                    let user = match &listed.record {
                        Ok(record) => self.told(&listed.user, record),
                        Err(_) => told_damaged(&listed.user),
                    };
                    take(ShowReply { user })?;
                }
            }
        }
        for user in members {
            take(ShowReply { user: self.told_without_record(&user)? })?;
        }
        Ok(())
    }

    /// Those whom the group itself lists. Who has it as their own group is not in that list, and found by their record.
    fn members(&self, group: Option<&str>) -> Result<BTreeSet<String>, Error> {
        let Some(group) = group else { return Ok(BTreeSet::new()) };
        let members = self.names.asking().members(group).map_err(|NoAnswer| silent())?;
        members.ok_or_else(|| Error::bad("group", "there is no such group: 'getent group' lists them"))
    }

    fn is_in(&self, user: &UserName, group: Option<&str>) -> Result<bool, Error> {
        let Some(group) = group else { return Ok(true) };
        let names = self.names.asking();
        let account = names.by_name(user).map_err(|NoAnswer| silent())?;
        account.map_or(Ok(false), |account| names.is_member(&account, group)).map_err(|NoAnswer| silent())
    }

    fn told_without_record(&self, user: &str) -> Result<protocol::User, Error> {
        let user = UserName::new(user).map_err(|why| Error::bad("group", why))?;
        Ok(self.told(&user, &Record::new(&self.moment())))
    }
}

/// A record that does not open has some, as far as anybody can tell.
fn has_active(listed: &Listed) -> bool {
    listed.record.as_ref().map_or(true, |record| record.active().next().is_some())
}

fn silent() -> Error {
    Error::bad("group", "the name service does not say who is in it: try again, or see what 'getent group' says")
}
