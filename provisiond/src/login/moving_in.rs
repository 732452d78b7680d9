//! Moving in at a login: before a login of a name without a record is answered, root's importer takes
//! the file of google-authenticator over that the user may have (`import` in the settings).
//!
//! Whatever comes of it, the login is then judged by what the store has, as always.

use crate::service::Service;
use crate::service::call::Call;

/// Has the importer look for the user's file, if the settings want it and no record of the account
/// was ever there. Only a process of root, which a login is, causes it.
pub(super) fn bring(service: &Service, call: &Call<'_>) {
    if !call.settings.import_at_login || !call.caller.peer.is_root() {
        return;
    }
    let record = service.records.look(call.user, &call.settings.secrets);
    let is_new = matches!(record, Ok(None))
        && call.may_be_enrolled(None).is_none()
        && !service.is_renamed(None, call);
    // Names without an account are asked about, too: the time must not tell which of them have one.
    if is_new && let Err(trouble) = service.importer.ask(call.named.user(), call.deadline) {
        let line = call.line("import_failed").with("reason", trouble);
        service.log_refusal(call, line.warning());
    }
}
