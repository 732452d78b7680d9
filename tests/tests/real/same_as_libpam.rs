//! pam_stack reads service files and works out logins as the real libpam does: random stacks, with
//! includes, substacks, jumps and broken lines, are played through both.

use std::fs;
use std::path::{Path, PathBuf};

use pam_stack::{Circumstances, Code, Disk, Folders, Handler, check, play, read};
use tests::count;
use tests::libpam::{Application, Call, Reply, transact_if_started};
use tests::random::Random;
use tests::tracee::library;
use tests::world;

#[test]
fn random_stacks_end_in_pam_stack_as_in_libpam() {
    let _place = world::enter();
    let seed = count("PAM_TOTP_SEED", 1);
    let stacks = count("PAM_TOTP_STACKS", 2_000);
    println!("PAM_TOTP_SEED={seed} PAM_TOTP_STACKS={stacks}");
    let modules = Modules::build();
    let mut seen = Seen::default();
    for number in 0..stacks {
        let folder = world::scratch_folder("stack");
        let random = Random::new((seed as u64) << 32 | number as u64);
        let mut writer = Writer::new(random, &folder, &modules);
        let files = writer.write_all();
        let real = through_libpam(&folder);
        let ours = through_pam_stack(&folder);
        assert_eq!(ours, real, "stack {number} of seed {seed}:\n{files}");
        expect_findings(&folder, &real, &files);
        seen.count(&real);
        fs::remove_dir_all(&folder).expect("a folder to remove");
    }
    seen.expect_everything(stacks);
}

/// What the check says about all logins holds for this one: no login gets past it without a word.
fn expect_findings(folder: &Path, login: &Login, files: &str) {
    let stack = read(SERVICE, &Disk, &Folders::one(folder, true));
    let findings = check(&stack, Circumstances::default());
    let says = |kinds: &[&str]| findings.iter().any(|found| kinds.contains(&found.kind));
    if login.code != 0 {
        return;
    }
    assert!(
        login.was_asked() || says(&["not-asked", "not-named"]),
        "a login without our module is not found:\n{files}\n{findings:#?}"
    );
    let told_closed = findings
        .iter()
        .any(|found| found.kind == "never-in" && found.what.starts_with("no login"));
    assert!(!told_closed, "a login succeeds:\n{files}\n{findings:#?}");
}

/// How a login ended: the code, and the lines that were called, in order. `totp` stands in those of
/// our module.
#[derive(Debug, PartialEq, Eq)]
struct Login {
    code: i32,
    called: Vec<String>,
}

impl Login {
    fn was_asked(&self) -> bool {
        self.called.iter().any(|tag| tag.starts_with("totp"))
    }
}

fn through_libpam(folder: &Path) -> Login {
    let mut called = Vec::new();
    let application = Application {
        service: SERVICE,
        user: Some("alice"),
        confdir: Some(folder),
        items: &[],
        calls: &[Call::Authenticate],
        flags: 0,
        notice: &|_| {},
    };
    let code = transact_if_started(&application, &mut |message| {
        called.push(message.text.to_owned());
        Reply::Null
    });
    Login {
        code: code.unwrap_or_else(|refused| refused).0,
        called,
    }
}

fn through_pam_stack(folder: &Path) -> Login {
    let stack = read(SERVICE, &Disk, &Folders::one(folder, true));
    let played = play(&stack, answer);
    let tag = |at: &usize| argument(&stack.handlers[*at], 1).to_owned();
    Login {
        code: played.code.number(),
        called: played.called.iter().map(tag).collect(),
    }
}

fn answer(handler: &Handler) -> Code {
    let number = argument(handler, 0).parse().expect("a number");
    Code::from_number(number).expect("a code")
}

fn argument(handler: &Handler, place: usize) -> &str {
    &handler.module().expect("a module").arguments[place]
}

const SERVICE: &str = "door";

/// What the random stacks must have shown, so that agreement means something.
#[derive(Default)]
struct Seen {
    let_in: usize,
    let_in_without_us: usize,
    refused: usize,
    aborted: usize,
}

impl Seen {
    fn count(&mut self, login: &Login) {
        match login.code {
            0 if login.was_asked() => self.let_in += 1,
            0 => self.let_in_without_us += 1,
            26 if login.called.is_empty() => self.aborted += 1,
            _ => self.refused += 1,
        }
    }

    fn expect_everything(&self, stacks: usize) {
        let least = stacks / 100;
        for (what, found) in [
            ("let in after our module was asked", self.let_in),
            ("let in without our module", self.let_in_without_us),
            ("refused", self.refused),
            ("refused by a file that libpam cannot read", self.aborted),
        ] {
            println!("{found} of {stacks} stacks: {what}");
            assert!(found >= least, "only {found} stacks: {what}");
        }
    }
}

/// The test module, also under our module's name.
struct Modules {
    other: PathBuf,
    ours: PathBuf,
}

impl Modules {
    fn build() -> Self {
        let other = library("pam_answer", include_str!("answering_module.c"));
        let ours = other.with_file_name("pam_totp.so");
        fs::copy(&other, &ours).expect("a copy of the module");
        Self { other, ours }
    }
}

/// Writes random service files.
struct Writer<'a> {
    random: Random,
    folder: &'a Path,
    modules: &'a Modules,
    lines: usize,
    files: Vec<(PathBuf, String)>,
}

impl<'a> Writer<'a> {
    fn new(random: Random, folder: &'a Path, modules: &'a Modules) -> Self {
        Self {
            random,
            folder,
            modules,
            lines: 0,
            files: Vec::new(),
        }
    }

    /// The service and `other`; returns every file, for the message of a failure.
    fn write_all(&mut self) -> String {
        let other = self.file(2, true);
        let text = self.file(0, true);
        self.keep(self.folder.join("other"), other);
        if !self.random.one_in(50) {
            self.keep(self.folder.join(SERVICE), text);
        }
        let shown = self
            .files
            .iter()
            .map(|(path, text)| format!("== {}\n{text}", path.display()));
        shown.collect()
    }

    fn keep(&mut self, path: PathBuf, text: String) {
        fs::write(&path, &text).expect("a service file");
        self.files.push((path, text));
    }

    fn file(&mut self, depth: usize, may_be_cut_off: bool) -> String {
        let lines = self.random.below(7);
        let mut text: String = (0..lines).map(|_| self.line(depth)).collect();
        if may_be_cut_off && self.random.one_in(150) {
            text.push_str("auth required \\\n");
        }
        text
    }

    fn line(&mut self, depth: usize) -> String {
        match self.random.below(30) {
            0..=5 if depth < 3 => self.inclusion(depth),
            6 => self.odd_line(),
            _ => self.module_line(),
        }
    }

    fn inclusion(&mut self, depth: usize) -> String {
        let how = ["@include", "auth include", "auth substack"][self.random.below(3)];
        // After a failed @include in an included file, Debian's libpam takes actions from memory
        // that it has not set.
        let may_be_cut_off = how != "@include" || depth == 0;
        let text = self.file(depth + 1, may_be_cut_off);
        let path = self.folder.join(format!("part-{}", self.files.len()));
        self.keep(path.clone(), text);
        format!("{how} {}\n", path.display())
    }

    /// Lines that libpam cannot use, that are of another type, or that stand over several lines.
    fn odd_line(&mut self) -> String {
        let answer = self.module();
        match self.random.below(12) {
            0 => format!("auht required {answer}\n"),
            1 => format!("auth requierd {answer}\n"),
            2 => "auth required\n".to_owned(),
            3 => "auth\n".to_owned(),
            4 => "auth include /no/such/file\n".to_owned(),
            5 => "-auth optional /no/such/pam_gone.so\n".to_owned(),
            6 => format!("session required {answer}\n"),
            7 => format!("# auth required {answer}\n\n"),
            8 => format!("auth \\\n  required \\\n  {answer} # said\n"),
            9 => "auth [success=1 default=ignore] /no/such/pam_gone.so\n".to_owned(),
            10 => format!("Auth[default=ok]{answer}\n"),
            _ => format!("\t-AUTH  Required\t{answer}\n"),
        }
    }

    fn module_line(&mut self) -> String {
        let control = self.control();
        format!("auth {control} {}\n", self.module())
    }

    fn module(&mut self) -> String {
        self.lines += 1;
        let answer = random_code(&mut self.random);
        let (path, tag) = if self.random.one_in(3) {
            (&self.modules.ours, "totp")
        } else {
            (&self.modules.other, "line")
        };
        format!("{} {answer} {tag}-{}", path.display(), self.lines)
    }

    fn control(&mut self) -> String {
        let words = ["required", "requisite", "sufficient", "optional"];
        match self.random.below(8) {
            place @ 0..=3 => words[place].to_owned(),
            _ => self.bracket(),
        }
    }

    fn bracket(&mut self) -> String {
        let mut pairs = Vec::new();
        for _ in 0..self.random.below(4) {
            let answer = random_code(&mut self.random);
            let name = Code::from_number(answer).expect("a code").name();
            pairs.push(format!("{name}={}", self.action()));
        }
        if !self.random.one_in(4) {
            let place = self.random.below(pairs.len() + 1);
            pairs.insert(place, format!("default={}", self.action()));
        }
        format!("[{}]", pairs.join(" "))
    }

    fn action(&mut self) -> String {
        let words = ["ignore", "ok", "done", "bad", "die", "reset"];
        match self.random.below(9) {
            place @ 0..=5 => words[place].to_owned(),
            _ => (1 + self.random.below(2)).to_string(),
        }
    }
}

/// A return code of a module; the usual ones are more likely.
fn random_code(random: &mut Random) -> i32 {
    match random.below(8) {
        0..=3 => 0,
        4 => 7,
        5 => 25,
        6 => [9, 10, 12, 26, 28][random.below(5)],
        _ => random.below(31) as i32,
    }
}
