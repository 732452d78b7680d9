//! What the modules of distributions can answer to `auth`, and what their success proves. A module
//! that is not here can give every answer, and its success is taken for a proof.

use crate::code::Code;
use crate::read::Module;

/// What a module is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// pam_totp itself.
    Ours,
    /// Always fails: pam_deny.
    Deny,
    /// Always succeeds, and proves nothing: pam_permit.
    Permit,
    /// Prepares the login, and never succeeds: pam_env, pam_faildelay.
    Neutral,
    /// Lets in or shuts out by account, place or time, and proves nothing: pam_succeed_if.
    Gate,
    /// Succeeds for root as the caller: pam_rootok.
    RootCaller,
    /// Checks a password, or another first factor.
    FirstFactor,
    /// Not in this table.
    Unknown,
}

/// The role of a module.
pub(crate) fn role(module: &Module) -> Role {
    let name = module.name.as_str();
    let listed = |names: &[&str]| names.contains(&name);
    if listed(&["pam_totp", "libpam_totp"]) {
        Role::Ours
    } else if name == "pam_deny" {
        Role::Deny
    } else if name == "pam_permit" {
        Role::Permit
    } else if name == "pam_rootok" {
        Role::RootCaller
    } else if listed(NEUTRAL) {
        Role::Neutral
    } else if listed(GATES) {
        Role::Gate
    } else if listed(FIRST_FACTORS) {
        Role::FirstFactor
    } else {
        Role::Unknown
    }
}

/// The answers that a module can give.
pub(crate) fn answers(module: &Module) -> Vec<Code> {
    if module.is_missing {
        return vec![Code::MODULE_UNKNOWN];
    }
    match role(module) {
        Role::Deny => vec![Code::AUTH_ERR],
        Role::Permit => vec![Code::SUCCESS],
        Role::Neutral if module.name == "pam_nologin" => nologin(module),
        Role::Neutral => vec![Code::IGNORE],
        Role::Ours => ours(module),
        Role::FirstFactor if !can_ignore(module) => {
            Code::all().filter(|code| *code != Code::IGNORE).collect()
        }
        Role::Gate | Role::RootCaller | Role::FirstFactor | Role::Unknown => Code::all().collect(),
    }
}

/// Whether a first factor answers `ignore` for some users, as pam_sss and pam_krb5 can be told to.
fn can_ignore(module: &Module) -> bool {
    module.name == "pam_krb5"
        || module
            .arguments
            .iter()
            .any(|word| word.starts_with("ignore"))
}

/// pam_nologin(8) ignores, unless /etc/nologin exists; with `successok` it succeeds instead.
fn nologin(module: &Module) -> Vec<Code> {
    let usual = if module.arguments.iter().any(|word| word == "successok") {
        Code::SUCCESS
    } else {
        Code::IGNORE
    };
    vec![usual, Code::AUTH_ERR, Code::USER_UNKNOWN, Code::SYSTEM_ERR]
}

/// pam_totp(8), and what libpam says after the module was removed.
fn ours(module: &Module) -> Vec<Code> {
    let mut codes = vec![
        Code::SUCCESS,
        Code::IGNORE,
        Code::AUTH_ERR,
        Code::AUTHINFO_UNAVAIL,
        Code::CONV_ERR,
        Code::SERVICE_ERR,
        Code::BUF_ERR,
        Code::ABORT,
        Code::MODULE_UNKNOWN,
    ];
    if module.arguments.iter().any(|word| word == "user_unknown") {
        codes.push(Code::USER_UNKNOWN);
    }
    codes
}

const NEUTRAL: &[&str] = &[
    "pam_cap",
    "pam_echo",
    "pam_env",
    "pam_faildelay",
    "pam_group",
    "pam_issue",
    "pam_mail",
    "pam_nologin",
    "pam_warn",
];

const GATES: &[&str] = &[
    "pam_access",
    "pam_faillock",
    "pam_listfile",
    "pam_localuser",
    "pam_securetty",
    "pam_selinux",
    "pam_sepermit",
    "pam_shells",
    "pam_succeed_if",
    "pam_tally",
    "pam_tally2",
    "pam_time",
    "pam_usertype",
    "pam_wheel",
];

const FIRST_FACTORS: &[&str] = &[
    "pam_ecryptfs",
    "pam_fprintd",
    "pam_krb5",
    "pam_ldap",
    "pam_p11",
    "pam_pkcs11",
    "pam_radius_auth",
    "pam_ssh_agent_auth",
    "pam_sss",
    "pam_systemd_home",
    "pam_u2f",
    "pam_unix",
    "pam_userdb",
    "pam_winbind",
];
