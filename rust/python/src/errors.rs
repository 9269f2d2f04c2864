//! The one conversion of errors: any crate's becomes the class that its code's prefix names.

use std::{collections::BTreeSet, io};

use pyo3::{prelude::*, types::PyModule};
use strongroom_gguf::Refusal;
use strongroom_host::HostError;
use strongroom_memory::SourceError;
use strongroom_protocol::FaultCode;
use strongroom_verify::{Digest, VerifyError, certificate, manifest, manifest::ManifestError};

/// Codes that this crate adds, for what no crate below it can know.
const CODES: &[&str] = &[
    "option.out_of_range",
    "prompt.invalid",
    "prompt.not_unicode",
    "request.no_resources",
    "settings.invalid",
    "trust.no_proof",
];

/// Codes of the crates below that never cross to Python.
const UNSEEN: &[&str] = &[
    // Asks for more of the file, and gets it.
    "gguf.incomplete",
    // What the signal handler or the callback raised is raised instead.
    "manifest.cancelled",
    "source.cancelled",
    // Of the worker, which tells them in the words of `sandbox.unavailable`.
    "sandbox.cores",
    "sandbox.descriptor",
    "sandbox.limit",
    "sandbox.not_in_force",
    "sandbox.orphaned",
    "sandbox.refused",
    "sandbox.threads",
];

/// Every stable code that the core can raise, sorted.
#[pyfunction]
pub(crate) fn error_codes() -> Vec<&'static str> {
    let codes: BTreeSet<&str> = [
        CODES,
        strongroom_gguf::CODES,
        strongroom_host::CODES,
        strongroom_memory::CODES,
        strongroom_sandbox::CODES,
        strongroom_verify::CODES,
        certificate::CODES,
        manifest::CODES,
    ]
    .into_iter()
    .flatten()
    .copied()
    .chain(FaultCode::ALL.iter().map(|code| code.as_str()))
    .filter(|code| !UNSEEN.contains(code))
    .collect();
    codes.into_iter().collect()
}

/// What a function of the module fails with.
#[derive(Debug)]
pub(crate) enum Error {
    /// One of the core's.
    Core {
        code: &'static str,
        message: String,
        next_step: String,
    },
    /// One that Python raised: a signal's, a callback's, an argument of the wrong type.
    Python(PyErr),
}

impl Error {
    /// An option of a request that can't be passed on.
    pub(crate) fn option(name: &str, reason: &str) -> Self {
        Self::Core {
            code: "option.out_of_range",
            message: format!("{name} {reason}"),
            next_step: "see the option's documented range".to_owned(),
        }
    }

    /// An option of a model that can't be passed on.
    pub(crate) fn setting(name: &str, reason: &str) -> Self {
        Self::Core {
            code: "settings.invalid",
            message: format!("{name} {reason}"),
            next_step: "give a value that the option's documentation names".to_owned(),
        }
    }

    /// A conversation that isn't one.
    pub(crate) fn prompt(message: String) -> Self {
        Self::Core {
            code: "prompt.invalid",
            message,
            next_step: "give a string, or messages of a role, a content and a name or None"
                .to_owned(),
        }
    }

    /// Text that UTF-8 has no bytes for. Python's own error would carry the text.
    pub(crate) fn not_unicode(what: &str) -> Self {
        Self::Core {
            code: "prompt.not_unicode",
            message: format!("{what} holds a lone surrogate, which is no character"),
            next_step: "give text that encodes to UTF-8".to_owned(),
        }
    }

    /// Two options of which exactly one says what is trusted.
    pub(crate) fn one_of(one: &str, other: &str) -> Self {
        Self::Core {
            code: "option.out_of_range",
            message: format!("exactly one of {one} and {other} has to be given"),
            next_step: "name what the signature is to be verified with".to_owned(),
        }
    }

    /// The system refuses what waiting for an answer takes.
    pub(crate) fn no_resources(what: &str, error: &io::Error) -> Self {
        Self::Core {
            code: "request.no_resources",
            message: format!("the system gives no {what} to wait for the answer with: {error}"),
            next_step: "close what this process no longer needs, or raise its limits (`ulimit -a`)"
                .to_owned(),
        }
    }

    /// Nothing says that the file is the one that was meant.
    pub(crate) fn no_proof(found: &Digest) -> Self {
        Self::Core {
            code: "trust.no_proof",
            message: format!(
                "nothing proves that this is the model that was meant; it has {found}"
            ),
            next_step: "compare that with what the publisher names, then pass it as checksum=; \
                        verification=\"danger-none\" loads without any proof"
                .to_owned(),
        }
    }
}

macro_rules! from_core {
    ($($error:ty),* $(,)?) => {$(
        impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::Core {
                    code: error.code(),
                    message: error.to_string(),
                    next_step: error.next_step().to_owned(),
                }
            }
        }
    )*};
}

from_core!(HostError, ManifestError, Refusal, SourceError, VerifyError);

impl From<PyErr> for Error {
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        match error {
            Error::Python(error) => error,
            Error::Core {
                code,
                message,
                next_step,
            } => Python::attach(|py| {
                PyModule::import(py, "strongroom.errors")
                    .and_then(|errors| errors.getattr("from_core"))
                    .and_then(|from_core| from_core.call1((code, message, next_step)))
                    .map_or_else(|failed| failed, Self::from_value)
            }),
        }
    }
}
