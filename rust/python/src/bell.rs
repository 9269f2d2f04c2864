//! One wake-up of an event loop for all the streams that got something.

use std::{
    os::fd::{AsFd, AsRawFd},
    sync::Arc,
};

use pyo3::prelude::*;

use crate::errors::Error;

/// Tells one reader of many streams which of them have something.
#[pyclass(frozen, module = "strongroom._core")]
pub(crate) struct Bell(pub(crate) Arc<strongroom_host::Bell>);

#[pymethods]
impl Bell {
    #[new]
    fn new() -> Result<Self, Error> {
        let bell = strongroom_host::Bell::new()
            .map_err(|error| Error::no_resources("descriptor", &error))?;
        Ok(Self(Arc::new(bell)))
    }

    /// A descriptor, the bell's own, that is readable when `take()` has something.
    fn fileno(&self) -> i32 {
        self.0.as_fd().as_raw_fd()
    }

    /// The keys of the streams that got something since the last call. Never blocks.
    fn take(&self) -> Result<Vec<u64>, Error> {
        Ok(self.0.take()?)
    }

    /// Tells the reader of `key` by hand.
    fn ring(&self, key: u64) -> Result<(), Error> {
        Ok(self.0.tell(key)?)
    }
}
