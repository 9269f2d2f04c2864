//! What this machine can enforce.

use std::{fmt::Display, path::PathBuf};

use pyo3::prelude::*;
use strongroom_host::Config;
use strongroom_memory::{arena::Backing, wiped_stack_backing};
use strongroom_sandbox::Capability as Row;
use strongroom_seal::key_backing;

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
    detach::run(py, || {
        let mut rows = strongroom_sandbox::probe().capabilities();
        rows.push(memory(
            "keys",
            "guarded memory of encryption keys",
            key_backing(),
        ));
        rows.push(memory(
            "wiped stack",
            "where keys are worked with, wiped after every use",
            wiped_stack_backing(),
        ));
        rows
    })
    .into_iter()
    .map(|row| Capability {
        name: row.name,
        value: row.value,
        ok: row.ok,
        detail: row.detail,
    })
    .collect()
}

/// What memory is held by. No isolation depends on it: that of workers, which have no keys.
fn memory(name: &'static str, what: &str, backing: Result<Backing, impl Display>) -> Row {
    let (value, detail) = match backing {
        Ok(Backing::Secret) => ("memfd_secret", what.to_owned()),
        Ok(Backing::Locked) => ("locked", what.to_owned()),
        Ok(Backing::Swappable) => (
            "swappable",
            format!("{what}; raise the limit on locked memory (`ulimit -l`), or switch swap off"),
        ),
        Err(error) => ("none", format!("{what}: {error}")),
    };
    Row {
        name,
        value: value.to_owned(),
        ok: None,
        detail,
    }
}

/// What a worker finds in force around itself here, before it would parse a model.
#[pyfunction]
pub(crate) fn rehearse(py: Python<'_>, executable: PathBuf) -> Result<Vec<Layer>, Error> {
    let config = Config::new(executable);
    let report = detach::run(py, || strongroom_host::rehearse(&config))?;
    Ok(Layer::all(report))
}
