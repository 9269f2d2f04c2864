//! Keys that data keys are wrapped with: read here, and never shown to Python.

use std::{
    collections::BTreeMap,
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use pyo3::{
    exceptions::PyException,
    prelude::*,
    types::{PyByteArray, PyBytes, PySlice},
};
use strongroom_seal::{
    Cost, EncryptedDataKey, EncryptionContext, KeyId, PassphraseKeyring, RawKeyring, SealError,
    Secret, kernel_key, key_file,
};
use zeroize::Zeroizing;

use crate::{detach, errors::Error, passphrase::Passphrase};

/// A key, or a service that has one.
#[pyclass(frozen, module = "strongroom._core")]
#[derive(Clone)]
pub(crate) struct Keyring(Arc<dyn strongroom_seal::Keyring>);

impl Keyring {
    /// What the format's crate takes.
    pub(crate) fn all(keyrings: &[Self]) -> Vec<&dyn strongroom_seal::Keyring> {
        keyrings.iter().map(|keyring| &*keyring.0).collect()
    }

    /// Those that Python gives.
    pub(crate) fn taken(keyrings: &[Py<Self>]) -> Vec<Self> {
        keyrings
            .iter()
            .map(|keyring| keyring.get().clone())
            .collect()
    }

    fn raw(namespace: String, name: String, key: Secret) -> Result<Self, Error> {
        Ok(Self(Arc::new(RawKeyring::new(namespace, name, &key)?)))
    }
}

#[pymethods]
impl Keyring {
    /// The key in a file of 32 bytes or 64 hexadecimal digits.
    #[staticmethod]
    #[pyo3(signature = (path, *, namespace, name))]
    fn from_key_file(
        py: Python<'_>,
        path: PathBuf,
        namespace: String,
        name: String,
    ) -> Result<Self, Error> {
        detach::run(py, || {
            let keyring = RawKeyring::new(namespace, name, &key_file::read(&path)?)?;
            Ok(Self(Arc::new(keyring)))
        })
    }

    /// The key in 64 hexadecimal digits, which are wiped; `source` names where they came from.
    #[staticmethod]
    #[pyo3(signature = (digits, *, namespace, name, source))]
    fn from_hex(
        digits: &Bound<'_, PyByteArray>,
        namespace: String,
        name: String,
        source: &str,
    ) -> Result<Self, Error> {
        Self::raw(namespace, name, key_of_digits(digits, source)?)
    }

    /// A passphrase, which is wiped, or the file that it is the one line of; `memory` is in KiB.
    #[staticmethod]
    #[pyo3(signature = (passphrase=None, *, passphrase_file=None, memory=65536, passes=3, lanes=1))]
    fn from_passphrase(
        passphrase: Option<&Bound<'_, PyByteArray>>,
        passphrase_file: Option<PathBuf>,
        memory: u32,
        passes: u32,
        lanes: u32,
    ) -> Result<Self, Error> {
        let passphrase = Passphrase::take(passphrase, passphrase_file)?;
        let cost = Cost::new(memory, passes, lanes)?;
        let keyring = PassphraseKeyring::new(passphrase.read()?.unwrap_or_default(), cost)?;
        Ok(Self(Arc::new(keyring)))
    }

    /// A raw key out of an environment variable, which is removed.
    #[staticmethod]
    #[pyo3(signature = (variable, *, namespace, name))]
    fn from_variable(
        py: Python<'_>,
        variable: &str,
        namespace: String,
        name: String,
    ) -> Result<Self, Error> {
        let key = key_of_variable(py, variable)?;
        Self::raw(namespace, name, key)
    }

    /// A raw key out of the kernel's keyrings.
    #[staticmethod]
    #[pyo3(signature = (description, *, namespace, name))]
    fn from_kernel(description: &str, namespace: String, name: String) -> Result<Self, Error> {
        Self::raw(namespace, name, kernel_key::read(description)?)
    }

    /// A service, `strongroom.store.keys.KeyService`, that wraps data keys.
    #[staticmethod]
    fn from_service(service: Bound<'_, PyAny>) -> Result<Self, Error> {
        let provider: String = service.getattr("provider")?.extract()?;
        let name: String = service.getattr("name")?.extract()?;
        Ok(Self(Arc::new(Service {
            provider,
            name,
            object: Mutex::new(service.unbind()),
        })))
    }

    /// What it is called; never anything of its bytes.
    #[getter]
    fn id(&self) -> String {
        self.0.id().to_string()
    }

    fn __repr__(&self) -> String {
        format!("<strongroom._core.Keyring {}>", self.0.id())
    }
}

/// How often a service is asked in vain for one file's keys, of which a hostile one has hundreds.
const MOST_REFUSALS: u32 = 4;

/// The key in 64 hexadecimal digits, which are wiped.
pub(crate) fn key_of_digits(
    digits: &Bound<'_, PyByteArray>,
    source: &str,
) -> Result<Secret, Error> {
    let bytes = Zeroizing::new(digits.to_vec());
    wipe(digits)?;
    Ok(Secret::from_hex(&bytes, source)?)
}

/// The key in an environment variable, which is removed.
pub(crate) fn key_of_variable(py: Python<'_>, variable: &str) -> Result<Secret, Error> {
    let outside = py.import("os")?.getattr("environ")?;
    // First: once it is removed nobody finds where the system put it.
    strongroom_memory::environment::wipe(variable);
    let found = outside.call_method1("pop", (variable, py.None()))?;
    if found.is_none() {
        return Err(Error::missing_variable(variable));
    }
    // What is no text has no hexadecimal digits.
    let digits = Zeroizing::new(found.extract::<String>().unwrap_or_default());
    Ok(Secret::from_hex(
        digits.as_bytes(),
        &format!("the variable {variable}"),
    )?)
}

/// A service behind an object of Python's.
struct Service {
    provider: String,
    name: String,
    object: Mutex<Py<PyAny>>,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Service({})", self.name)
    }
}

impl Service {
    /// Calls the object; of what it raises only its own errors are repeated, and what is no failure,
    /// as an interrupt isn't, goes on up.
    fn call<T>(
        &self,
        work: impl for<'py> FnOnce(&Bound<'py, PyAny>) -> PyResult<T>,
    ) -> Result<T, SealError> {
        Python::attach(|py| {
            let service = self
                .object
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .clone_ref(py);
            work(service.bind(py)).map_err(|raised| self.failed(py, raised))
        })
    }

    fn failed(&self, py: Python<'_>, raised: PyErr) -> SealError {
        if !raised.is_instance_of::<PyException>(py) {
            return SealError::Interrupted(Box::new(raised));
        }
        let kind = raised.get_type(py);
        let own = py
            .import("strongroom.errors")
            .and_then(|errors| errors.getattr("StrongroomError"))
            .and_then(|root| kind.is_subclass(&root))
            .unwrap_or(false);
        let message = raised.value(py).getattr("message");
        let message = message.and_then(|message| message.extract::<String>());
        SealError::Service {
            service: self.name.clone(),
            // The text of another's error could hold anything, a key too.
            reason: match message {
                Ok(message) if own => message,
                // By its name: a metaclass may say anything of it.
                _ => kind.name().map_or_else(
                    |_| "it raised".to_owned(),
                    |name| format!("it raised {name}"),
                ),
            },
        }
    }

    fn unwrap_one(
        &self,
        key: &EncryptedDataKey,
        context: &EncryptionContext,
    ) -> Result<Option<Secret>, SealError> {
        let found = self.call(|service| {
            let py = service.py();
            let (info, wrapped) = (
                PyBytes::new(py, key.info()),
                PyBytes::new(py, key.ciphertext()),
            );
            let found = service.call_method1("unwrap", (info, wrapped, pairs(context)))?;
            if found.is_none() {
                return Ok(None);
            }
            let found = found.cast_into::<PyByteArray>()?;
            let bytes = Zeroizing::new(found.to_vec());
            wipe(&found)?;
            Ok(Some(bytes))
        })?;
        found
            .map(|bytes| {
                Secret::filled(|secret| {
                    if bytes.len() != secret.len() {
                        return Err(SealError::Authentication);
                    }
                    secret.copy_from_slice(&bytes);
                    Ok(())
                })
            })
            .transpose()
    }
}

impl strongroom_seal::Keyring for Service {
    fn id(&self) -> KeyId {
        KeyId::new(&self.provider, &self.name)
    }

    fn wrap(
        &self,
        data_key: &Secret,
        context: &EncryptionContext,
    ) -> Result<EncryptedDataKey, SealError> {
        let exposed = data_key.expose()?;
        let (info, wrapped) = self.call(|service| {
            let py = service.py();
            let key = PyByteArray::new(py, &exposed);
            let wrapped = service.call_method1("wrap", (&key, pairs(context)));
            // Whatever came of it.
            wipe(&key)?;
            let (info, wrapped) = wrapped?.extract::<(Bound<'_, PyBytes>, Bound<'_, PyBytes>)>()?;
            Ok((info.as_bytes().to_vec(), wrapped.as_bytes().to_vec()))
        })?;
        EncryptedDataKey::new(self.provider.clone(), info, wrapped)
    }

    fn unwrap(
        &self,
        keys: &[EncryptedDataKey],
        context: &EncryptionContext,
    ) -> Result<Option<Secret>, SealError> {
        let mut refused = None;
        let mut refusals = 0;
        for key in keys.iter().filter(|key| key.provider() == self.provider) {
            match self.unwrap_one(key, context) {
                Ok(None) => {}
                Ok(secret) => return Ok(secret),
                Err(error @ SealError::Interrupted(_)) => return Err(error),
                Err(error) => {
                    refused = refused.or(Some(error));
                    refusals += 1;
                }
            }
            if refusals == MOST_REFUSALS {
                break;
            }
        }
        refused.map_or(Ok(None), Err)
    }
}

/// The context as Python has it.
pub(crate) fn pairs(context: &EncryptionContext) -> BTreeMap<String, String> {
    context
        .iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

fn wipe(bytes: &Bound<'_, PyByteArray>) -> PyResult<()> {
    let py = bytes.py();
    // In place: a slice of the same length keeps the buffer.
    bytes.set_item(PySlice::full(py), PyBytes::new(py, &vec![0; bytes.len()]))
}
