//! A service as libpam reads it: the lines of type `auth` of its file and of everything that it
//! includes, as one chain of handlers.
//!
//! `include` adds the lines of another file as if they stood here; `substack` adds them one level
//! deeper. A line that libpam cannot use stays in the chain, as a handler that always fails.

use std::path::{Path, PathBuf};

use crate::control::Control;
use crate::files::{Files, Folders};
use crate::finding::Place;
use crate::line::{Line, lines, words};

/// One service, read.
#[derive(Debug)]
pub struct Stack {
    /// The service's name.
    pub service: String,
    /// The handlers for `auth`, in the order in which libpam calls them.
    pub handlers: Vec<Handler>,
    /// The service has no `auth` line, so that libpam takes those of the service `other`.
    pub is_other: bool,
    /// The service's own file, if it has one.
    pub file: Option<PathBuf>,
    /// Why libpam refuses to read the service: every login is then refused.
    pub refused: Option<(Option<Place>, String)>,
    /// Lines that libpam cannot use or reads in a surprising way.
    pub problems: Vec<(Place, String)>,
    /// Lines of other types (account, password, session) that name our module.
    pub misplaced: Vec<Place>,
}

/// One line of type `auth`.
#[derive(Clone, Debug)]
pub struct Handler {
    /// How many substacks it is in.
    pub level: usize,
    /// Where it stands.
    pub place: Place,
    /// What libpam does with the answer.
    pub control: Control,
    /// What is called.
    pub kind: Kind,
}

/// What libpam calls for a handler.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A module.
    Module(Module),
    /// Nothing: here a substack begins.
    Substack,
    /// Nothing: the line cannot be used, and counts as `perm_denied`.
    Broken,
}

/// A module of a line.
#[derive(Clone, Debug)]
pub struct Module {
    /// The file name without folder and `.so`.
    pub name: String,
    /// The arguments.
    pub arguments: Vec<String>,
    /// The file does not exist, and the answer is `module_unknown`.
    pub is_missing: bool,
    /// The line begins with `-`: a missing module is not logged.
    pub is_silent: bool,
}

impl Handler {
    /// The module, if the line has one.
    #[must_use]
    pub fn module(&self) -> Option<&Module> {
        match &self.kind {
            Kind::Module(module) => Some(module),
            Kind::Substack | Kind::Broken => None,
        }
    }

    /// Whether the line asks pam_totp.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.module().is_some_and(|module| is_ours(&module.name))
    }
}

/// Reads a service. Nothing fails: what cannot be read is told in the result.
#[must_use]
pub fn read(service: &str, files: &dyn Files, folders: &Folders) -> Stack {
    let name = service.to_ascii_lowercase();
    let mut own = Reader::new(files, folders);
    let file = own.open(&folders.services, &name);
    let mut refused = own.parse_service(&file);
    // libpam reads `other` for every service, and an error there refuses every service.
    let mut other = Reader::new(files, folders);
    if refused.is_none() && name != OTHER {
        let default = other.open(&folders.services, OTHER);
        refused = match (&file, &default) {
            (Opened::Missing, Opened::Missing) => Some((None, NO_FILE.to_owned())),
            _ => other.parse_service(&default),
        };
    }
    let is_other = own.handlers.is_empty() && refused.is_none();
    let chain = if is_other { other } else { own };
    Stack {
        service: name,
        handlers: chain.handlers,
        is_other,
        file: file.path().map(Path::to_owned),
        refused,
        problems: chain.problems,
        misplaced: chain.misplaced,
    }
}

/// A file that was looked for.
enum Opened {
    Missing,
    Unreadable(PathBuf, String),
    Text(PathBuf, String),
}

impl Opened {
    fn path(&self) -> Option<&Path> {
        match self {
            Self::Missing => None,
            Self::Unreadable(path, _) | Self::Text(path, _) => Some(path),
        }
    }
}

/// The refusal of a whole file.
type Refusal = (Option<Place>, String);

/// The types of lines that a file is read for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    All,
    Auth,
}

/// The control fields that add another file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inclusion {
    Include,
    Substack,
}

impl Inclusion {
    fn named(control: &str) -> Option<Self> {
        if control.eq_ignore_ascii_case("include") {
            Some(Self::Include)
        } else {
            control
                .eq_ignore_ascii_case("substack")
                .then_some(Self::Substack)
        }
    }
}

struct Reader<'a> {
    files: &'a dyn Files,
    folders: &'a Folders,
    handlers: Vec<Handler>,
    problems: Vec<(Place, String)>,
    misplaced: Vec<Place>,
    opened: usize,
}

impl<'a> Reader<'a> {
    fn new(files: &'a dyn Files, folders: &'a Folders) -> Self {
        Self {
            files,
            folders,
            handlers: Vec::new(),
            problems: Vec::new(),
            misplaced: Vec::new(),
            opened: 0,
        }
    }

    fn open(&self, folders: &[PathBuf], name: &str) -> Opened {
        let found = if name.starts_with('/') {
            vec![PathBuf::from(name)]
        } else {
            folders.iter().map(|folder| folder.join(name)).collect()
        };
        for path in found {
            match self.files.read(&path) {
                Ok(Some(text)) => return Opened::Text(path, text),
                Ok(None) => {}
                Err(error) => return Opened::Unreadable(path, error.to_string()),
            }
        }
        Opened::Missing
    }

    /// The service's own file. A missing one is no error: libpam then takes `other`.
    fn parse_service(&mut self, file: &Opened) -> Option<Refusal> {
        match file {
            Opened::Missing => None,
            Opened::Unreadable(path, why) => {
                Some((None, format!("{} cannot be read: {why}", path.display())))
            }
            Opened::Text(path, text) => self.parse(path, text, Wanted::All, (0, 0)).err(),
        }
    }

    /// Reads a file at an include depth and a substack level.
    fn parse(
        &mut self,
        path: &Path,
        text: &str,
        wanted: Wanted,
        depth: (usize, usize),
    ) -> Result<(), Refusal> {
        let found = lines(text);
        for line in &found.lines {
            let place = Place {
                file: path.to_owned(),
                line: line.number,
            };
            self.line(place, line, wanted, depth)?;
        }
        match found.cut_off {
            None => Ok(()),
            Some(line) => Err((
                Some(Place {
                    file: path.to_owned(),
                    line,
                }),
                "the file ends in the middle of a continued line ('\\' at the end)".to_owned(),
            )),
        }
    }

    fn line(
        &mut self,
        place: Place,
        line: &Line,
        wanted: Wanted,
        depth: (usize, usize),
    ) -> Result<(), Refusal> {
        let mut words = words(&line.text).into_iter();
        let first = words.next().unwrap_or_default();
        let (is_silent, kind) = match first.strip_prefix('-') {
            Some(kind) => (true, kind),
            None => (false, first.as_str()),
        };
        let is = |name: &str| kind.eq_ignore_ascii_case(name);
        if self.folders.at_include && is("@include") {
            return self.at_include(place, words.next(), wanted, depth);
        }
        if ["account", "password", "session"]
            .iter()
            .any(|name| is(name))
        {
            self.other_type(place, words);
            return Ok(());
        }
        if let Some(doubt) = line.doubt {
            self.problems.push((place.clone(), doubt.to_owned()));
        }
        if !is("auth") {
            self.problems.push((place.clone(), unknown_type(kind)));
            return self.of_unknown_type(place, words, depth);
        }
        self.auth(place, words, is_silent, depth)
    }

    /// libpam takes the line for a broken one of type `auth`, and still includes.
    fn of_unknown_type(
        &mut self,
        place: Place,
        mut words: impl Iterator<Item = String>,
        depth: (usize, usize),
    ) -> Result<(), Refusal> {
        let control = words.next();
        match control.as_deref().and_then(Inclusion::named) {
            Some(inclusion) => self.include(place, words.next(), inclusion, depth),
            None => self.broken(place, control.as_deref(), depth.1),
        }
    }

    /// A line of type `auth`, after that word.
    fn auth(
        &mut self,
        place: Place,
        mut words: impl Iterator<Item = String>,
        is_silent: bool,
        depth: (usize, usize),
    ) -> Result<(), Refusal> {
        let Some(control) = words.next() else {
            self.problems.push((place.clone(), NO_CONTROL.to_owned()));
            return self.broken(place, None, depth.1);
        };
        if let Some(inclusion) = Inclusion::named(&control) {
            return self.include(place, words.next(), inclusion, depth);
        }
        let (table, bad) = Control::parse(&control);
        if let Some(why) = bad {
            let what = format!(
                "libpam cannot read '{control}', and takes every answer as a failure: {why}"
            );
            self.problems.push((place.clone(), what));
        }
        let Some(path) = words.next() else {
            self.problems.push((place.clone(), NO_MODULE.to_owned()));
            return self.broken(place, Some(&control), depth.1);
        };
        let module = Module {
            name: module_name(&path),
            arguments: words.collect(),
            is_missing: self.is_missing(&path),
            is_silent,
        };
        self.push(Handler {
            level: depth.1,
            place,
            control: table,
            kind: Kind::Module(module),
        })
    }

    /// `include` and `substack`.
    fn include(
        &mut self,
        place: Place,
        name: Option<String>,
        inclusion: Inclusion,
        (depth, level): (usize, usize),
    ) -> Result<(), Refusal> {
        let is_substack = inclusion == Inclusion::Substack;
        if is_substack {
            self.push(Handler {
                level,
                place: place.clone(),
                control: Control::bad(),
                kind: Kind::Substack,
            })?;
        }
        let inner = (
            depth.saturating_add(1),
            level.saturating_add(is_substack.into()),
        );
        match self.load(name.as_deref(), Wanted::Auth, inner) {
            Ok(()) => Ok(()),
            Err((inner, why)) => {
                self.problems.push((inner.unwrap_or(place.clone()), why));
                self.broken(place, None, level)
            }
        }
    }

    /// Debian's `@include`. At the top of a file it has no type, and libpam refuses the file if it
    /// fails.
    fn at_include(
        &mut self,
        place: Place,
        name: Option<String>,
        wanted: Wanted,
        (depth, level): (usize, usize),
    ) -> Result<(), Refusal> {
        let inner = (depth.saturating_add(1), level);
        match (self.load(name.as_deref(), wanted, inner), wanted) {
            (Ok(()), _) => Ok(()),
            (Err((inner, why)), Wanted::All) => Err((inner.or(Some(place)), why)),
            (Err((inner, why)), Wanted::Auth) => {
                let what = format!("{why}; what libpam does then is not defined");
                self.problems.push((inner.unwrap_or(place.clone()), what));
                self.broken(place, None, level)
            }
        }
    }

    fn load(
        &mut self,
        name: Option<&str>,
        wanted: Wanted,
        depth: (usize, usize),
    ) -> Result<(), Refusal> {
        let name = name.ok_or((None, "no file is named after the include".to_owned()))?;
        self.opened = self.opened.saturating_add(1);
        if depth.0 >= DEEPEST || self.opened > MOST_FILES {
            return Err((
                None,
                format!("'{name}' is included too deep or too often: a file may include itself"),
            ));
        }
        match self.open(&self.folders.includes, name) {
            Opened::Text(path, text) => self.parse(&path, &text, wanted, depth),
            Opened::Unreadable(path, why) => Err((
                None,
                format!("the included file {} cannot be read: {why}", path.display()),
            )),
            Opened::Missing => Err((None, format!("the included file '{name}' does not exist"))),
        }
    }

    /// A line that libpam keeps as a handler that always fails.
    fn broken(&mut self, place: Place, control: Option<&str>, level: usize) -> Result<(), Refusal> {
        self.push(Handler {
            level,
            place,
            control: control.map_or_else(Control::bad, |field| Control::parse(field).0),
            kind: Kind::Broken,
        })
    }

    fn push(&mut self, handler: Handler) -> Result<(), Refusal> {
        if self.handlers.len() >= MOST_HANDLERS {
            return Err((
                Some(handler.place),
                "the service has too many lines".to_owned(),
            ));
        }
        self.handlers.push(handler);
        Ok(())
    }

    /// Our module answers `auth` only.
    fn other_type(&mut self, place: Place, words: impl Iterator<Item = String>) {
        if words
            .skip(1)
            .take(1)
            .any(|path| is_ours(&module_name(&path)))
        {
            self.misplaced.push(place);
        }
    }

    fn is_missing(&self, path: &str) -> bool {
        let exists = |path: &Path| self.files.exists(path) != Some(false);
        if path.starts_with('/') {
            return !path.contains("$ISA") && !exists(Path::new(path));
        }
        !self.folders.modules.is_empty()
            && !self
                .folders
                .modules
                .iter()
                .any(|folder| exists(&folder.join(path)))
    }
}

fn module_name(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.strip_suffix(".so").unwrap_or(name).to_owned()
}

/// Our module, as installed or as built.
fn is_ours(name: &str) -> bool {
    matches!(name, "pam_totp" | "libpam_totp")
}

fn unknown_type(kind: &str) -> String {
    if kind.eq_ignore_ascii_case("@include") {
        "this system's libpam does not know '@include', and takes the line as a failure: write 'auth include FILE'".to_owned()
    } else {
        format!(
            "'{kind}' is no type of line (auth, account, password, session), and libpam takes the line as a failure of 'auth'"
        )
    }
}

const OTHER: &str = "other";
const NO_FILE: &str = "neither the service nor 'other' has a file in a folder that libpam reads";
const NO_CONTROL: &str = "the line has no control field (required, sufficient, …)";
const NO_MODULE: &str = "the line names no module";
/// As in libpam, PAM_SUBSTACK_MAX_LEVEL. Before version 1.6 only substacks counted, and a file that
/// included itself crashed the application.
const DEEPEST: usize = 16;
const MOST_FILES: usize = 256;
const MOST_HANDLERS: usize = 512;
