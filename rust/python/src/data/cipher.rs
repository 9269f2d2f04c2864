//! Records in, envelopes out, and back.

use pyo3::{
    exceptions::{PyBufferError, PyTypeError},
    prelude::*,
    types::{PyByteArray, PyBytes, PyDict, PyString},
};
use strongroom_seal::record::{self, Binding, DataError, Draft, Envelope, Kind, copied};

use super::{key::DataKey, value};
use crate::{detach, errors::Error, memory::borrow};

/// Bytes below which releasing the GIL takes longer than the work.
const AT_ONCE: usize = 16 << 10;

/// Encrypts and decrypts what an application stores.
#[pyclass(frozen, module = "strongroom._core")]
pub(crate) struct DataCipher(record::DataCipher);

#[pymethods]
impl DataCipher {
    /// Takes the keys, the one that encrypts first.
    #[new]
    fn new(keys: Vec<Py<DataKey>>) -> Result<Self, Error> {
        let keys = keys
            .iter()
            .map(|key| key.get().take())
            .collect::<Result<_, Error>>()?;
        Ok(Self(record::DataCipher::new(keys)?))
    }

    /// The envelope of an object.
    fn encrypt<'py>(
        &self,
        obj: &Bound<'py, PyAny>,
        context: &Bound<'py, PyDict>,
        purpose: &Bound<'py, PyString>,
    ) -> Result<Bound<'py, PyBytes>, Error> {
        let py = obj.py();
        let binding = binding(context, purpose)?;
        let draft = self.draft(obj)?;
        let length = draft.len();
        let envelope = work(py, length, || self.0.seal(draft, &binding))?;
        Ok(PyBytes::new(py, &envelope))
    }

    /// What is in an envelope.
    fn decrypt<'py>(
        &self,
        envelope: &Bound<'py, PyAny>,
        context: &Bound<'py, PyDict>,
        purpose: &Bound<'py, PyString>,
    ) -> Result<Bound<'py, PyAny>, Error> {
        let py = envelope.py();
        let binding = binding(context, purpose)?;
        let envelope = taken(envelope)?;
        let opened = work(py, envelope.len(), || self.0.open(envelope, &binding))?;
        let plaintext = opened.plaintext();
        match opened.kind() {
            Kind::Bytes => Ok(PyBytes::new(py, plaintext).into_any()),
            Kind::Buffer => Ok(PyByteArray::new(py, plaintext).into_any()),
            Kind::Text => match std::str::from_utf8(plaintext) {
                Ok(text) => Ok(PyString::new(py, text).into_any()),
                Err(_) => Err(Error::from(DataError::Malformed {
                    reason: "its text is not UTF-8",
                })),
            },
            Kind::Value => value::read(py, plaintext),
        }
    }

    /// The envelope of what is in another.
    fn reencrypt<'py>(
        &self,
        envelope: &Bound<'py, PyAny>,
        context: &Bound<'py, PyDict>,
        purpose: &Bound<'py, PyString>,
    ) -> Result<Bound<'py, PyBytes>, Error> {
        let py = envelope.py();
        let binding = binding(context, purpose)?;
        let envelope = taken(envelope)?;
        let envelope = work(py, envelope.len(), || self.0.reencrypt(envelope, &binding))?;
        Ok(PyBytes::new(py, &envelope))
    }

    /// The key that an envelope says it is under.
    #[staticmethod]
    fn key_of(envelope: &Bound<'_, PyAny>) -> Result<(String, u32), Error> {
        let key = borrow(envelope, |bytes| Envelope::parse(bytes).map(|it| it.key))??;
        Ok((key.id().to_owned(), key.version()))
    }

    /// The keys, the one that encrypts first.
    #[getter]
    fn keys(&self) -> Vec<(String, u32)> {
        self.0
            .keys()
            .map(|key| (key.id().to_owned(), key.version()))
            .collect()
    }
}

impl DataCipher {
    /// An object in the room of its envelope: the one copy that is made of it.
    fn draft(&self, object: &Bound<'_, PyAny>) -> Result<Draft, Error> {
        let py = object.py();
        if let Some(text) = value::text(object)? {
            let mut draft = self.0.draft(Kind::Text, text.len())?;
            draft.extend(text.as_bytes())?;
            return Ok(draft);
        }
        if value::is(object) {
            let mut draft = self.0.draft(Kind::Value, 0)?;
            value::write(object, &mut draft)?;
            return Ok(draft);
        }
        let kind = if object.is_exact_instance_of::<PyBytes>() {
            Kind::Bytes
        } else {
            Kind::Buffer
        };
        borrow(object, |bytes| {
            let mut draft = self.0.draft(kind, bytes.len())?;
            draft.extend(bytes)?;
            Ok(draft)
        })
        .map_err(|error| match error {
            // No buffer, or one that doesn't lie in a row. An arena's own errors pass.
            Error::Python(raised)
                if raised.get_type(py).is(py.get_type::<PyTypeError>())
                    || raised.get_type(py).is(py.get_type::<PyBufferError>()) =>
            {
                value::refused(object)
            }
            other => other,
        })?
    }
}

/// Works without the GIL where that pays.
fn work<T: Send>(
    py: Python<'_>,
    length: usize,
    work: impl FnOnce() -> Result<T, DataError> + Send,
) -> Result<T, Error> {
    Ok(if length < AT_ONCE {
        work()
    } else {
        detach::run(py, work)
    }?)
}

/// The bytes of an envelope, to decrypt them there. What is too long to be one isn't copied.
fn taken(envelope: &Bound<'_, PyAny>) -> Result<Vec<u8>, Error> {
    Ok(borrow(envelope, copied)??)
}

/// What a record is bound to. Errors show nothing of it.
fn binding(context: &Bound<'_, PyDict>, purpose: &Bound<'_, PyString>) -> Result<Binding, Error> {
    let purpose = purpose.to_str().map_err(|_| DataError::Purpose {
        reason: "it holds a lone surrogate, which is no character",
    })?;
    let refused = || DataError::Context {
        reason: "it has something else than text, or text with a lone surrogate, which is no \
                 character"
            .to_owned(),
    };
    let items: Vec<(Bound<'_, PyAny>, Bound<'_, PyAny>)> = context.iter().collect();
    let mut pairs = Vec::with_capacity(items.len());
    for (key, value) in &items {
        let (Ok(key), Ok(value)) = (key.cast::<PyString>(), value.cast::<PyString>()) else {
            return Err(refused().into());
        };
        let (Ok(key), Ok(value)) = (key.to_str(), value.to_str()) else {
            return Err(refused().into());
        };
        pairs.push((key, value));
    }
    Ok(Binding::new(purpose, pairs)?)
}
