//! Which of the wheel's workers runs here.

use std::path::PathBuf;

use pyo3::prelude::*;
use strongroom_sandbox::{Cpu, InstructionSet};

use crate::{detach, errors::Error};

/// What a processor and its kernel offer of the features that workers use.
#[pyclass(frozen, module = "strongroom._core")]
pub(crate) struct Processor(Cpu);

#[pymethods]
impl Processor {
    /// One that has `features`, by Rust's names; those that no worker uses are left out.
    #[new]
    fn new(features: Vec<String>) -> Self {
        Self(Cpu::with(|feature| {
            features.iter().any(|has| has == feature)
        }))
    }

    /// This one.
    #[staticmethod]
    fn detect() -> Self {
        Self(Cpu::detect())
    }

    #[getter]
    fn features(&self) -> Vec<&'static str> {
        self.0.features()
    }
}

/// A worker's executable.
#[pyclass(frozen, get_all, module = "strongroom._core")]
pub(crate) struct Worker {
    executable: PathBuf,
    instruction_set: &'static str,
    /// What else there is a worker for, this one's included; the fastest first.
    carried: Vec<&'static str>,
}

/// The worker in `directory` that runs on `processor`: the fastest, or the one asked for.
#[pyfunction]
#[pyo3(signature = (directory, *, instruction_set="auto", processor=None))]
pub(crate) fn choose_worker(
    py: Python<'_>,
    directory: PathBuf,
    instruction_set: &str,
    processor: Option<&Processor>,
) -> Result<Worker, Error> {
    let wanted = match instruction_set {
        "auto" => None,
        word => Some(
            InstructionSet::ALL
                .into_iter()
                .find(|set| set.as_str() == word)
                .ok_or_else(|| {
                    Error::setting("instruction_set", "is none of auto, avx2 and avx512")
                })?,
        ),
    };
    let cpu = processor.map_or_else(Cpu::detect, |processor| processor.0);
    detach::run(py, || {
        let chosen = strongroom_host::choose(&directory, wanted, cpu)?;
        let carried = strongroom_host::carried(&directory);
        Ok(Worker {
            executable: chosen.path,
            instruction_set: chosen.instruction_set.as_str(),
            carried: carried.into_iter().map(InstructionSet::as_str).collect(),
        })
    })
}
