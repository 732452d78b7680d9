//! A PAM stack in a folder of its own, and an application that logs in through it.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::daemon::Daemon;
use crate::libpam::{Application, Call, Item, Message, PamCode, Reply, SILENT, Style, transact};
use crate::world;

/// One service, with everything else denied.
pub struct Stack {
    folder: TempDir,
    service: String,
}

impl Stack {
    /// A service of these lines. Every test gives its service a name of its own, to find it in the
    /// logs.
    #[must_use]
    pub fn new(service: &str, lines: &str) -> Self {
        let folder = tempfile::tempdir_in(world::scratch()).expect("a folder for service files");
        let deny = "auth required pam_deny.so\naccount required pam_deny.so\n";
        std::fs::write(folder.path().join("other"), deny).expect("the other service");
        std::fs::write(folder.path().join(service), lines).expect("the service");
        Self {
            folder,
            service: service.to_owned(),
        }
    }

    /// The usual one: our module alone, told where the daemon is and given these options besides.
    #[must_use]
    pub fn of(daemon: &Daemon, service: &str, options: &str) -> Self {
        Self::new(service, &auth_line(daemon, options))
    }

    /// A stack that succeeds only if our module says PAM_IGNORE. libpam never returns that code to
    /// an application.
    #[must_use]
    pub fn expecting_ignore(daemon: &Daemon, service: &str, options: &str) -> Self {
        let line = auth_line(daemon, options).replace("required", "[ignore=1 default=die]");
        Self::new(
            service,
            &format!("{line}auth required pam_deny.so\nauth required pam_permit.so\n"),
        )
    }

    /// Logs `user` in, answering the prompts with `codes` in turn. A prompt too many is not
    /// answered.
    pub fn login(&self, user: &str, codes: &[&str]) -> Login {
        self.replies(user, codes.iter().map(|code| Reply::text(code)))
    }

    /// Logs `user` in, doing with the prompts what `replies` says. A prompt too many fails the
    /// conversation.
    pub fn replies(&self, user: &str, replies: impl IntoIterator<Item = Reply>) -> Login {
        let mut replies = replies.into_iter();
        self.converse(user, |_| {
            replies.next().unwrap_or(Reply::Fail(PamCode::CONV_ERR))
        })
    }

    /// Logs `user` in. `answer` sees the prompts; information needs no answer.
    pub fn converse(&self, user: &str, answer: impl FnMut(&Message<'_>) -> Reply) -> Login {
        self.attempt(user).run(answer)
    }

    /// A login with more to set.
    #[must_use]
    pub fn attempt<'a>(&'a self, user: &'a str) -> Attempt<'a> {
        Attempt {
            stack: self,
            user: Some(user),
            items: Vec::new(),
            calls: vec![Call::Authenticate],
            flags: 0,
        }
    }

    /// The folder of the service file.
    #[must_use]
    pub fn confdir(&self) -> &Path {
        self.folder.path()
    }

    /// The service's name.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.service
    }
}

/// One run of an application, before it starts.
pub struct Attempt<'a> {
    stack: &'a Stack,
    user: Option<&'a str>,
    items: Vec<(Item, String)>,
    calls: Vec<Call>,
    flags: i32,
}

impl Attempt<'_> {
    /// Sets an item first.
    #[must_use]
    pub fn item(mut self, item: Item, value: &str) -> Self {
        self.items.push((item, value.to_owned()));
        self
    }

    /// Makes these calls instead of pam_authenticate alone.
    #[must_use]
    pub fn calls(mut self, calls: &[Call]) -> Self {
        self.calls = calls.to_vec();
        self
    }

    /// Wants no information, prompts only.
    #[must_use]
    pub fn silent(mut self) -> Self {
        self.flags |= SILENT;
        self
    }

    /// Plays it.
    pub fn run(self, mut answer: impl FnMut(&Message<'_>) -> Reply) -> Login {
        self.run_reading(|message, _| answer(message))
    }

    /// Plays it. `answer` sees the prompts, and everything that was said before them.
    pub fn run_reading(
        self,
        mut answer: impl FnMut(&Message<'_>, &[(Style, String)]) -> Reply,
    ) -> Login {
        let application = Application {
            service: &self.stack.service,
            user: self.user,
            confdir: Some(self.stack.confdir()),
            items: &self.items,
            calls: &self.calls,
            flags: self.flags,
            notice: &|_| {},
        };
        let mut said = Vec::new();
        let code = transact(&application, &mut |message| {
            said.push((message.style, message.text.to_owned()));
            if message.is_prompt() {
                answer(message, &said)
            } else {
                Reply::Null
            }
        });
        Login { code, said }
    }
}

/// How a login went.
#[derive(Debug)]
pub struct Login {
    /// What libpam returned.
    pub code: PamCode,
    /// Every message, in order.
    pub said: Vec<(Style, String)>,
}

impl Login {
    /// The texts of the prompts.
    #[must_use]
    pub fn prompts(&self) -> Vec<&str> {
        self.texts(|style| matches!(style, Style::Hidden | Style::Echoed))
    }

    /// The texts that were not prompts.
    #[must_use]
    pub fn told(&self) -> Vec<&str> {
        self.texts(|style| matches!(style, Style::Error | Style::Info))
    }

    fn texts(&self, wanted: impl Fn(Style) -> bool) -> Vec<&str> {
        self.said
            .iter()
            .filter(|(style, _)| wanted(*style))
            .map(|(_, text)| text.as_str())
            .collect()
    }
}

/// `auth required` our module, told where `daemon` is.
#[must_use]
pub fn auth_line(daemon: &Daemon, options: &str) -> String {
    let socket = daemon.login_socket();
    format!(
        "auth required {} socket={} {options}\n",
        module().display(),
        socket.display()
    )
}

/// The module under test.
#[must_use]
pub fn module() -> PathBuf {
    world::built("libpam_totp.so")
}
