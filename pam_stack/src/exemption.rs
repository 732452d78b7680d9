//! The one line that exempts a group on purpose: as `totpctl setup --exempt-group` writes it, right
//! above pam_totp.so. Any other line that leads past the module is a hole.

use crate::code::Code;
use crate::control::Action;
use crate::explore::Explored;
use crate::read::Handler;

/// The group that the line at `at` exempts from the code, if every login past the module by it has
/// shown a first factor.
pub(crate) fn exempt_group<'a>(
    chain: &'a [Handler],
    at: usize,
    explored: &Explored,
) -> Option<&'a str> {
    let group = group_of(chain.get(at)?)?;
    let is_above_ours = chain
        .get(at.saturating_add(1))
        .is_some_and(Handler::is_ours);
    let is_proven = explored
        .successes
        .iter()
        .filter(|success| success.skipped_by.is_some_and(|(by, _)| by == at))
        .all(|success| success.is_proven);
    (is_above_ours && is_proven).then_some(group)
}

/// `[success=1 default=ignore] pam_succeed_if.so quiet user ingroup GROUP`
fn group_of(handler: &Handler) -> Option<&str> {
    let module = handler.module().filter(|it| it.name == "pam_succeed_if")?;
    let words: Vec<&str> = module.arguments.iter().map(String::as_str).collect();
    let group = match words[..] {
        ["quiet", "user", "ingroup", group] if is_one_group(group) => group,
        _ => return None,
    };
    let skips_one = |code: Code| match code {
        Code::SUCCESS => handler.control.on(code) == Action::Jump(1),
        _ => handler.control.on(code) == Action::Ignore,
    };
    Code::all().all(skips_one).then_some(group)
}

/// pam_succeed_if takes a list with colons, too.
fn is_one_group(name: &str) -> bool {
    let ordinary = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    !name.is_empty() && name.chars().all(ordinary)
}
