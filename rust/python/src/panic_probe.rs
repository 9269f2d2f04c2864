//! Panics on demand, wherever work is done without the GIL.

use pyo3::{exceptions::PyValueError, prelude::*};
use strongroom_host::HostError;

use crate::{detach, errors::Error};

/// Panics in the place that is named.
#[pyfunction]
pub(crate) fn panic(py: Python<'_>, place: &str) -> Result<(), Error> {
    match place {
        "here" => fall(),
        "run" => detach::run(py, fall::<()>),
        "interruptible" => detach::interruptible(py, None, |_| fall::<Result<(), HostError>>())?,
        "wait" => detach::wait(py, |_| fall::<Result<Option<()>, HostError>>())?,
        "abandonable" => detach::abandonable(py, fall::<Result<(), HostError>>)?,
        _ => return Err(PyValueError::new_err("no such place").into()),
    }
    Ok(())
}

fn fall<T>() -> T {
    panic!("on demand")
}

/// Panics when it is dropped.
#[pyclass(frozen)]
pub(crate) struct Panicking;

#[pymethods]
impl Panicking {
    #[new]
    const fn new() -> Self {
        Self
    }
}

impl Drop for Panicking {
    fn drop(&mut self) {
        detach::at_end(fall::<()>);
    }
}
