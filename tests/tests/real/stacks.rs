//! The module's answers in the stacks that people write around it.

use std::process::Command;

use tests::daemon::{Daemon, Setup};
use tests::libpam::{PamCode, Reply};
use tests::stack::{Login, Stack, auth_line, module};
use tests::tracee::wrapped;
use tests::world;

/// A stack whose lines have `TOTP` in the place of our module with its options.
struct Kind {
    name: &'static str,
    lines: &'static str,
    /// What is in the file `INNER`.
    inner: &'static str,
    /// A refusal comes from pam_deny, whatever our module's was.
    denies: bool,
}

const KINDS: [Kind; 6] = [
    Kind {
        name: "required",
        lines: "auth required TOTP",
        inner: "",
        denies: false,
    },
    Kind {
        name: "requisite",
        lines: "auth requisite TOTP",
        inner: "",
        denies: false,
    },
    Kind {
        name: "sufficient",
        lines: "auth sufficient TOTP\nauth required pam_deny.so",
        inner: "",
        denies: true,
    },
    Kind {
        name: "jump",
        lines: "auth [success=1 default=ignore] TOTP\nauth requisite pam_deny.so\nauth required pam_permit.so",
        inner: "",
        denies: true,
    },
    Kind {
        name: "substack",
        lines: "auth substack INNER",
        inner: "auth required TOTP",
        denies: false,
    },
    Kind {
        name: "include",
        lines: "auth include INNER",
        inner: "auth required TOTP",
        denies: false,
    },
];

impl Kind {
    fn stack(&self, daemon: &Daemon, options: &str) -> Stack {
        self.stack_with(
            &format!("socket={} {options}", daemon.login_socket().display()),
            "",
        )
    }

    /// With these lines after it.
    fn stack_with(&self, arguments: &str, after: &str) -> Stack {
        let line = format!("{} {arguments}", module().display());
        let text = |lines: &str| lines.replace("TOTP", &line) + "\n";
        // In a folder of service files libpam finds what is included by its whole path only.
        let inner = world::scratch_folder("inner").join("auth");
        std::fs::write(&inner, text(self.inner)).expect("the included file");
        Stack::new(
            self.name,
            &(text(self.lines).replace("INNER", &inner.display().to_string()) + after),
        )
    }

    fn refusal(&self, own: PamCode) -> PamCode {
        if self.denies { PamCode::AUTH_ERR } else { own }
    }

    fn expect_refusal(&self, login: &Login, own: PamCode) {
        assert_eq!(login.code, self.refusal(own), "{}", self.name);
    }
}

#[test]
fn in_every_stack_a_code_opens_once_and_every_refusal_refuses() {
    let _place = world::enter();
    let daemon = Daemon::start();
    for kind in &KINDS {
        let user = format!("in-{}", kind.name);
        let device = daemon.enroll(&user);
        let code = device.code();
        let once = kind.stack(&daemon, "retry=1");
        assert_eq!(
            once.login(&user, &[&code]).code,
            PamCode::SUCCESS,
            "{}",
            kind.name
        );
        kind.expect_refusal(&once.login(&user, &[&code]), PamCode::AUTH_ERR);
        kind.expect_refusal(&once.login(&user, &[&device.wrong()]), PamCode::AUTH_ERR);
        kind.expect_refusal(&once.login(&user, &["no code"]), PamCode::AUTH_ERR);
        kind.expect_refusal(&once.login("bob", &["123456"]), PamCode::AUTH_ERR);
        kind.expect_refusal(
            &once.replies(&user, [Reply::Fail(PamCode::CONV_ERR)]),
            PamCode::CONV_ERR,
        );
        kind.expect_refusal(
            &kind.stack(&daemon, "retry=2").login("bob", &["1", "2"]),
            PamCode::AUTH_ERR,
        );
        kind.expect_refusal(
            &kind.stack(&daemon, "user_unknown").login("bob", &["1"]),
            PamCode::USER_UNKNOWN,
        );
        kind.expect_refusal(
            &kind.stack(&daemon, "nulok").login(&user, &[&code]),
            PamCode::SERVICE_ERR,
        );
        kind.expect_refusal(
            &kind.stack(&daemon, "use_first_pass").login(&user, &[]),
            PamCode::AUTH_ERR,
        );
        let absent = kind.stack_with("socket=/run/nobody-listens-here", "");
        kind.expect_refusal(&absent.login(&user, &[&code]), PamCode::AUTHINFO_UNAVAIL);
    }
}

/// Shapes of stacks around our module, with a first factor that always succeeds: the lines, the
/// included file, and whether libpam asks our module at all.
const ENDS: [(&str, &str, &str, bool); 9] = [
    (
        "done-above",
        "auth [success=done default=ignore] pam_permit.so\nauth required TOTP",
        "",
        false,
    ),
    (
        "sufficient-above",
        "auth sufficient pam_permit.so\nauth required TOTP",
        "",
        false,
    ),
    (
        "jump-above",
        "auth [success=1 default=ignore] pam_permit.so\nauth required TOTP\nauth required pam_permit.so",
        "",
        false,
    ),
    (
        "included-sufficient",
        "auth include INNER\nauth required TOTP",
        "auth sufficient pam_permit.so\nauth required pam_deny.so",
        false,
    ),
    (
        "at-included",
        "@include INNER\nauth required TOTP",
        "auth sufficient pam_permit.so\nauth required pam_deny.so",
        false,
    ),
    (
        "included-done",
        "auth include INNER\nauth required TOTP",
        "auth [success=done default=die] pam_permit.so",
        false,
    ),
    (
        "substack-sufficient",
        "auth substack INNER\nauth required TOTP",
        "auth sufficient pam_permit.so\nauth required pam_deny.so",
        true,
    ),
    (
        "substack-jump",
        "auth substack INNER\nauth required TOTP",
        "auth [success=1 default=ignore] pam_permit.so\nauth required pam_permit.so",
        true,
    ),
    (
        "below",
        "auth required TOTP\nauth include INNER",
        "auth sufficient pam_permit.so\nauth required pam_deny.so",
        true,
    ),
];

#[test]
fn what_ends_the_stack_above_the_module_lets_in_without_it_unless_it_stands_in_a_substack() {
    let _place = world::enter();
    let daemon = Daemon::start();
    for (name, lines, inner, is_asked) in ENDS {
        let kind = Kind {
            name,
            lines,
            inner,
            denies: false,
        };
        let device = daemon.enroll(name);
        let stack = kind.stack(&daemon, "retry=1");
        let wrong = stack.login(name, &[&device.wrong()]);
        let expected = if is_asked {
            (PamCode::AUTH_ERR, 1)
        } else {
            (PamCode::SUCCESS, 0)
        };
        assert_eq!((wrong.code, wrong.prompts().len()), expected, "{name}");
        let right = stack.login(name, &[&device.code()]);
        assert_eq!(right.code, PamCode::SUCCESS, "{name}");
    }
}

#[test]
fn in_every_stack_who_needs_no_code_gets_in_only_by_another_line() {
    let _place = world::enter();
    let daemon = Setup::new()
        .with("rules: [{name: carol, users: [carol]}]\n")
        .start();
    daemon.enroll("carol");
    for (kind, (user, options)) in KINDS
        .iter()
        .flat_map(|kind| [("bob", "nullok"), ("carol", "")].map(|login| (kind, login)))
    {
        let alone = kind.stack(&daemon, options).login(user, &[]);
        assert_eq!(
            (alone.code, alone.said.len()),
            (kind.refusal(PamCode::PERM_DENIED), 0),
            "{} {user}",
            kind.name
        );
        let options = format!("socket={} {options}", daemon.login_socket().display());
        let permitted = kind
            .stack_with(&options, "auth required pam_permit.so\n")
            .login(user, &[]);
        let expected = if kind.denies {
            PamCode::AUTH_ERR
        } else {
            PamCode::SUCCESS
        };
        assert_eq!(
            (permitted.code, permitted.said.len()),
            (expected, 0),
            "{} {user}",
            kind.name
        );
    }
}

#[test]
fn in_every_stack_who_is_refused_unasked_is_refused() {
    let _place = world::enter();
    let daemon = Setup::new().with("unknown-users: deny\n").start();
    for kind in &KINDS {
        for (options, own) in [
            ("", PamCode::AUTH_ERR),
            ("user_unknown", PamCode::USER_UNKNOWN),
        ] {
            let refused = kind.stack(&daemon, options).login("bob", &[]);
            kind.expect_refusal(&refused, own);
            assert!(refused.said.is_empty(), "{}: {refused:?}", kind.name);
        }
    }
}

#[test]
fn what_a_module_before_it_said_does_not_cover_a_refusal() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let alice = daemon.enroll("alice");
    let line = auth_line(&daemon, "retry=1");
    // pam_faillock succeeds where no user is locked.
    let folder = world::scratch_folder("faillock");
    let before = format!(
        "auth required pam_faillock.so preauth dir={} deny=100\n",
        folder.display()
    );
    for control in [
        "required",
        "requisite",
        "[success=ok default=bad]",
        "[success=ok default=die]",
    ] {
        let stack = Stack::new(
            "before",
            &(before.clone() + &line.replacen("required", control, 1)),
        );
        for (typed, code) in [
            (&alice.wrong(), PamCode::AUTH_ERR),
            (&String::new(), PamCode::AUTH_ERR),
        ] {
            assert_eq!(stack.login("alice", &[typed]).code, code, "{control}");
        }
        let failed = stack.replies("alice", [Reply::Fail(PamCode::CONV_ERR)]);
        assert_eq!(failed.code, PamCode::CONV_ERR, "{control}");
    }
    let stack = Stack::new("before", &(before + &line));
    assert_eq!(
        stack.login("alice", &[&alice.code()]).code,
        PamCode::SUCCESS
    );
}

#[test]
fn a_module_that_cannot_be_loaded_refuses_everybody() {
    let _place = world::enter();
    let daemon = Daemon::start();
    let code = daemon.enroll("alice").code();
    let folder = world::scratch_folder("unloadable");
    let whole = std::fs::read(module()).expect("the module");
    let broken = |name: &str, bytes: &[u8]| {
        std::fs::write(folder.join(name), bytes).expect("a file");
        folder.join(name)
    };
    let mut foreign = whole.clone();
    // The ELF header's machine: one that this is not.
    foreign[18..20].copy_from_slice(&[0xff, 0xff]);
    for file in [
        folder.join("absent.so"),
        folder.clone(),
        broken("empty.so", b""),
        broken("cut.so", &whole[..4096]),
        broken("text.so", b"no module"),
        broken("foreign.so", &foreign),
    ] {
        for control in [
            "required",
            "requisite",
            "sufficient",
            "[success=ok default=bad]",
        ] {
            let socket = daemon.login_socket();
            let line = format!(
                "auth {control} {} socket={}\n",
                file.display(),
                socket.display()
            );
            // In a process of its own: one that loads half a file may be ended for it.
            let ended = wrapped(
                Command::new("env"),
                &Stack::new("unloadable", &line),
                "alice",
                &code,
            );
            let allowed = [PamCode::SUCCESS, PamCode::IGNORE, PamCode::USER_UNKNOWN];
            assert!(
                ended.code.is_none_or(|code| !allowed.contains(&code)),
                "{file:?} {control}: {ended:?}"
            );
        }
    }
    assert_eq!(
        Stack::of(&daemon, "loadable", "")
            .login("alice", &[&code])
            .code,
        PamCode::SUCCESS
    );
}
