//! The module's memory: libc's, or the end of the process.

use std::alloc::{GlobalAlloc, Layout, System};

/// Ends the process at once where there is no memory. Left to itself the standard library would first print to standard
/// error, read RUST_BACKTRACE, which under sudo the caller sets, and open files to name what it prints.
struct MemoryOrAbort;

#[global_allocator]
static MEMORY: MemoryOrAbort = MemoryOrAbort;

// SAFETY: every call goes to `System` as it came, and every answer back, but for null, after which nothing runs.
unsafe impl GlobalAlloc for MemoryOrAbort {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is the one that is asked for; so below.
        or_abort(unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        or_abort(unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        or_abort(unsafe { System.realloc(memory, layout, size) })
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }
}

fn or_abort(memory: *mut u8) -> *mut u8 {
    if memory.is_null() { std::process::abort() } else { memory }
}
