//! The model's image as llama.cpp wants it: a `FILE`.

use std::{
    io,
    os::fd::{AsRawFd, IntoRawFd, OwnedFd},
    ptr::NonNull,
};

/// An open image. Opened before the sandbox closes, read when the model is loaded.
#[derive(Debug)]
pub struct ImageFile {
    file: NonNull<libc::FILE>,
    length: u64,
}

impl ImageFile {
    /// Takes over `descriptor`, which must have an open file description of its own: the offset
    /// moves.
    ///
    /// # Errors
    /// What `fstat` or `fdopen` say.
    pub fn open(descriptor: OwnedFd) -> io::Result<Self> {
        // SAFETY: `stat` is plain old data, for which zeros are a value.
        let mut status: libc::stat = unsafe { std::mem::zeroed() };
        // SAFETY: the descriptor is open and `status` is writable.
        if unsafe { libc::fstat(descriptor.as_raw_fd(), &raw mut status) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is open and the mode is a string that ends in NUL.
        let file = unsafe { libc::fdopen(descriptor.as_raw_fd(), c"rb".as_ptr()) };
        let file = NonNull::new(file).ok_or_else(io::Error::last_os_error)?;
        // The stream owns the descriptor from here on.
        let _ = descriptor.into_raw_fd();
        Ok(Self {
            file,
            length: u64::try_from(status.st_size).unwrap_or(0),
        })
    }

    /// Its size in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    pub(crate) fn as_ptr(&self) -> *mut libc::FILE {
        self.file.as_ptr()
    }
}

impl Drop for ImageFile {
    fn drop(&mut self) {
        // SAFETY: the stream is open and this is its only owner; llama.cpp doesn't close it.
        unsafe { libc::fclose(self.file.as_ptr()) };
    }
}
