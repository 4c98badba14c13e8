//! `viberchat-unsynced`: a SQLite VFS that keeps writes in the process until `xSync`.
//!
//! A killed process leaves its writes in the page cache of the system, so killing it proves nothing about `synchronous`.
//! With this file layer a killed process leaves what it synced, as a machine without power does: a store that
//! acknowledges before it syncs loses what it acknowledged, and the history checker sees it.
//!
//! Map: `overlay` is the safe heart, the writes of one file that the disk does not have yet; `file` is the FFI of one open
//! file; `exit` writes what is pending when the process ends by itself; this module registers the VFS and opens, deletes
//! and asks for files.
//!
//! Invariants
//! - An overlay belongs to a path and is shared by all handles of the process, as the page cache is. It outlives them.
//! - Locks and shared memory are those of the default VFS, so a second process is fenced off from the same file, but does
//!   not see what is not synced: at most one process at a time may use a file by this VFS.
//! - Deleting a file takes effect at once; directories are not simulated.

mod exit;
mod file;
mod overlay;

use std::{
    collections::HashMap,
    ffi::{CStr, c_char, c_int, c_void},
    mem::size_of,
    ptr,
    sync::{Arc, LazyLock, OnceLock},
};

use libsqlite3_sys::{
    SQLITE_ERROR, SQLITE_OK, SQLITE_OPEN_DELETEONCLOSE, SQLITE_OPEN_MAIN_DB, SQLITE_OPEN_MAIN_JOURNAL, SQLITE_OPEN_WAL,
    sqlite3_file, sqlite3_vfs, sqlite3_vfs_find, sqlite3_vfs_register,
};
use parking_lot::Mutex;

use self::{file::OverlaidFile, overlay::Overlay};

/// The name under which connections ask for the VFS.
const NAME: &CStr = c"viberchat-unsynced";

/// The overlays of all files that were opened by this process.
static OVERLAYS: LazyLock<Mutex<HashMap<Vec<u8>, Arc<Overlay>>>> = LazyLock::new(Mutex::default);

/// Registers the VFS, on the first call, and returns its name. It does not become the default.
///
/// # Panics
/// If SQLite has no default VFS or refuses the registration: a test process cannot go on without.
pub(crate) fn register() -> &'static str {
    static REGISTERED: OnceLock<&'static str> = OnceLock::new();
    REGISTERED.get_or_init(|| {
        // SAFETY: the default VFS lives as long as the process. Ours is leaked, so it does too, and all its functions keep
        // to the contract of `sqlite3_vfs`. `sqlite3_vfs_find` initialises the library.
        let code = unsafe {
            let parent = sqlite3_vfs_find(ptr::null());
            assert!(!parent.is_null(), "SQLite has a default VFS");
            sqlite3_vfs_register(Box::into_raw(Box::new(overlaying(parent))), 0)
        };
        assert_eq!(code, SQLITE_OK, "SQLite takes the VFS");
        exit::write_through_at_exit();
        NAME.to_str().expect("the name is ASCII")
    })
}

/// The VFS over `parent`. What it does not change goes to the parent's own functions.
///
/// # Safety
/// `parent` points to a registered VFS that is never unregistered.
unsafe fn overlaying(parent: *mut sqlite3_vfs) -> sqlite3_vfs {
    // SAFETY: the caller promises a valid VFS.
    let base = unsafe { &*parent };
    sqlite3_vfs {
        // Version 2 ends before the system call overrides, which are the parent's own matter.
        iVersion: base.iVersion.min(2),
        szOsFile: base.szOsFile + c_int::try_from(size_of::<OverlaidFile>()).expect("the struct is small"),
        mxPathname: base.mxPathname,
        pNext: ptr::null_mut(),
        zName: NAME.as_ptr(),
        pAppData: parent.cast(),
        xOpen: Some(open),
        xDelete: Some(delete),
        xAccess: Some(access),
        xFullPathname: Some(full_pathname),
        // The unix VFS ignores its first argument in the rest, so they are taken as they are.
        xDlOpen: base.xDlOpen,
        xDlError: base.xDlError,
        xDlSym: base.xDlSym,
        xDlClose: base.xDlClose,
        xRandomness: base.xRandomness,
        xSleep: base.xSleep,
        xCurrentTime: base.xCurrentTime,
        xGetLastError: base.xGetLastError,
        xCurrentTimeInt64: base.xCurrentTimeInt64,
        xSetSystemCall: None,
        xGetSystemCall: None,
        xNextSystemCall: None,
    }
}

/// The VFS below.
///
/// # Safety
/// `vfs` is the one that [`register`] made.
unsafe fn parent_of<'a>(vfs: *mut sqlite3_vfs) -> &'a mut sqlite3_vfs {
    // SAFETY: `pAppData` was set to the parent, which lives as long as the process; SQLite never writes to it.
    unsafe { &mut *(*vfs).pAppData.cast::<sqlite3_vfs>() }
}

unsafe extern "C" fn open(
    vfs: *mut sqlite3_vfs,
    name: *const c_char,
    file: *mut sqlite3_file,
    flags: c_int,
    flags_out: *mut c_int,
) -> c_int {
    let durable = flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL) != 0
        && flags & SQLITE_OPEN_DELETEONCLOSE == 0
        && !name.is_null();
    // SAFETY: SQLite gives `szOsFile` bytes at `file`; ours come first, the parent's file lies behind them. `name` is kept by
    // SQLite until the file is closed.
    unsafe {
        let overlaid = file.cast::<OverlaidFile>();
        let overlay = durable.then(|| overlay_of(CStr::from_ptr(name).to_bytes()));
        OverlaidFile::prepare(overlaid, overlay);
        let parent = parent_of(vfs);
        let Some(parent_open) = parent.xOpen else { return SQLITE_ERROR };
        let code = parent_open(parent, name, OverlaidFile::below(overlaid), flags, flags_out);
        if code == SQLITE_OK {
            OverlaidFile::opened(overlaid);
        } else {
            OverlaidFile::abandon(overlaid);
        }
        code
    }
}

fn overlay_of(path: &[u8]) -> Arc<Overlay> {
    Arc::clone(OVERLAYS.lock().entry(path.to_vec()).or_default())
}

unsafe extern "C" fn delete(vfs: *mut sqlite3_vfs, name: *const c_char, sync_directory: c_int) -> c_int {
    // SAFETY: SQLite gives a path that ends in a zero byte.
    unsafe {
        OVERLAYS.lock().remove(CStr::from_ptr(name).to_bytes());
        let parent = parent_of(vfs);
        parent.xDelete.map_or(SQLITE_ERROR, |call| call(parent, name, sync_directory))
    }
}

unsafe extern "C" fn access(vfs: *mut sqlite3_vfs, name: *const c_char, flags: c_int, out: *mut c_int) -> c_int {
    // The parent says of an empty file that it does not exist, which is wrong while its content is in an overlay.
    // SAFETY: SQLite gives a path that ends in a zero byte, and room for the answer.
    unsafe {
        let parent = parent_of(vfs);
        let code = parent.xAccess.map_or(SQLITE_ERROR, |call| call(parent, name, flags, out));
        let held = OVERLAYS.lock().get(CStr::from_ptr(name).to_bytes()).is_some_and(|overlay| overlay.holds_content());
        if code == SQLITE_OK && held {
            *out = 1;
        }
        code
    }
}

unsafe extern "C" fn full_pathname(vfs: *mut sqlite3_vfs, name: *const c_char, size: c_int, out: *mut c_char) -> c_int {
    // SAFETY: the arguments are SQLite's own.
    unsafe {
        let parent = parent_of(vfs);
        parent.xFullPathname.map_or(SQLITE_ERROR, |call| call(parent, name, size, out))
    }
}

/// What an `extern "C"` function of a file needs as its own address.
type RawFile = *mut sqlite3_file;

/// What a file control gets.
type Argument = *mut c_void;

#[cfg(test)]
mod tests;
