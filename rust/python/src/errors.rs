//! The one conversion of errors: any crate's becomes the class that its code's prefix names.

use std::{collections::BTreeSet, io, path::Path};

use pyo3::{prelude::*, types::PyModule};
use strongroom_fetch::FetchError;
use strongroom_gguf::Refusal;
use strongroom_host::HostError;
use strongroom_memory::{ArenaError, ProofError, SourceError};
use strongroom_protocol::FaultCode;
use strongroom_seal::{
    SealError,
    record::{self, DataError},
};
use strongroom_verify::{
    Digest, KeyError, SignatureError, VerifyError,
    certificate::CertificateError,
    manifest::{self, ManifestError},
};

/// Codes that this crate adds, for what no crate below it can know.
const CODES: &[&str] = &[
    "arena.invalid",
    "data.value",
    "option.out_of_range",
    "output.exists",
    "output.unwritable",
    "prompt.invalid",
    "prompt.not_unicode",
    "request.no_resources",
    "seal.no_variable",
    "settings.invalid",
    "signature.parts",
    "store.exchanged",
    "store.unreadable",
    "store.unwritable",
    "trust.no_key",
    "trust.no_proof",
];

/// Codes of the crates below that never cross to Python.
const UNSEEN: &[&str] = &[
    // Told with the name of the option that holds it.
    "fetch.policy",
    // Asks for more of the file, and gets it.
    "gguf.incomplete",
    // Only where the kernel gives no random numbers.
    "key.generation",
    // As above.
    "seal.random",
    // Only where the library fails; nothing that a caller gives is refused so.
    "signature.unsigned",
    // What the signal handler or the callback raised is raised instead.
    "fetch.cancelled",
    "manifest.cancelled",
    "seal.cancelled",
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
        strongroom_fetch::CODES,
        strongroom_gguf::CODES,
        strongroom_host::CODES,
        strongroom_memory::CODES,
        strongroom_memory::arena::CODES,
        strongroom_sandbox::CODES,
        strongroom_seal::CODES,
        record::CODES,
        strongroom_verify::CODES,
        manifest::CODES,
        strongroom_verify::certificate::CODES,
        strongroom_verify::key::CODES,
        strongroom_verify::signature::CODES,
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

// Paths are shown escaped: a name may hold anything.
#[allow(clippy::unnecessary_debug_formatting)]
impl Error {
    /// An option of a request that can't be passed on.
    pub(crate) fn option(name: &str, reason: &str) -> Self {
        Self::Core {
            code: "option.out_of_range",
            message: format!("{name} {reason}"),
            next_step: "see the option's documented range".to_owned(),
        }
    }

    /// An option of an arena, or of a buffer, that can't be passed on.
    pub(crate) fn arena(name: &str, reason: &str) -> Self {
        Self::Core {
            code: "arena.invalid",
            message: format!("{name} {reason}"),
            next_step: "give a value that the documentation names".to_owned(),
        }
    }

    /// Something that no envelope can hold so that the same comes out again.
    pub(crate) fn value(what: &str) -> Self {
        Self::Core {
            code: "data.value",
            message: format!("it can't be encrypted: {what}"),
            next_step:
                "give bytes, text, or what JSON has: dict with str as keys, list, str, int, \
                        finite float, bool and None, none of a subclass"
                    .to_owned(),
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

    /// None, or several, of the ways to say whose manifest is trusted; or half of one.
    pub(crate) fn whom_to_trust() -> Self {
        Self::Core {
            code: "option.out_of_range",
            message: "exactly one of public_key, certificate_chain, and identity with issuer and \
                      trusted_root has to be given"
                .to_owned(),
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

    /// Nothing would say that what is fetched is what was meant.
    pub(crate) fn nothing_to_prove(source: &str) -> Self {
        Self::Core {
            code: "trust.no_proof",
            message: format!("nothing would prove that {source} is the model that was meant"),
            next_step: "pass the digest that its publisher names as checksum=, a signature and \
                        the key of whom you trust as signature= and public_key=, or a signed \
                        manifest as manifest="
                .to_owned(),
        }
    }

    /// A signature without a key that it is to be by.
    pub(crate) fn no_key() -> Self {
        Self::Core {
            code: "trust.no_key",
            message: "a signature alone proves nothing: anybody can sign".to_owned(),
            next_step: "pass the public key of whom you trust as public_key=".to_owned(),
        }
    }

    /// Signatures of parts, and nothing that says which parts are one model.
    pub(crate) fn unbound_parts(found: &Digest) -> Self {
        Self::Core {
            code: "signature.parts",
            message: format!(
                "the parts are signed one by one: nothing that was given says that these, which \
                 together have {found}, are one model"
            ),
            next_step: "give a signed manifest of all parts as manifest=, or besides the key the \
                        publisher's checksum of the whole, or of each part, as checksum="
                .to_owned(),
        }
    }

    /// A file that is there already.
    pub(crate) fn exists(path: &Path) -> Self {
        Self::Core {
            code: "output.exists",
            message: format!("{path:?} exists, and is not overwritten"),
            next_step: "name another file, or remove that one if nobody needs it".to_owned(),
        }
    }

    /// A file that can't be written.
    pub(crate) fn unwritable(path: &Path, error: &io::Error) -> Self {
        Self::Core {
            code: "output.unwritable",
            message: format!("can't write {path:?}: {error}"),
            next_step: "name a file in a folder that exists and may be written to".to_owned(),
        }
    }

    /// There is no such environment variable.
    pub(crate) fn missing_variable(name: &str) -> Self {
        Self::Core {
            code: "seal.no_variable",
            message: format!("the environment has no {name} to read a key from"),
            next_step: "set it to 64 hexadecimal digits; it is removed once it is read".to_owned(),
        }
    }

    /// A file of a store that can't be read.
    pub(crate) fn unreadable(path: &Path, error: &io::Error) -> Self {
        Self::Core {
            code: "store.unreadable",
            message: format!("can't read {path:?}: {error}"),
            next_step: "check the store's directory and the permissions in it".to_owned(),
        }
    }

    /// A sealed file that is authentic, and another than its name says.
    pub(crate) fn exchanged(path: &Path, found: &str) -> Self {
        Self::Core {
            code: "store.exchanged",
            message: format!(
                "{path:?} is another sealed file of the same model, of the message {found}"
            ),
            next_step: "restore the store's directory from a copy, or add the model again"
                .to_owned(),
        }
    }

    /// A file that has no name yet and can't be written.
    pub(crate) fn unwritten(error: &io::Error) -> Self {
        Self::Core {
            code: "store.unwritable",
            message: format!("the file can't be written: {error}"),
            next_step: "free space on the disk, or name a directory that may be written to"
                .to_owned(),
        }
    }

    /// The same error, with the file that it is about.
    pub(crate) fn in_file(self, path: &Path) -> Self {
        match self {
            Self::Core {
                code,
                message,
                next_step,
            } => Self::Core {
                code,
                message: format!("{path:?}: {message}"),
                next_step,
            },
            python @ Self::Python(_) => python,
        }
    }

    /// The same error with the sealed file that it is about, where it is about one.
    pub(crate) fn in_sealed(self, path: &Path) -> Self {
        match &self {
            Self::Core { code, .. } if code.starts_with("seal.") => self.in_file(path),
            _ => self,
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

from_core!(
    ArenaError,
    FetchError,
    CertificateError,
    DataError,
    HostError,
    KeyError,
    ManifestError,
    Refusal,
    SignatureError,
    SourceError,
    VerifyError
);

impl From<SealError> for Error {
    fn from(error: SealError) -> Self {
        let (code, next_step) = (error.code(), error.next_step().to_owned());
        let message = error.to_string();
        match error {
            // What a key service in Python was interrupted by goes on up.
            SealError::Interrupted(cause) if cause.is::<PyErr>() => {
                Self::Python(*cause.downcast().expect("looked at just now"))
            }
            _ => Self::Core {
                code,
                message,
                next_step,
            },
        }
    }
}

impl From<ProofError> for Error {
    fn from(error: ProofError) -> Self {
        match error {
            ProofError::Digest(error) => error.into(),
            ProofError::Signature(error) => error.into(),
            ProofError::Source(error) => error.into(),
        }
    }
}

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
