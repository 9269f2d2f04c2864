//! What this machine can enforce.

use std::path::PathBuf;

use pyo3::prelude::*;
use strongroom_host::Config;

use crate::{detach, errors::Error, model::Layer};

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

/// What a worker finds in force around itself here, before it would parse a model.
#[pyfunction]
pub(crate) fn rehearse(py: Python<'_>, directory: PathBuf) -> Result<Vec<Layer>, Error> {
    let config = Config::new(strongroom_host::executable(&directory));
    let report = detach::run(py, || strongroom_host::rehearse(&config))?;
    Ok(Layer::all(report))
}
