//! The buffer protocol, both ways: a secure buffer's memory lent to Python, and Python's to a function
//! here. The one file of this crate with unsafe code.
#![allow(unsafe_code)]

use std::{ffi::c_int, ptr, slice};

use pyo3::{buffer::PyUntypedBuffer, exceptions::PyBufferError, ffi, prelude::*};
use strongroom_memory::{
    ArenaError,
    arena::{Buffer, Pin},
};

use crate::errors::Error;

/// Bytes in secure memory; `memoryview` and `NumPy` see them without a copy.
#[pyclass(frozen, module = "strongroom._core")]
pub(crate) struct SecureBuffer(Buffer);

impl SecureBuffer {
    pub(crate) const fn new(buffer: Buffer) -> Self {
        Self(buffer)
    }
}

#[pymethods]
impl SecureBuffer {
    /// What it is for.
    #[getter]
    fn purpose(&self) -> &str {
        self.0.purpose()
    }

    /// What holds its pages.
    #[getter]
    fn backing(&self) -> &'static str {
        self.0.backing().as_str()
    }

    /// Whether it was closed, or wiped for its age.
    #[getter]
    fn closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Wipes and frees it.
    fn close(&self) -> Result<(), Error> {
        Ok(self.0.close()?)
    }

    /// Copies bytes into it.
    #[pyo3(signature = (data, offset = 0))]
    fn write(&self, data: &Bound<'_, PyAny>, offset: usize) -> Result<(), Error> {
        let pin = self.0.pin()?;
        borrow(data, |bytes| {
            let end = offset.checked_add(bytes.len());
            if end.is_none_or(|end| end > self.0.len()) {
                return Err(Error::from(ArenaError::Invalid {
                    name: "data",
                    reason: "doesn't fit into the buffer there",
                }));
            }
            let start = pin.as_ptr().as_ptr().wrapping_add(offset);
            // SAFETY: the pin keeps the buffer, and the range was checked to lie inside it; `data` may
            // be a view of the same buffer, which `copy` allows. The GIL is held: no other function
            // here touches the bytes meanwhile.
            unsafe { ptr::copy(bytes.as_ptr(), start, bytes.len()) };
            Ok(())
        })?
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, _exception: &Bound<'_, pyo3::types::PyTuple>) -> Result<(), Error> {
        self.close()
    }

    fn __repr__(&self) -> String {
        format!(
            "<strongroom.SecureBuffer of {} bytes for {:?}{}>",
            self.0.len(),
            self.purpose(),
            if self.closed() { ", closed" } else { "" }
        )
    }

    /// Lends the memory, which stays until the view is released.
    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        if view.is_null() {
            return Err(PyBufferError::new_err("there is no view to fill"));
        }
        // SAFETY: Python hands over a view to fill. An error leaves no object in it.
        unsafe { (*view).obj = ptr::null_mut() };
        let buffer = &slf.get().0;
        let pin = Box::new(
            buffer
                .pin()
                .map_err(|error| PyErr::from(Error::from(error)))?,
        );
        let length = ffi::Py_ssize_t::try_from(buffer.len())?;
        let start = pin.as_ptr().as_ptr().cast();
        // SAFETY: a view to fill, with memory that is there and writable for as long as the pin lives,
        // which is until `__releasebuffer__`; Python calls that once for every view that was filled.
        let filled = unsafe { ffi::PyBuffer_FillInfo(view, slf.as_ptr(), start, length, 0, flags) };
        if filled != 0 {
            return Err(PyErr::fetch(slf.py()));
        }
        // SAFETY: as above.
        unsafe { (*view).internal = Box::into_raw(pin).cast() };
        Ok(())
    }

    /// Ends a view.
    #[allow(clippy::unused_self)]
    unsafe fn __releasebuffer__(&self, view: *mut ffi::Py_buffer) {
        // SAFETY: Python hands over a view that `__getbuffer__` filled, once.
        let pin = unsafe { (*view).internal.cast::<Pin>() };
        // SAFETY: what `__getbuffer__` left there.
        drop(unsafe { Box::from_raw(pin) });
    }
}

/// The bytes of a bytes-like object, for a moment.
pub(crate) fn borrow<R>(
    object: &Bound<'_, PyAny>,
    work: impl FnOnce(&[u8]) -> R,
) -> Result<R, Error> {
    let buffer = PyUntypedBuffer::get(object)?;
    if !buffer.is_c_contiguous() {
        return Err(PyBufferError::new_err("the bytes don't lie in a row").into());
    }
    let length = buffer.len_bytes();
    if length == 0 {
        return Ok(work(&[]));
    }
    let start = buffer.buf_ptr().cast::<u8>().cast_const();
    // SAFETY: `length` contiguous bytes, which the view keeps until it is dropped below. Nobody with
    // the GIL changes them meanwhile: `work` runs no Python. Who writes to them without it (NumPy in
    // another thread) races with every reader of the buffer protocol.
    let bytes = unsafe { slice::from_raw_parts(start, length) };
    let result = work(bytes);
    buffer.release(object.py());
    Ok(result)
}
