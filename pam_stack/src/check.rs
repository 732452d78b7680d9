//! What is wrong with a service's stack: logins that need no code, logins that no code opens,
//! guesses that cost an attacker nothing, and lines that libpam cannot use.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use crate::code::Code;
use crate::exemption::exempt_group;
use crate::explore::{Explored, explore};
use crate::finding::{Finding, Place, Severity};
use crate::known::{Role, role};
use crate::read::{Handler, Kind, Stack};

/// What the stack's file does not tell.
#[derive(Clone, Copy, Debug, Default)]
pub struct Circumstances {
    /// The daemon's settings let some users in without a code (rules, grace, roll-out), so that the
    /// module can answer `ignore` without the option `nullok`.
    pub has_exemptions: bool,
}

/// Other services by which the same users come in as by this one.
#[must_use]
pub fn sisters(service: &str) -> &'static [&'static str] {
    match service {
        "sudo" => &["sudo-i"],
        "sudo-i" => &["sudo"],
        "su" => &["su-l"],
        "su-l" => &["su"],
        "sshd" => &["cockpit"],
        "cockpit" => &["sshd"],
        "login" => &["remote"],
        "remote" => &["login"],
        _ => &[],
    }
}

/// Checks a service that is meant to ask for codes. The worst findings come first.
#[must_use]
pub fn check(stack: &Stack, circumstances: Circumstances) -> Vec<Finding> {
    let mut findings = lines_in_doubt(stack);
    if let Some((place, why)) = &stack.refused {
        findings.push(refused(place.clone(), why));
    } else if stack.handlers.iter().any(Handler::is_ours) {
        let explored = explore(&stack.handlers);
        findings.extend(of_logins(stack, &explored, circumstances));
    } else {
        findings.push(not_named(stack));
    }
    findings.sort_by(|a, b| (a.severity, &a.place).cmp(&(b.severity, &b.place)));
    findings
}

fn of_logins(stack: &Stack, explored: &Explored, circumstances: Circumstances) -> Vec<Finding> {
    if explored.gave_up {
        return vec![too_complicated(stack)];
    }
    let mut findings = let_by(stack, explored);
    findings.extend(let_in_by_a_refusal(stack, explored));
    match never_in(stack, explored) {
        Some(closed) => findings.push(closed),
        None => findings.extend(ignored_is_refused(stack, explored, circumstances)),
    }
    findings.extend(asked_in_vain(stack, explored));
    findings.extend(asked_again(stack, explored));
    findings.extend(enrols_without_first_factor(stack, explored));
    findings.extend(password_without_effect(stack, explored));
    findings
}

/// Logins that succeed although the module was not asked, by the line that led past it.
fn let_by(stack: &Stack, explored: &Explored) -> Vec<Finding> {
    let lines: BTreeMap<usize, Code> = explored
        .successes
        .iter()
        .filter(|success| success.ours.is_none())
        .filter_map(|success| success.skipped_by)
        .rev()
        .collect();
    lines
        .into_iter()
        .filter_map(|(at, answer)| {
            let handler = stack.handlers.get(at)?;
            Some(match exempt_group(&stack.handlers, at, explored) {
                Some(group) => exempted(handler, group),
                None => one_let_by(handler, answer),
            })
        })
        .collect()
}

fn exempted(handler: &Handler, group: &str) -> Finding {
    Finding {
        severity: Severity::Note,
        kind: "exempt-group",
        place: Some(handler.place.clone()),
        what: format!(
            "members of the group '{group}' come in without a code, and no log of the daemon shows it"
        ),
        next_step: format!("Nothing, if that is meant. 'getent group {group}' lists the members"),
    }
}

fn one_let_by(handler: &Handler, answer: Code) -> Finding {
    let name = name(handler);
    let role = handler.module().map(role);
    if role == Some(Role::RootCaller) {
        return Finding {
            severity: Severity::Note,
            kind: "root-needs-no-code",
            place: Some(handler.place.clone()),
            what: format!("root comes in without a code, because {name} succeeds for root"),
            next_step: "Nothing, if that is meant: for su it is usual".to_owned(),
        };
    }
    let next_step = match role {
        Some(Role::Gate) => {
            "Let this line end before pam_totp.so. Users that need no code belong into the daemon's settings ('rules' in pam-totp-settings(5)), where each such login is logged"
        }
        _ => {
            "Ask for the code first, or let this line end before pam_totp.so: write 'substack' in place of 'include' where the line stands in a shared file, and 'requisite' in place of 'sufficient' or of a jump where it stands in the service's own"
        }
    };
    Finding {
        severity: Severity::Hole,
        kind: "not-asked",
        place: Some(handler.place.clone()),
        what: format!(
            "a login can succeed without a code: after '{}' of {name} the stack goes past pam_totp.so",
            answer.name()
        ),
        next_step: next_step.to_owned(),
    }
}

/// Logins that succeed although the module has refused or could not answer.
fn let_in_by_a_refusal(stack: &Stack, explored: &Explored) -> Vec<Finding> {
    let mut lines: BTreeMap<usize, BTreeSet<Code>> = BTreeMap::new();
    for success in &explored.successes {
        if let Some((at, code)) = success.ours
            && !matches!(code, Code::SUCCESS | Code::IGNORE)
        {
            lines.entry(at).or_default().insert(code);
        }
    }
    lines
        .into_iter()
        .filter_map(|(at, codes)| Some(one_refusal(stack.handlers.get(at)?, &codes)))
        .collect()
}

fn one_refusal(handler: &Handler, codes: &BTreeSet<Code>) -> Finding {
    let names: Vec<&str> = codes.iter().map(|code| code.name()).collect();
    let (kind, what) = if codes.contains(&Code::AUTH_ERR) {
        (
            "refusal-lets-in",
            "a login with a wrong code can succeed: the stack goes on after the module's refusal"
                .to_owned(),
        )
    } else if codes.iter().eq([&Code::USER_UNKNOWN]) {
        (
            "unenrolled-let-in",
            "users without a device log in without a code, and an attacker learns which users these are".to_owned(),
        )
    } else {
        (
            "fault-lets-in",
            format!(
                "a login can succeed without a code while the daemon is stopped or the module is broken ({})",
                names.join(", ")
            ),
        )
    };
    Finding {
        severity: Severity::Hole,
        kind,
        place: Some(handler.place.clone()),
        what,
        next_step: "Write 'auth required pam_totp.so': every answer but success and ignore then refuses. Users that need no code belong into the daemon's settings".to_owned(),
    }
}

/// No login succeeds, or none with a right code.
fn never_in(stack: &Stack, explored: &Explored) -> Option<Finding> {
    let with_a_code = explored
        .successes
        .iter()
        .any(|success| matches!(success.ours, Some((_, Code::SUCCESS))));
    if with_a_code {
        return None;
    }
    let culprit = culprit(&stack.handlers);
    Some(Finding {
        severity: Severity::LockOut,
        kind: "never-in",
        place: culprit.map(|handler| handler.place.clone()),
        what: if explored.successes.is_empty() {
            "no login can succeed, whatever the user types".to_owned()
        } else {
            "a login with a right code is refused".to_owned()
        },
        next_step: match culprit {
            Some(handler) if handler.module().is_some_and(|module| module.is_missing) => {
                format!("Install {} again: its file is missing", name(handler))
            }
            Some(handler) => format!(
                "{} refuses here: take the line away, or put it where only failed logins come",
                name(handler)
            ),
            None => "Compare the lines with 'The order of modules' in the administrator's guide"
                .to_owned(),
        },
    })
}

/// The line that most likely refuses everything: one that always fails.
fn culprit(chain: &[Handler]) -> Option<&Handler> {
    let always_fails = |handler: &&Handler| match &handler.kind {
        Kind::Broken => true,
        Kind::Module(module) => module.is_missing || role(module) == Role::Deny,
        Kind::Substack => false,
    };
    let is_ours_missing = |handler: &&Handler| {
        handler.is_ours() && handler.module().is_some_and(|module| module.is_missing)
    };
    chain
        .iter()
        .find(is_ours_missing)
        .or_else(|| chain.iter().find(always_fails))
}

/// Users that need no code are refused, because nothing else in the stack succeeds.
fn ignored_is_refused(
    stack: &Stack,
    explored: &Explored,
    circumstances: Circumstances,
) -> Option<Finding> {
    let nullok = stack.handlers.iter().find(|handler| {
        handler.is_ours()
            && handler
                .module()
                .is_some_and(|module| module.arguments.iter().any(|word| word == "nullok"))
    });
    if nullok.is_none() && !circumstances.has_exemptions {
        return None;
    }
    let succeeds = explored
        .successes
        .iter()
        .any(|success| matches!(success.ours, Some((_, Code::IGNORE))));
    let ours = nullok.or_else(|| stack.handlers.iter().find(|handler| handler.is_ours()))?;
    (!succeeds).then(|| Finding {
        severity: Severity::LockOut,
        kind: "ends-in-ignore",
        place: Some(ours.place.clone()),
        what: "users that need no code are refused: the module answers 'ignore' for them, and no other module of the stack succeeds".to_owned(),
        next_step: "Add 'auth required pam_permit.so' after the line".to_owned(),
    })
}

/// A code is asked for after the first factor was wrong.
fn asked_in_vain(stack: &Stack, explored: &Explored) -> Vec<Finding> {
    let lines: BTreeSet<usize> = explored.asked_in_vain.iter().map(|(_, by)| *by).collect();
    lines
        .into_iter()
        .filter_map(|at| stack.handlers.get(at))
        .filter(|handler| {
            handler
                .module()
                .is_some_and(|module| matches!(role(module), Role::FirstFactor | Role::Deny))
        })
        .map(|handler| Finding {
            severity: Severity::Warning,
            kind: "asked-after-a-failure",
            place: Some(handler.place.clone()),
            what: format!("after a failure of {} the module still asks for a code: an attacker without the password can use up guesses, and a user that mistypes the password spends the code", name(handler)),
            next_step: "Write 'requisite' in place of 'required', where the line is the service's own".to_owned(),
        })
        .collect()
}

/// Two codes are asked for in one login.
fn asked_again(stack: &Stack, explored: &Explored) -> Vec<Finding> {
    explored
        .asked_again
        .iter()
        .filter_map(|at| stack.handlers.get(*at))
        .map(|handler| Finding {
            severity: Severity::Warning,
            kind: "asked-twice",
            place: Some(handler.place.clone()),
            what: "the module is asked a second time in one login, and each question needs another code".to_owned(),
            next_step: "Keep one line of pam_totp.so in the service and the files that it includes".to_owned(),
        })
        .collect()
}

/// `enroll=first_factor` says that the user has passed a first factor, and the stack does not see to
/// it: an attacker could enrol a device of its own as that of another user.
fn enrols_without_first_factor(stack: &Stack, explored: &Explored) -> Vec<Finding> {
    let says_so = |handler: &Handler| {
        handler.module().is_some_and(|module| {
            handler.is_ours() && module.arguments.iter().any(|word| word == FIRST_FACTOR)
        })
    };
    let lines = stack.handlers.iter().enumerate();
    lines
        .filter(|(_, handler)| says_so(handler))
        .filter_map(|(at, handler)| {
            let after_a_failure = explored.asked_in_vain.iter().any(|(ours, _)| *ours == at);
            if !after_a_failure && !explored.asked_unproven.contains(&at) {
                return None;
            }
            let (severity, kind, what) = if after_a_failure {
                (
                    Severity::Hole,
                    "enrols-after-a-failure",
                    "after a wrong first factor the module still shows the key of a new device: an attacker enrols in another user's place",
                )
            } else {
                (
                    Severity::Warning,
                    "enrols-unproven",
                    "the module says that a first factor was checked, and no line above checks one: that is right only where the application does, as sshd with a key",
                )
            };
            Some(Finding {
                severity,
                kind,
                place: Some(handler.place.clone()),
                what: what.to_owned(),
                next_step: "Write 'auth requisite pam_unix.so' above the line, or 'enroll' in place of 'enroll=first_factor': users then need a ticket".to_owned(),
            })
        })
        .collect()
}

const FIRST_FACTOR: &str = "enroll=first_factor";

/// A right code lets in although the stack has a password line and no first factor succeeded.
fn password_without_effect(stack: &Stack, explored: &Explored) -> Option<Finding> {
    let password = stack.handlers.iter().find(|handler| {
        handler
            .module()
            .is_some_and(|module| role(module) == Role::FirstFactor)
    })?;
    let code_alone = explored
        .successes
        .iter()
        .any(|success| matches!(success.ours, Some((_, Code::SUCCESS))) && !success.is_proven);
    code_alone.then(|| Finding {
        severity: Severity::Warning,
        kind: "code-alone",
        place: Some(password.place.clone()),
        what: format!("a code alone lets in: {} is not asked, or its failure does not count", name(password)),
        next_step: "Write 'auth requisite pam_unix.so' before 'auth required pam_totp.so'; if sshd checks a key first, take the line away".to_owned(),
    })
}

/// Lines that libpam cannot use, and modules that are missing.
fn lines_in_doubt(stack: &Stack) -> Vec<Finding> {
    let mut findings: Vec<Finding> = stack
        .problems
        .iter()
        .map(|(place, what)| Finding {
            severity: Severity::Warning,
            kind: "bad-line",
            place: Some(place.clone()),
            what: what.clone(),
            next_step: "Correct the line; pam.conf(5) describes its form".to_owned(),
        })
        .collect();
    findings.extend(stack.handlers.iter().filter_map(missing_module));
    findings.extend(stack.misplaced.iter().map(|place| Finding {
        severity: Severity::Warning,
        kind: "wrong-type",
        place: Some(place.clone()),
        what: "pam_totp.so answers every call but 'auth' with an error".to_owned(),
        next_step: "Take the line away: the module stands in 'auth' lines only".to_owned(),
    }));
    findings
}

fn missing_module(handler: &Handler) -> Option<Finding> {
    let module = handler.module()?;
    let is_expected = module.is_silent && !handler.is_ours();
    (module.is_missing && !is_expected).then(|| Finding {
        severity: Severity::Warning,
        kind: "missing-module",
        place: Some(handler.place.clone()),
        what: format!("the file of {} does not exist on this machine", module.name),
        next_step: "Install the package that brings the module, or take the line away".to_owned(),
    })
}

fn refused(place: Option<Place>, why: &str) -> Finding {
    Finding {
        severity: Severity::LockOut,
        kind: "unreadable",
        place,
        what: format!("libpam refuses every login of this service: {why}"),
        next_step: "Correct the file. If it may be read by root only, run this command as root"
            .to_owned(),
    }
}

fn not_named(stack: &Stack) -> Finding {
    let (place, file) = match (&stack.file, stack.is_other) {
        (Some(file), false) => (Some(file), "its file and the files that it includes"),
        (Some(file), true) => (
            Some(file),
            "it has no 'auth' line, and the file 'other', which libpam takes then,",
        ),
        (None, _) => (
            None,
            "it has no file, and the file 'other', which libpam takes then,",
        ),
    };
    Finding {
        severity: Severity::Hole,
        kind: "not-named",
        place: place.map(|file| Place {
            file: file.clone(),
            line: 1,
        }),
        what: format!(
            "'{}' never asks for a code: {file} do not name pam_totp.so",
            stack.service
        ),
        next_step: format!(
            "Add 'auth required pam_totp.so' to /etc/pam.d/{}, or leave the file as it is if no user may log in by this service",
            stack.service
        ),
    }
}

fn too_complicated(stack: &Stack) -> Finding {
    Finding {
        severity: Severity::Warning,
        kind: "too-complicated",
        place: stack.handlers.first().map(|handler| handler.place.clone()),
        what: "the stack has too many ways to be followed, so it is not known whether each of them asks for a code".to_owned(),
        next_step: "Write the service's 'auth' lines out, with fewer jumps and substacks".to_owned(),
    }
}

/// A handler as a person calls it.
fn name(handler: &Handler) -> String {
    match handler.module() {
        Some(module) => format!("{}.so", module.name),
        None => "the line".to_owned(),
    }
}
