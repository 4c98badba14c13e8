//! One open file: its writes go to the overlay, all else to the file of the VFS below.

use std::{
    ffi::{c_int, c_void},
    mem::size_of,
    ptr, slice,
    sync::Arc,
};

use libsqlite3_sys::{
    SQLITE_ERROR, SQLITE_FCNTL_CHUNK_SIZE, SQLITE_FCNTL_SIZE_HINT, SQLITE_IOERR, SQLITE_IOERR_SHORT_READ,
    SQLITE_NOTFOUND, SQLITE_OK, sqlite3_file, sqlite3_int64, sqlite3_io_methods,
};

use super::{
    Argument, RawFile,
    overlay::{Disk, Overlay},
};

/// What SQLite holds as a `sqlite3_file`. The file of the VFS below lies right behind it.
#[repr(C, align(8))]
pub(super) struct OverlaidFile {
    base: sqlite3_file,
    /// From `Arc::into_raw`; null for files that need not outlive the process.
    overlay: *const Overlay,
}

impl OverlaidFile {
    /// Fills the memory before the file below is opened. `base` stays without methods: SQLite must not close it yet.
    ///
    /// # Safety
    /// `file` points to `szOsFile` writable bytes.
    pub(super) unsafe fn prepare(file: *mut Self, overlay: Option<Arc<Overlay>>) {
        let overlay = overlay.map_or(ptr::null(), Arc::into_raw);
        // SAFETY: the caller promises the room; nothing there needs to be dropped.
        unsafe { file.write(Self { base: sqlite3_file { pMethods: ptr::null() }, overlay }) };
    }

    /// Gives the file its methods, once the file below is open.
    ///
    /// # Safety
    /// `file` was prepared, and the file below opened.
    pub(super) unsafe fn opened(file: *mut Self) {
        // SAFETY: as the caller promises; the methods are static.
        unsafe { (*file).base.pMethods = &raw const METHODS };
    }

    /// Undoes [`Self::prepare`].
    ///
    /// # Safety
    /// `file` was prepared and is not used afterwards.
    pub(super) unsafe fn abandon(file: *mut Self) {
        // SAFETY: a non-null overlay came from `Arc::into_raw` and is given back once.
        unsafe {
            if !(*file).overlay.is_null() {
                drop(Arc::from_raw((*file).overlay));
                (*file).overlay = ptr::null();
            }
        }
    }

    /// The file of the VFS below.
    ///
    /// # Safety
    /// `file` points to `szOsFile` bytes.
    pub(super) unsafe fn below(file: *mut Self) -> RawFile {
        // SAFETY: `szOsFile` has room for both; the alignment of ours keeps theirs.
        unsafe { file.cast::<u8>().add(size_of::<Self>()).cast() }
    }
}

static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    // Version 2 has shared memory, but no memory-mapped reads: those would pass the overlay by.
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// Calls a method of the file below; `$missing` if it has none.
macro_rules! forward {
    ($file:ident, $method:ident, $missing:expr $(, $argument:expr)*) => {
        // SAFETY: SQLite calls methods of open files only, so the file below is open and its methods are set.
        unsafe {
            let below = OverlaidFile::below($file.cast());
            (*(*below).pMethods).$method.map_or($missing, |call| call(below $(, $argument)*))
        }
    };
}

/// The file below, as the overlay sees it.
struct Below(RawFile);

impl Disk for Below {
    fn read(&mut self, buffer: &mut [u8], offset: u64) -> Result<(), i32> {
        let (place, length) = (buffer.as_mut_ptr().cast::<c_void>(), length_of(buffer)?);
        match self.call(|file| forward!(file, xRead, SQLITE_ERROR, place, length, offset as sqlite3_int64)) {
            // The rest was filled with zeros.
            Err(SQLITE_IOERR_SHORT_READ) => Ok(()),
            other => other,
        }
    }

    fn write(&mut self, bytes: &[u8], offset: u64) -> Result<(), i32> {
        let (place, length) = (bytes.as_ptr().cast::<c_void>(), length_of(bytes)?);
        self.call(|file| forward!(file, xWrite, SQLITE_ERROR, place, length, offset as sqlite3_int64))
    }

    fn truncate(&mut self, size: u64) -> Result<(), i32> {
        self.call(|file| forward!(file, xTruncate, SQLITE_ERROR, size as sqlite3_int64))
    }

    fn size(&mut self) -> Result<u64, i32> {
        let mut size: sqlite3_int64 = 0;
        self.call(|file| forward!(file, xFileSize, SQLITE_ERROR, &raw mut size))?;
        u64::try_from(size).map_err(|_| SQLITE_IOERR)
    }

    fn sync(&mut self, flags: i32) -> Result<(), i32> {
        self.call(|file| forward!(file, xSync, SQLITE_ERROR, flags))
    }
}

impl Below {
    /// `self.0` is the overlaid file: `forward!` finds the one below.
    fn call(&self, method: impl FnOnce(RawFile) -> c_int) -> Result<(), i32> {
        match method(self.0) {
            SQLITE_OK => Ok(()),
            code => Err(code),
        }
    }
}

fn length_of(bytes: &[u8]) -> Result<c_int, i32> {
    c_int::try_from(bytes.len()).map_err(|_| SQLITE_IOERR)
}

fn code_of(result: Result<(), i32>) -> c_int {
    result.err().unwrap_or(SQLITE_OK)
}

/// The overlay of an open file, if it has one.
///
/// # Safety
/// SQLite calls methods of open files only, and closes a file after its last method has returned.
unsafe fn overlay_of<'a>(file: RawFile) -> Option<&'a Overlay> {
    // SAFETY: the pointer came from `Arc::into_raw` and is given back in `close`.
    unsafe { (*file.cast::<OverlaidFile>()).overlay.as_ref() }
}

unsafe extern "C" fn close(file: RawFile) -> c_int {
    let code = forward!(file, xClose, SQLITE_OK);
    // SAFETY: SQLite does not use a file after closing it.
    unsafe { OverlaidFile::abandon(file.cast()) };
    code
}

unsafe extern "C" fn read(file: RawFile, out: *mut c_void, amount: c_int, offset: sqlite3_int64) -> c_int {
    // SAFETY: SQLite gives `amount` writable bytes at `out`.
    let Some(overlay) = (unsafe { overlay_of(file) }) else {
        return forward!(file, xRead, SQLITE_ERROR, out, amount, offset);
    };
    // SAFETY: as above; `amount` is positive.
    let buffer = unsafe { slice::from_raw_parts_mut(out.cast::<u8>(), amount as usize) };
    match overlay.read(&mut Below(file), buffer, offset as u64) {
        Ok(length) if length == buffer.len() => SQLITE_OK,
        Ok(_) => SQLITE_IOERR_SHORT_READ,
        Err(code) => code,
    }
}

unsafe extern "C" fn write(file: RawFile, bytes: *const c_void, amount: c_int, offset: sqlite3_int64) -> c_int {
    // SAFETY: SQLite gives `amount` readable bytes.
    let Some(overlay) = (unsafe { overlay_of(file) }) else {
        return forward!(file, xWrite, SQLITE_ERROR, bytes, amount, offset);
    };
    // SAFETY: as above; `amount` is positive.
    let bytes = unsafe { slice::from_raw_parts(bytes.cast::<u8>(), amount as usize) };
    code_of(overlay.write(&mut Below(file), bytes, offset as u64))
}

unsafe extern "C" fn truncate(file: RawFile, size: sqlite3_int64) -> c_int {
    // SAFETY: the file is open.
    match unsafe { overlay_of(file) } {
        Some(overlay) => code_of(overlay.truncate(&mut Below(file), size as u64)),
        None => forward!(file, xTruncate, SQLITE_ERROR, size),
    }
}

unsafe extern "C" fn sync(file: RawFile, flags: c_int) -> c_int {
    // SAFETY: the file is open.
    match unsafe { overlay_of(file) } {
        Some(overlay) => code_of(overlay.sync(&mut Below(file), flags)),
        None => forward!(file, xSync, SQLITE_ERROR, flags),
    }
}

unsafe extern "C" fn file_size(file: RawFile, out: *mut sqlite3_int64) -> c_int {
    // SAFETY: the file is open.
    let Some(overlay) = (unsafe { overlay_of(file) }) else {
        return forward!(file, xFileSize, SQLITE_ERROR, out);
    };
    match overlay.size(&mut Below(file)) {
        Ok(size) => {
            // SAFETY: SQLite gives room for the answer.
            unsafe { *out = size as sqlite3_int64 };
            SQLITE_OK
        }
        Err(code) => code,
    }
}

unsafe extern "C" fn file_control(file: RawFile, operation: c_int, argument: Argument) -> c_int {
    // Both would make the file below grow ahead of a sync.
    if operation == SQLITE_FCNTL_SIZE_HINT || operation == SQLITE_FCNTL_CHUNK_SIZE {
        return SQLITE_OK;
    }
    forward!(file, xFileControl, SQLITE_NOTFOUND, operation, argument)
}

unsafe extern "C" fn lock(file: RawFile, level: c_int) -> c_int {
    forward!(file, xLock, SQLITE_ERROR, level)
}

unsafe extern "C" fn unlock(file: RawFile, level: c_int) -> c_int {
    forward!(file, xUnlock, SQLITE_ERROR, level)
}

unsafe extern "C" fn check_reserved_lock(file: RawFile, out: *mut c_int) -> c_int {
    forward!(file, xCheckReservedLock, SQLITE_ERROR, out)
}

unsafe extern "C" fn sector_size(file: RawFile) -> c_int {
    forward!(file, xSectorSize, 0)
}

unsafe extern "C" fn device_characteristics(file: RawFile) -> c_int {
    forward!(file, xDeviceCharacteristics, 0)
}

unsafe extern "C" fn shm_map(file: RawFile, page: c_int, size: c_int, extend: c_int, out: *mut *mut c_void) -> c_int {
    forward!(file, xShmMap, SQLITE_ERROR, page, size, extend, out)
}

unsafe extern "C" fn shm_lock(file: RawFile, offset: c_int, count: c_int, flags: c_int) -> c_int {
    forward!(file, xShmLock, SQLITE_ERROR, offset, count, flags)
}

unsafe extern "C" fn shm_barrier(file: RawFile) {
    // SAFETY: the file below is open.
    unsafe {
        let below = OverlaidFile::below(file.cast());
        if let Some(call) = (*(*below).pMethods).xShmBarrier {
            call(below);
        }
    }
}

unsafe extern "C" fn shm_unmap(file: RawFile, delete: c_int) -> c_int {
    forward!(file, xShmUnmap, SQLITE_OK, delete)
}
