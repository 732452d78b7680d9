//! What must be so before `setup` writes anything: otherwise the set-up could lock users out.

use std::path::Path;

use common::wire::client::ClientError;
use common::wire::protocol::{self, DeviceState, Error, Show};
use common::wire::text::printable;
use nix::unistd::{Group, Uid, User, getgrouplist};

use super::programs::has_systemd;
use crate::cli::{SetupArgs, Target};
use crate::commands::Context;
use crate::exit::Failure;
use crate::verdicts::argument;

/// The user whose new login is to confirm the set-up, under the daemon's spelling: it has an active
/// device, and no exempt group spares it the code.
pub(crate) fn confirming_user(
    context: &Context<'_>,
    target: Target,
    wanted: &SetupArgs,
) -> Result<String, Failure> {
    let name = match &wanted.user {
        Some(name) => name.clone(),
        None => usual_user(target)?,
    };
    let Ok(Some(account)) = User::from_name(&name) else {
        return Err(refused(format!(
            "this machine has no account '{}'",
            printable(&name)
        )));
    };
    not_exempt(&account, wanted.exempt_group.as_deref())?;
    let show = Show {
        user: Some(name.clone()),
    };
    match context.daemon.call(&show) {
        Ok(reply) if may_log_in(&reply.user) => Ok(reply.user.user),
        Ok(_) | Err(ClientError::Refused(Error::NoSuchUser)) => Err(refused(format!(
            "{0} could not log in with a code, and nothing was changed: 'totpctl show {1}' says why; \
             'totpctl enroll {1}' gives {0} a device",
            printable(&name),
            argument(&name)
        ))),
        Err(error) => Err(error.into()),
    }
}

fn may_log_in(user: &protocol::User) -> bool {
    let mut devices = user.devices.iter();
    devices.any(|device| device.state == DeviceState::Active)
        && !(user.disabled || user.damaged || user.other_uid.is_some())
}

/// Without a timer, the set-up stays until a hand takes it back: root has to want that.
pub(crate) fn has_rollback(wanted: &SetupArgs) -> Result<(), Failure> {
    if wanted.no_rollback || has_systemd() {
        return Ok(());
    }
    Err(refused(
        "systemd does not run here, so no timer would take the set-up back if no login works: give --no-rollback, \
         and keep a root session open until one has worked"
            .to_owned(),
    ))
}

/// If PAM names a module that libpam does not find, every login is refused.
pub(crate) fn module_is_installed() -> Result<(), Failure> {
    let folders = std::iter::once("/usr/lib64/security".into())
        .chain(std::iter::once("/usr/lib/security".into()))
        .chain(folders_below("/usr/lib"));
    let is_there = |folder: std::path::PathBuf| {
        folder.join("pam_unix.so").exists() && folder.join("pam_totp.so").exists()
    };
    match folders.into_iter().any(is_there) {
        true => Ok(()),
        false => Err(refused(
            "libpam's folder of modules has no pam_totp.so, and every login would be refused: install the module first"
                .to_owned(),
        )),
    }
}

/// `/usr/lib/x86_64-linux-gnu/security` and the like.
fn folders_below(folder: &str) -> Vec<std::path::PathBuf> {
    let entries = Path::new(folder).read_dir().into_iter().flatten().flatten();
    entries.map(|entry| entry.path().join("security")).collect()
}

/// The user that logged in, as the kernel keeps it through sudo and su; at su, root's code is asked
/// for.
fn usual_user(target: Target) -> Result<String, Failure> {
    if target == Target::Su {
        return Ok("root".to_owned());
    }
    let uid = std::fs::read_to_string("/proc/self/loginuid").unwrap_or_default();
    let uid = uid.trim().parse().ok().filter(|uid| *uid != u32::MAX);
    let account = uid.and_then(|uid| User::from_uid(Uid::from_raw(uid)).ok()?);
    account.map(|account| account.name).ok_or_else(|| {
        refused("setup cannot tell which user logged in here: name the one that is to log in, with --user NAME".to_owned())
    })
}

/// A user that needs no code cannot confirm. A group that does not exist is a misspelt one.
fn not_exempt(account: &User, group: Option<&str>) -> Result<(), Failure> {
    let Some(name) = group else {
        return Ok(());
    };
    let Ok(Some(group)) = Group::from_name(name) else {
        return Err(refused(format!("this machine has no group '{name}'")));
    };
    let own = std::ffi::CString::new(account.name.as_str()).unwrap_or_default();
    let is_member = getgrouplist(&own, account.gid).is_ok_and(|groups| groups.contains(&group.gid));
    match is_member {
        true => Err(refused(format!(
            "{} is a member of '{name}' and would log in without a code: name another user that is to log in, with --user",
            printable(&account.name)
        ))),
        false => Ok(()),
    }
}

fn refused(sentence: String) -> Failure {
    Failure::SetUp(sentence)
}
