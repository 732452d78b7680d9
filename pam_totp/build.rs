//! Links the unwinder (libgcc_eh) into the module, so that no login process has to load
//! libgcc_s.so.1 for it: without that library, loading the module takes a third of the time.
//!
//! rustc itself asks the linker for `-lgcc_s`. A script of that name, found before the library,
//! hands out the static one instead. Panics still unwind up to `catch_unwind` and no further.

use std::path::PathBuf;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    let folder = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(folder.join("libgcc_s.so"), "GROUP ( -lgcc_eh )\n")?;
    println!("cargo::rustc-link-arg-cdylib=-L{}", folder.display());
    Ok(())
}
