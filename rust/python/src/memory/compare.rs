//! Comparing what is secret.

use pyo3::{exceptions::PyTypeError, prelude::*, types::PyString};
use strongroom_memory::equal;

use super::buffers::borrow;
use crate::errors::Error;

/// Whether two secrets are the same, in a time that depends on their lengths alone.
#[pyfunction]
#[pyo3(signature = (a, b, /))]
pub(crate) fn compare_digest(a: &Bound<'_, PyAny>, b: &Bound<'_, PyAny>) -> Result<bool, Error> {
    match (a.cast::<PyString>(), b.cast::<PyString>()) {
        (Ok(a), Ok(b)) => Ok(equal(ascii(a)?, ascii(b)?)),
        (Err(_), Err(_)) => borrow(a, |a| borrow(b, |b| equal(a, b)))?,
        _ => Err(PyTypeError::new_err("a string can't be compared with bytes").into()),
    }
}

/// The bytes of a string where they are: other characters would be copied to be encoded.
fn ascii<'a>(text: &'a Bound<'_, PyString>) -> Result<&'a [u8], Error> {
    let refused = || PyTypeError::new_err("strings of ASCII characters alone can be compared");
    if !text.call_method0("isascii")?.is_truthy()? {
        return Err(refused().into());
    }
    Ok(text.to_str().map_err(|_| refused())?.as_bytes())
}
