//! What becomes of a whole record when an account gets another name, or is gone: root only, each step in the log.

use common::config::Settings;
use common::protocol::{Error, ForgetReply, RenameUser, RenameUserReply};
use common::user::UserName;

use crate::named::Named;
use crate::records::Access;
use crate::service::{Call, Service};

impl Service {
    /// `RenameUser`: the record of one name becomes that of another, in one step. What it has used, its new owner has used.
    ///
    /// # Errors
    /// [`Error`].
    pub fn rename_user(&self, call: &Call<'_>, wish: &RenameUser) -> Result<RenameUserReply, Error> {
        let settings = self.settings();
        let new = UserName::new(&wish.new).map_err(|why| Error::bad("new", why))?;
        let named = Named::of(new, call.names);
        if named.is_unknown() {
            return Err(Error::bad("new", "the name service did not say how this name is spelt: try again"));
        }
        let (old, new) = (self.named_by_root(call, &settings), named.user());
        // By the lower-case form: beside a second record nothing would reach it.
        let known_by = self.record_name(&named, &settings);
        let has_another = known_by != *new && known_by != *old;
        let access = Access { user: old, ..call.access(&settings) };
        let renamed = self.records.rename(access, new, |record, taken| {
            let record = record.ok_or(Error::NoSuchUser)?;
            if taken || has_another {
                return Err(Error::UserExists);
            }
            record.renamed(old, new, &settings.secrets).map_err(|_| Error::RecordDamaged)
        });
        let renamed = renamed.map_err(|failure| self.failure(&failure, call))?;
        renamed.inspect_err(|error| self.log_refused("rename_user", call, error))?;
        self.graces.end(old);
        self.log(call, call.line("rename_user").with("new", new.as_str()).warning());
        Ok(RenameUserReply { user: new.as_str().to_owned() })
    }

    /// `Forget`: removes all that is known of a user, also if it cannot be read any more.
    ///
    /// # Errors
    /// [`Error`].
    pub fn forget(&self, call: &Call<'_>) -> Result<ForgetReply, Error> {
        let settings = self.settings();
        let user = self.named_by_root(call, &settings);
        // What cannot be read may be another account's, and is removed by its very name alone.
        if ![call.named.user(), call.named.said()].contains(&user) {
            self.records.look(user, &settings.secrets).map_err(|failure| self.failure(&failure, call))?;
        }
        let access = Access { user, ..call.access(&settings) };
        let removed = self.records.remove(access).map_err(|failure| self.failure(&failure, call))?;
        if !removed {
            self.log_refused("forget", call, &Error::NoSuchUser);
            return Err(Error::NoSuchUser);
        }
        self.graces.end(user);
        self.log(call, call.line("forget").warning());
        Ok(ForgetReply { user: call.user.as_str().to_owned() })
    }

    /// The record that root names: the account's, or if it has none, the one of the very name that root said. It is left over from
    /// a spelling by which the name service means that account.
    fn named_by_root<'a>(&self, call: &Call<'a>, settings: &Settings) -> &'a UserName {
        let has_none = |name| matches!(self.records.look(name, &settings.secrets), Ok(None));
        let said = call.named.said();
        if has_none(call.user) && !has_none(said) { said } else { call.user }
    }
}
