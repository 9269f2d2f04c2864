//! Data keys: read here, and never shown to Python.

use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use pyo3::{prelude::*, types::PyByteArray};
use strongroom_seal::{
    Secret, kernel_key, key_file,
    record::{self, KeyName},
};

use crate::{
    detach,
    errors::Error,
    keyring::{key_of_digits, key_of_variable},
};

/// A key on its way into a cipher, which takes it.
#[pyclass(frozen, module = "strongroom._core")]
pub(crate) struct DataKey {
    name: KeyName,
    key: Mutex<Option<record::DataKey>>,
}

impl DataKey {
    fn named(name: KeyName, secret: Secret) -> Self {
        Self {
            key: Mutex::new(Some(record::DataKey::new(name.clone(), secret))),
            name,
        }
    }

    /// The key, once.
    pub(super) fn take(&self) -> Result<record::DataKey, Error> {
        self.key
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
            .ok_or_else(|| {
                Error::from(record::DataError::Keyring {
                    reason: format!("another cipher has taken the key {}", self.name),
                })
            })
    }
}

#[pymethods]
impl DataKey {
    /// The key in a file of 32 bytes or 64 hexadecimal digits.
    #[staticmethod]
    #[pyo3(signature = (path, *, key_id, version))]
    fn from_key_file(
        py: Python<'_>,
        path: PathBuf,
        key_id: String,
        version: u32,
    ) -> Result<Self, Error> {
        let name = KeyName::new(key_id, version)?;
        let secret = detach::run(py, || key_file::read(&path))?;
        Ok(Self::named(name, secret))
    }

    /// The key in 64 hexadecimal digits, which are wiped; `source` names where they came from.
    #[staticmethod]
    #[pyo3(signature = (digits, *, key_id, version, source))]
    fn from_hex(
        digits: &Bound<'_, PyByteArray>,
        key_id: String,
        version: u32,
        source: &str,
    ) -> Result<Self, Error> {
        let secret = key_of_digits(digits, source)?;
        Ok(Self::named(KeyName::new(key_id, version)?, secret))
    }

    /// The key in an environment variable, which is removed.
    #[staticmethod]
    #[pyo3(signature = (variable, *, key_id, version))]
    fn from_variable(
        py: Python<'_>,
        variable: &str,
        key_id: String,
        version: u32,
    ) -> Result<Self, Error> {
        let name = KeyName::new(key_id, version)?;
        Ok(Self::named(name, key_of_variable(py, variable)?))
    }

    /// The key in the kernel's keyrings.
    #[staticmethod]
    #[pyo3(signature = (description, *, key_id, version))]
    fn from_kernel(description: &str, key_id: String, version: u32) -> Result<Self, Error> {
        let name = KeyName::new(key_id, version)?;
        Ok(Self::named(name, kernel_key::read(description)?))
    }

    fn __repr__(&self) -> String {
        format!("<strongroom._core.DataKey {}>", self.name)
    }
}
