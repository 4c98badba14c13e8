//! A process that ends by itself leaves its writes to the system, synced or not; only one that is killed loses them here.

use std::{
    ffi::{OsStr, c_int},
    fs::{File, OpenOptions},
    os::unix::{ffi::OsStrExt as _, fs::FileExt as _},
};

use libsqlite3_sys::SQLITE_IOERR;

use super::{OVERLAYS, overlay::Disk};

unsafe extern "C" {
    /// Of the C library: calls the function when the process ends by `exit` or by returning from `main`.
    fn atexit(function: extern "C" fn()) -> c_int;
}

/// Has what is pending written when the process ends by itself. A kill or an abort does not come by here.
pub(super) fn write_through_at_exit() {
    // SAFETY: the function takes nothing and does not unwind: it has no panic in it.
    let code = unsafe { atexit(write_through) };
    assert_eq!(code, 0, "the C library has room for one more function");
}

extern "C" fn write_through() {
    for (path, overlay) in OVERLAYS.lock().iter() {
        // A file that is gone needs nothing.
        if let Ok(file) = OpenOptions::new().read(true).write(true).open(OsStr::from_bytes(path)) {
            // Nobody is left to be told of an error.
            let _ = overlay.sync(&mut Plain(file), 0);
        }
    }
}

/// The file without SQLite.
struct Plain(File);

fn code(_: std::io::Error) -> i32 {
    SQLITE_IOERR
}

impl Disk for Plain {
    fn read(&mut self, buffer: &mut [u8], offset: u64) -> Result<(), i32> {
        let mut read = 0;
        while read < buffer.len() {
            match self.0.read_at(&mut buffer[read..], offset + read as u64).map_err(code)? {
                0 => break,
                more => read += more,
            }
        }
        buffer[read..].fill(0);
        Ok(())
    }

    fn write(&mut self, bytes: &[u8], offset: u64) -> Result<(), i32> {
        self.0.write_all_at(bytes, offset).map_err(code)
    }

    fn truncate(&mut self, size: u64) -> Result<(), i32> {
        self.0.set_len(size).map_err(code)
    }

    fn size(&mut self) -> Result<u64, i32> {
        self.0.metadata().map(|metadata| metadata.len()).map_err(code)
    }

    fn sync(&mut self, _flags: i32) -> Result<(), i32> {
        Ok(())
    }
}
