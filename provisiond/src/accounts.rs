//! What becomes of a whole record when an account gets another name, or is gone: root only, each step in the log.

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
        let (old, new) = (self.stored_name(call, &settings), named.user());
        let access = Access { user: old, ..call.access(&settings) };
        let renamed = self.records.rename(access, new, |record, taken| {
            let record = record.ok_or(Error::NoSuchUser)?;
            if taken {
                return Err(Error::UserExists);
            }
            record.renamed(old, new, &settings.secrets).map_err(|_| Error::RecordDamaged)
        });
        let renamed = renamed.map_err(|failure| self.failure(&failure, call))?;
        renamed.inspect_err(|error| self.log_refused("rename_user", call, error))?;
        self.graces.end(old);
        self.refunds.forget(old);
        self.log(call, call.line("rename_user").with("new", new.as_str()).warning());
        Ok(RenameUserReply { user: new.as_str().to_owned() })
    }

    /// `Forget`: removes all that is known of a user, also if it cannot be read any more.
    ///
    /// # Errors
    /// [`Error`].
    pub fn forget(&self, call: &Call<'_>) -> Result<ForgetReply, Error> {
        let settings = self.settings();
        let access = Access { user: self.stored_name(call, &settings), ..call.access(&settings) };
        let removed = self.records.remove(access).map_err(|failure| self.failure(&failure, call))?;
        if !removed {
            self.log_refused("forget", call, &Error::NoSuchUser);
            return Err(Error::NoSuchUser);
        }
        self.graces.end(call.user);
        self.refunds.forget(call.user);
        self.log(call, call.line("forget").warning());
        Ok(ForgetReply { user: call.user.as_str().to_owned() })
    }
}
