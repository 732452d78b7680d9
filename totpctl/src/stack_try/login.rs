//! One login through the real libpam: what sshd, sudo, su or login would set, and the questions of
//! the stack, answered at the terminal or from standard input.
//!
//! The modules that the service's file names run in this process, as root. No session is opened and
//! no credentials are set.

use std::collections::BTreeSet;
use std::io;

use common::secret::SecretText;
use nix::unistd::{Uid, User, setresuid, ttyname};
use pam_application::{
    Application, Call, DISALLOW_NULL_AUTHTOK, Item, Message, PamCode, Reply, Style, transact,
};

use super::judge::Step;
use crate::cli::TryArgs;
use crate::exit::Failure;
use crate::output::{Output, lines};
use crate::prompt::Prompt;

/// The login, as the application would begin it.
pub(crate) struct Login<'a> {
    service: &'a str,
    user: &'a str,
    items: Vec<(Item, String)>,
    flags: i32,
}

impl<'a> Login<'a> {
    /// Prepares the login. For su, the real uid of this process becomes that of the caller, as
    /// pam_rootok and pam_wheel look at it; the effective one stays root's.
    pub(crate) fn new(wanted: &'a TryArgs) -> Result<Self, Failure> {
        let service = wanted.service.as_str();
        let is_su = matches!(service, "su" | "su-l");
        let is_sudo = matches!(service, "sudo" | "sudo-i");
        let caller = wanted.caller.clone().or_else(|| {
            let usual = if is_su { "nobody" } else { &wanted.user };
            (is_su || is_sudo).then(|| usual.to_owned())
        });
        let tty = wanted.tty.clone().or_else(|| usual_tty(service));
        if let Some(caller) = caller.as_deref().filter(|_| is_su) {
            run_for(caller)?;
        }
        let set = [
            (Item::Tty, tty),
            (Item::Rhost, wanted.rhost.clone()),
            (Item::Ruser, caller),
        ];
        let items = set.into_iter();
        Ok(Self {
            service,
            user: &wanted.user,
            items: items
                .filter_map(|(item, value)| Some((item, value?)))
                .collect(),
            // sshd calls no login right because the account has no password.
            flags: if service == "sshd" {
                DISALLOW_NULL_AUTHTOK
            } else {
                0
            },
        })
    }

    /// Plays it. The error: an answer could not be read.
    pub(crate) fn play(
        &self,
        step: Step,
        prompt: &Prompt,
        output: &Output,
    ) -> Result<Ended, Failure> {
        let mut questions = Questions {
            step,
            prompt,
            output,
            left_empty: BTreeSet::new(),
            ran_dry: false,
            failure: None,
        };
        let application = Application {
            service: self.service,
            user: Some(self.user),
            confdir: None,
            items: &self.items,
            // An account that is locked or expired is refused after its code was right.
            calls: match step {
                Step::WithoutCode => &[Call::Authenticate],
                Step::WithCode => &[Call::Authenticate, Call::Account],
            },
            flags: self.flags,
            notice: &|_| {},
        };
        let codes = transact(&application, &mut |message| questions.answer(message));
        match questions.failure {
            Some(failure) => Err(failure),
            None => Ok(Ended {
                codes,
                ran_dry: questions.ran_dry,
            }),
        }
    }
}

/// How a play ended.
pub(crate) struct Ended {
    /// The code of each call of libpam. The error: libpam did not start.
    pub(crate) codes: Result<Vec<PamCode>, PamCode>,
    /// Standard input ended before a question was answered.
    pub(crate) ran_dry: bool,
}

fn usual_tty(service: &str) -> Option<String> {
    if service == "sshd" {
        return Some("ssh".to_owned());
    }
    ttyname(io::stdin()).ok()?.to_str().map(str::to_owned)
}

/// Makes the caller the real user of this process, as of a program with the setuid bit.
fn run_for(caller: &str) -> Result<(), Failure> {
    let root = Uid::from_raw(0);
    match User::from_name(caller) {
        Ok(Some(account)) => setresuid(account.uid, root, root)
            .map_err(|errno| Failure::BadParameter(format!("{caller}: {}", errno.desc()))),
        _ => Err(Failure::BadParameter(format!(
            "this machine has no account '{caller}': name the user that is to run su, with --caller"
        ))),
    }
}

/// The conversation of one play.
struct Questions<'a> {
    step: Step,
    prompt: &'a Prompt,
    output: &'a Output,
    /// The questions that the user has left empty in the play without a code.
    left_empty: BTreeSet<String>,
    ran_dry: bool,
    failure: Option<Failure>,
}

impl Questions<'_> {
    fn answer(&mut self, message: &Message<'_>) -> Reply {
        let told = match message.style {
            Style::Hidden => self.ask(message.text, Prompt::ask_hidden),
            Style::Echoed => self.ask(message.text, Prompt::ask),
            Style::Error | Style::Info => self
                .output
                .page(&format!("{}\n", lines(message.text)))
                .map(|()| Reply::Null),
            Style::Unknown(_) => Ok(Reply::Fail(PamCode::CONV_ERR)),
        };
        told.unwrap_or_else(|failure| {
            self.failure = Some(failure);
            Reply::Fail(PamCode::CONV_ERR)
        })
    }

    /// Asks the user. In the play without a code, a module that asks again after an empty answer
    /// gets none: it was asked, and that is what the play is for.
    fn ask(
        &mut self,
        question: &str,
        read: impl Fn(&Prompt, &str) -> Result<Option<SecretText>, Failure>,
    ) -> Result<Reply, Failure> {
        if self.left_empty.contains(question) {
            return Ok(Reply::Fail(PamCode::CONV_ERR));
        }
        let typed = read(self.prompt, &lines(question))?;
        let Some(typed) = typed else {
            self.ran_dry = true;
            return Ok(Reply::Fail(PamCode::CONV_ERR));
        };
        if self.step == Step::WithoutCode && typed.expose().is_empty() {
            self.left_empty.insert(question.to_owned());
        }
        Ok(Reply::text(typed.expose()))
    }
}
