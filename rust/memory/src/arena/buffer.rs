//! A buffer, and the views through which alone its bytes are seen.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    ptr::NonNull,
    slice,
    sync::Arc,
};

use super::{ArenaError, Backing, held::Held};

/// Bytes in secure memory. They are wiped when it is dropped, when it has lain idle for longer than its
/// arena allows, and at exit.
pub struct Buffer(Arc<Held>);

// A buffer without bytes can't be had.
#[allow(clippy::len_without_is_empty)]
impl Buffer {
    pub(super) const fn new(held: Arc<Held>) -> Self {
        Self(held)
    }

    /// Bytes.
    pub fn len(&self) -> usize {
        self.0.length
    }

    /// What it is for, as it was allocated.
    pub fn purpose(&self) -> &str {
        &self.0.purpose
    }

    /// Whether it was closed, or wiped for its age.
    pub fn is_closed(&self) -> bool {
        self.0.is_gone()
    }

    /// What holds its pages.
    pub fn backing(&self) -> Backing {
        self.0.slot.backing
    }

    /// Its bytes, to read.
    ///
    /// # Errors
    /// [`ArenaError::Closed`], [`ArenaError::Expired`] and [`ArenaError::Forked`].
    pub fn view(&self) -> Result<View<'_>, ArenaError> {
        self.0.view()?;
        Ok(View(&self.0))
    }

    /// Its bytes, to write.
    ///
    /// # Errors
    /// As [`view`](Self::view).
    pub fn view_mut(&mut self) -> Result<ViewMut<'_>, ArenaError> {
        self.0.view()?;
        Ok(ViewMut(&self.0))
    }

    /// Keeps the memory where it is for as long as the pin lives, which gives no access to it by itself.
    ///
    /// # Errors
    /// As [`view`](Self::view).
    pub fn pin(&self) -> Result<Pin, ArenaError> {
        self.0.view()?;
        Ok(Pin(Arc::clone(&self.0)))
    }

    /// Wipes and frees it now.
    ///
    /// # Errors
    /// [`ArenaError::InUse`] while a [`Pin`] lives; the buffer is as it was.
    pub fn close(&self) -> Result<(), ArenaError> {
        self.0.close()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({:?}, {} bytes)", self.purpose(), self.len())
    }
}

/// The bytes of a buffer, to read.
pub struct View<'a>(&'a Held);

impl Deref for View<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the view was counted, so the memory stays, `length` bytes from there; `view_mut`
        // needs the buffer exclusively, which this borrows. Whoever writes through a pin's pointer
        // promised that no view lives.
        unsafe { slice::from_raw_parts(self.0.start().as_ptr(), self.0.length) }
    }
}

impl Drop for View<'_> {
    fn drop(&mut self) {
        self.0.unview();
    }
}

impl fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "View({:?}, {} bytes)", self.0.purpose, self.0.length)
    }
}

/// The bytes of a buffer, to write.
pub struct ViewMut<'a>(&'a Held);

impl Deref for ViewMut<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: as in `View`.
        unsafe { slice::from_raw_parts(self.0.start().as_ptr(), self.0.length) }
    }
}

impl DerefMut for ViewMut<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `View`; and this view borrows the buffer exclusively.
        unsafe { slice::from_raw_parts_mut(self.0.start().as_ptr(), self.0.length) }
    }
}

impl Drop for ViewMut<'_> {
    fn drop(&mut self) {
        self.0.unview();
    }
}

impl fmt::Debug for ViewMut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ViewMut({:?}, {} bytes)", self.0.purpose, self.0.length)
    }
}

/// Keeps a buffer's memory, even past the buffer: for whoever must hand out a pointer.
pub struct Pin(Arc<Held>);

impl Pin {
    /// Where the bytes are. Reading or writing there needs a promise: that the pin lives, that the
    /// process is not a forked child, and that nobody writes while another views.
    pub fn as_ptr(&self) -> NonNull<u8> {
        self.0.start()
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.0.unview();
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pin({:?}, {} bytes)", self.0.purpose, self.0.length)
    }
}
