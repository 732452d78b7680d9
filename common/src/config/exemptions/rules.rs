//! The section `rules` of the settings: exemptions by user, group, source, service and hours.
//!
//! Checked here; provisiond applies them. All conditions of a rule must match; within a list, any
//! one entry is enough.

#[cfg(test)]
mod tests;

use std::collections::HashSet;

use serde::Deserialize;

pub use super::hours::Hours;
use crate::config::limits::Block;
use crate::config::values::given::{Several, given};
use crate::names::user::UserName;
use crate::wire::text::printable;

/// An exemption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name in the log and in replies.
    pub name: String,
    /// Accounts.
    pub users: Vec<UserName>,
    /// Groups of accounts.
    pub groups: Vec<String>,
    /// Where the login comes from.
    pub from: Vec<Place>,
    /// PAM services.
    pub services: Vec<String>,
    /// Times of the week.
    pub hours: Vec<Hours>,
}

/// A source of logins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A console of this machine.
    Local,
    /// The addresses of a block.
    Block(Block),
}

/// A rule as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a rule")]
pub(crate) struct RawRule {
    name: String,
    #[serde(default, deserialize_with = "given")]
    users: Option<Several>,
    #[serde(default, deserialize_with = "given")]
    groups: Option<Several>,
    #[serde(default, deserialize_with = "given")]
    from: Option<Several>,
    #[serde(default, deserialize_with = "given")]
    services: Option<Several>,
    #[serde(default, deserialize_with = "given")]
    hours: Option<Several>,
}

/// The checked rules, or the first problem.
pub(crate) fn check(raw: Vec<RawRule>) -> Result<Vec<Rule>, String> {
    if raw.len() > MAX_RULES {
        return Err(format!("the settings take at most {MAX_RULES} rules"));
    }
    let rules: Vec<Rule> = raw
        .into_iter()
        .map(RawRule::check)
        .collect::<Result<_, _>>()?;
    let mut names = HashSet::new();
    match rules.iter().find(|rule| !names.insert(rule.name.as_str())) {
        Some(rule) => Err(format!(
            "two rules are called '{}': give each a name of its own",
            rule.name
        )),
        None => Ok(rules),
    }
}

impl RawRule {
    fn check(self) -> Result<Rule, String> {
        let name = rule_name(&self.name)?;
        let blame = |why: String| format!("rule '{name}': {why}");
        let rule = Rule {
            users: condition(self.users, "users", user).map_err(blame)?,
            groups: condition(self.groups, "groups", group).map_err(blame)?,
            from: condition(self.from, "from", place).map_err(blame)?,
            services: condition(self.services, "services", service).map_err(blame)?,
            hours: condition(self.hours, "hours", Hours::parse).map_err(blame)?,
            name: name.clone(),
        };
        if rule.is_without_condition() {
            Err(blame(FOR_EVERYBODY.to_owned()))
        } else {
            Ok(rule)
        }
    }
}

/// A condition that is left out has an empty list.
fn condition<T>(
    raw: Option<Several>,
    what: &str,
    take: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    raw.map_or(Ok(Vec::new()), |several| several.check(what, take))
}

impl Rule {
    /// Whether the rule would exempt every user.
    #[must_use]
    pub fn is_without_condition(&self) -> bool {
        let Self {
            name: _,
            users,
            groups,
            from,
            services,
            hours,
        } = self;
        users.is_empty()
            && groups.is_empty()
            && from.is_empty()
            && services.is_empty()
            && hours.is_empty()
    }
}

fn rule_name(name: &str) -> Result<String, String> {
    let plain = name
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if !plain || !(1..=MAX_NAME).contains(&name.len()) {
        let name = printable(name);
        return Err(format!(
            "'{name}' cannot be the name of a rule: use 1 to {MAX_NAME} of a to z, 0 to 9 and '-'"
        ));
    }
    if OUR_OWN.contains(&name) {
        return Err(format!(
            "a rule cannot be called '{name}': that word has another meaning in the log; choose another name"
        ));
    }
    Ok(name.to_owned())
}

fn user(text: &str) -> Result<UserName, String> {
    UserName::new(text).map_err(|bad| bad.to_string())
}

/// A group's name, by the same rules as an account's.
pub(crate) fn group(text: &str) -> Result<String, String> {
    user(text)
        .map(|_| text.to_owned())
        .map_err(|_| "no group can have that name".to_owned())
}

/// A PAM service's name. libpam spells it in lower case, whatever the application says.
pub(crate) fn service(text: &str) -> Result<String, String> {
    let possible = !text.is_empty()
        && text.len() <= MAX_SERVICE
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'/' && !byte.is_ascii_uppercase());
    possible.then(|| text.to_owned()).ok_or_else(|| {
        format!("a service is the name of a file in /etc/pam.d, in lower case, of at most {MAX_SERVICE} bytes")
    })
}

fn place(text: &str) -> Result<Place, String> {
    let block = || Block::parse(text).map(Place::Block);
    if text == LOCAL { Some(Place::Local) } else { block() }.ok_or_else(|| {
        "write a block of addresses as '192.0.2.0/24', with zeros after the prefix, or 'local' for this machine's \
         consoles; a host name is not accepted, because it proves nothing"
            .to_owned()
    })
}

/// Reasons for an exemption other than a rule: the log has these words in the place of a rule's
/// name.
pub const OUR_OWN: [&str; 6] = [
    OBSERVE,
    ENFORCE_AFTER,
    UNKNOWN_USERS,
    SAME_SOURCE,
    SAME_HOST,
    GRACE_PERIOD,
];
/// `roll-out.observe`: dry run.
pub const OBSERVE: &str = "observe";
/// `roll-out.enforce-after`: there is time left to enrol.
pub const ENFORCE_AFTER: &str = "enforce-after";
/// `unknown-users: skip`: the user was never enrolled.
pub const UNKNOWN_USERS: &str = "unknown-users";
/// `grace.same-source`: a code was accepted from the same source.
pub const SAME_SOURCE: &str = "same-source";
/// `grace.same-host`: a code was accepted on this machine.
pub const SAME_HOST: &str = "same-host";
/// The module's option `grace_period=`: the same as `same-source`.
pub const GRACE_PERIOD: &str = "grace-period";

const LOCAL: &str = "local";
const FOR_EVERYBODY: &str = "it has no condition and would exempt every user: give it 'users', 'groups', 'from', \
                             'services' or 'hours', or remove it";
const MAX_RULES: usize = 64;
const MAX_NAME: usize = 32;
const MAX_SERVICE: usize = 64;
