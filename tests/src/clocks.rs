//! Clocks in the test's hand: a daemon's time stands still, and passes, jumps or begins anew when
//! the test says so.
//!
//! Nothing happens to the machine's own clock, and no step begins while a test is busy.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};

use nix::libc::O_NONBLOCK;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::daemon::Setup;
use crate::oathtool;
use crate::tracee::library;
use crate::world;

/// The clocks of one daemon.
pub struct Clocks {
    file: File,
    path: PathBuf,
    bell: PathBuf,
    hands: Mutex<Hands>,
}

/// In milliseconds, as the preloaded library reads them.
#[derive(Clone, Copy)]
struct Hands {
    wall: i64,
    running: i64,
    synchronised: i64,
    boot: i64,
}

impl Clocks {
    /// They stand at the beginning of a step of now, ten minutes after the machine was started.
    #[must_use]
    pub fn new() -> Self {
        Self::at(oathtool::now() / 300 * 300)
    }

    /// The same at a time in Unix seconds.
    #[must_use]
    pub fn at(seconds: i64) -> Self {
        let folder = world::scratch_folder("clocks");
        let (path, bell) = (folder.join("clocks"), folder.join("bell"));
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .expect("a file for the clocks");
        mkfifo(&bell, Mode::from_bits_truncate(0o600)).expect("a pipe for the bell");
        let hands = Hands {
            wall: seconds * 1000,
            running: 600_000,
            synchronised: 1,
            boot: 1,
        };
        let clocks = Self {
            file,
            path,
            bell,
            hands: Mutex::new(hands),
        };
        clocks.turn(|_| ());
        clocks
    }

    /// Gives the daemon-to-be these clocks.
    #[must_use]
    pub fn of(&self, mut setup: Setup) -> Setup {
        setup.environment.extend(self.environment());
        setup
    }

    /// What a program is started with that goes by these clocks.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, PathBuf); 3] {
        [
            ("LD_PRELOAD", world::preloading(&preloaded())),
            ("CLOCKS", self.path.clone()),
            ("CLOCKS_BELL", self.bell.clone()),
        ]
    }

    /// Unix seconds.
    #[must_use]
    pub fn now(&self) -> i64 {
        self.hands.lock().expect("the clocks").wall / 1000
    }

    /// Time passes.
    pub fn pass(&self, seconds: i64) {
        self.turn(|hands| {
            (hands.wall, hands.running) =
                (hands.wall + seconds * 1000, hands.running + seconds * 1000)
        });
    }

    /// The clock moves, and the kernel notifies no process: a virtual machine was stopped for a
    /// while, or slewed.
    pub fn move_by(&self, millis: i64) {
        self.turn(|hands| hands.wall += millis);
    }

    /// An administrator sets the clock, and the kernel notifies the processes that wait for that.
    pub fn set_by(&self, seconds: i64) {
        self.move_by(seconds * 1000);
        let bell = OpenOptions::new()
            .write(true)
            .custom_flags(O_NONBLOCK)
            .open(&self.bell);
        bell.expect("a daemon that listens")
            .write_all(b"!")
            .expect("the bell");
    }

    /// The machine is started anew, and its clock says that it was off for so long.
    pub fn boot_after(&self, seconds: i64) {
        self.turn(|hands| {
            *hands = Hands {
                wall: hands.wall + seconds * 1000,
                running: 5000,
                boot: hands.boot + 1,
                ..*hands
            };
        });
    }

    /// What the kernel says of its clock; `None` is nothing.
    pub fn synchronised(&self, synchronised: Option<bool>) {
        self.turn(|hands| hands.synchronised = synchronised.map_or(-1, i64::from));
    }

    fn turn(&self, turn: impl FnOnce(&mut Hands)) {
        let mut hands = self.hands.lock().expect("the clocks");
        turn(&mut hands);
        let numbers =
            [hands.wall, hands.running, hands.synchronised, hands.boot].map(i64::to_ne_bytes);
        self.file
            .write_all_at(numbers.as_flattened(), 0)
            .expect("the clocks");
    }
}

impl Default for Clocks {
    fn default() -> Self {
        Self::new()
    }
}

/// Gives the daemon-to-be a clock that runs so many seconds ahead of the machine's.
#[must_use]
pub fn ahead(mut setup: Setup, seconds: i64) -> Setup {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    let library =
        LIBRARY.get_or_init(|| library("clock-ahead-library", include_str!("clock_ahead.c")));
    setup.environment.extend([
        ("LD_PRELOAD", world::preloading(library)),
        ("CLOCK_AHEAD", seconds.to_string().into()),
    ]);
    setup
}

fn preloaded() -> PathBuf {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY
        .get_or_init(|| library("clocks-library", include_str!("clocks.c")))
        .clone()
}
