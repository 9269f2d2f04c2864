//! What this machine can enforce.

use pyo3::prelude::*;

use crate::detach;

/// One row of `doctor()`.
#[pyclass(frozen, get_all, module = "strongroom._core")]
pub(crate) struct Capability {
    name: &'static str,
    value: String,
    ok: Option<bool>,
    detail: String,
}

/// What this machine can enforce.
#[pyfunction]
pub(crate) fn doctor(py: Python<'_>) -> Vec<Capability> {
    detach::run(py, || strongroom_sandbox::probe().capabilities())
        .into_iter()
        .map(|row| Capability {
            name: row.name,
            value: row.value,
            ok: row.ok,
            detail: row.detail,
        })
        .collect()
}
