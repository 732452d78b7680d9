//! Changes to a whole account: disable and enable (`SetState` with `all`), `RenameUser`, `Forget`,
//! `RevokeGrace`.

use common::names::user::UserName;
use common::wire::protocol::{
    DeviceState, Error, ForgetReply, RenameUser, RenameUserReply, RevokeGraceReply, SetState,
    SetStateReply,
};

use crate::admin::devices;
use crate::identity::caller::Role;
use crate::identity::resolved::Named;
use crate::record::Record;
use crate::service::Service;
use crate::service::call::Call;
use crate::service::change::change;
use crate::service::uid_binding::{Act, admitted_for, log_rebound, new_record};

/// `SetState`: disables or enables one device, or with `all` the account.
///
/// # Errors
/// [`Error`].
pub(crate) fn set_state(
    service: &Service,
    call: &Call<'_>,
    wish: &SetState,
) -> Result<SetStateReply, Error> {
    if wish.all == Some(true) {
        set_account(service, call, wish)
    } else {
        devices::set_state(service, call, wish)
    }
}

/// Disables the account, or enables it again. Its devices keep their states.
fn set_account(
    service: &Service,
    call: &Call<'_>,
    wish: &SetState,
) -> Result<SetStateReply, Error> {
    if call.caller.role == Role::Own {
        return Err(Error::PermissionDenied);
    }
    let disabled = match (wish.state, &wish.device) {
        (_, Some(_)) => return Err(Error::bad("all", "give either a device or 'all'")),
        (DeviceState::Active, None) => false,
        (DeviceState::Disabled, None) => true,
        (DeviceState::Pending, None) => {
            return Err(Error::bad("state", "an account is made active or disabled"));
        }
    };
    // Rules and the roll-out may exempt a user without a record, so an account can be disabled
    // before it has one.
    let may_be_new = disabled && (call.named.account().is_some() || call.named.is_unknown());
    change(service, call, devices::act_of(wish), |record| {
        let record = match record {
            Some(record) => record.clone(),
            None if may_be_new => new_record(call)?,
            None => return Err(Error::NoSuchUser),
        };
        Ok((Some(Record { disabled, ..record }), ()))
    })?;
    service.graces.end(call.user);
    service.log(
        call,
        call.line("set_state")
            .with("all", true)
            .with("state", wish.state.word()),
    );
    Ok(SetStateReply {
        user: call.user.as_str().to_owned(),
        device: None,
    })
}

/// `RenameUser`: moves the record from one name to another, in one step. Spent codes stay spent.
///
/// # Errors
/// [`Error`].
pub(crate) fn rename_user(
    service: &Service,
    call: &Call<'_>,
    wish: &RenameUser,
) -> Result<RenameUserReply, Error> {
    let new = UserName::new(&wish.new).map_err(|why| Error::bad("new", why))?;
    let named = Named::of(new, call.names);
    if named.is_unknown() {
        return Err(Error::bad(
            "new",
            "the name service did not say how this name is spelt: try again",
        ));
    }
    let (old, new) = (named_by_root(service, call), named.user());
    // A record under the lower-case form of the new name: the renamed record would hide it, or be
    // hidden by it.
    let known_by = service.record_name(&named, &call.settings);
    let has_another = known_by != *new && known_by != *old;
    let mut former = None;
    let renamed = service
        .records
        .rename(call.access_to(old), new, |record, taken| {
            let record = record.ok_or(Error::NoSuchUser)?;
            if taken || has_another {
                return Err(Error::UserExists);
            }
            let act = Act::giving_to("rename_user", wish.same_person);
            let admitted = admitted_for(&record, named.account(), call, act)?;
            former = record.uid.filter(|bound| admitted.uid != Some(*bound));
            admitted
                .into_owned()
                .renamed(old, new, &call.settings.secrets)
                .map_err(|_| Error::RecordDamaged)
        });
    let renamed = renamed.map_err(|failure| service.failure(&failure, call))?;
    renamed.inspect_err(|error| service.log_refused_change("rename_user", call, error))?;
    service.graces.end(old);
    service.refunds.forget(old);
    log_rebound(service, call, former);
    service.log(
        call,
        call.line("rename_user")
            .with("new_name", new.as_str())
            .warning(),
    );
    Ok(RenameUserReply {
        user: new.as_str().to_owned(),
    })
}

/// `Forget`: removes the user's record, also one that is damaged. While logins import files from
/// homes, an account keeps its record: without it, nothing tells that the user was enrolled, and
/// which codes were used here.
///
/// # Errors
/// [`Error`].
pub(crate) fn forget(service: &Service, call: &Call<'_>) -> Result<ForgetReply, Error> {
    let user = named_by_root(service, call);
    let may_have_home = call.named.is_unknown() || call.named.account().is_some();
    if call.settings.import_at_login && may_have_home {
        let comes_back = Error::bad("user", COMES_BACK);
        service.log_refused_change("forget", call, &comes_back);
        return Err(comes_back);
    }
    // A damaged record under another spelling may belong to another account. It is removed only by
    // its exact name.
    if ![call.named.user(), call.named.said()].contains(&user) {
        service
            .records
            .look(user, &call.settings.secrets)
            .map_err(|failure| service.failure(&failure, call))?;
    }
    let removed = service
        .records
        .remove(call.access_to(user))
        .map_err(|failure| service.failure(&failure, call))?;
    if !removed {
        service.log_refused_change("forget", call, &Error::NoSuchUser);
        return Err(Error::NoSuchUser);
    }
    service.graces.end(user);
    service.refunds.forget(user);
    service.log(call, call.line("forget").warning());
    Ok(ForgetReply {
        user: call.user.as_str().to_owned(),
    })
}

/// The name of the record that root means: the account's record, or if it has none, the record
/// under the exact name that root gave. Such a record is left over from another spelling of the
/// account's name.
fn named_by_root<'a>(service: &Service, call: &'a Call<'_>) -> &'a UserName {
    let has_none = |name| matches!(service.records.look(name, &call.settings.secrets), Ok(None));
    let said = call.named.said();
    if has_none(call.user) && !has_none(said) {
        said
    } else {
        call.user
    }
}

/// `RevokeGrace`: ends the user's grace: codes accepted before no longer let the user in without a
/// new one.
pub(crate) fn revoke_grace(service: &Service, call: &Call<'_>) -> RevokeGraceReply {
    let revoked = service.graces.end(call.user);
    service.log(call, call.line("revoke_grace").with("revoked", revoked));
    RevokeGraceReply {
        user: call.user.as_str().to_owned(),
        revoked,
    }
}

/// Why an account keeps its record.
const COMES_BACK: &str = "while logins import files from homes (import.google-authenticator.homes), the user's file would bring \
                          the old key back: use 'totpctl revoke' or 'totpctl disable', or switch that off first and \
                          run 'totpctl reload'";
