//! The module's memory allocator: libc's, and an abort of the process when there is no memory.

use std::alloc::{GlobalAlloc, Layout, System};

/// Aborts the process at once when there is no memory. The standard library would first print to
/// standard error, read RUST_BACKTRACE, which the caller of sudo can set, and open files to resolve
/// symbols.
struct MemoryOrAbort;

#[global_allocator]
static MEMORY: MemoryOrAbort = MemoryOrAbort;

// SAFETY: every call goes to `System` unchanged, and every result back unchanged, but for null,
// after which nothing runs.
unsafe impl GlobalAlloc for MemoryOrAbort {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: `System` requires what the caller promises; so below.
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
    if memory.is_null() {
        std::process::abort()
    } else {
        memory
    }
}
