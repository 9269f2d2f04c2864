//! Arenas, and what they say of themselves.

use pyo3::{prelude::*, types::PyString};
use strongroom_memory::{
    ArenaError,
    arena::{Backing, Fallback, Options},
};

use super::SecureBuffer;
use crate::{arguments, errors::Error};

/// Secure memory up to a limit.
#[pyclass(frozen, module = "strongroom._core")]
pub(crate) struct Arena(strongroom_memory::Arena);

#[pymethods]
impl Arena {
    /// Maps nothing before it is asked to.
    #[new]
    fn new(
        max_bytes: &Bound<'_, PyAny>,
        max_age: Option<f64>,
        backing: &str,
        fallback: &str,
    ) -> Result<Self, Error> {
        let backing = match backing {
            "secret" => Backing::Secret,
            "locked" => Backing::Locked,
            _ => return Err(invalid("backing", "is neither secret nor locked")),
        };
        let fallback = match fallback {
            "refuse" => Fallback::Refuse,
            "report" => Fallback::Report,
            _ => return Err(invalid("fallback", "is neither refuse nor report")),
        };
        let options = Options {
            max_bytes: arguments::integer("max_bytes", max_bytes, refuse)?,
            max_age: max_age
                .map(|seconds| arguments::seconds("max_age", seconds, refuse))
                .transpose()?,
            backing,
            fallback,
        };
        Ok(Self(strongroom_memory::Arena::new(options)?))
    }

    /// A buffer of zeros.
    fn allocate(
        &self,
        size: &Bound<'_, PyAny>,
        purpose: &Bound<'_, PyString>,
    ) -> Result<SecureBuffer, Error> {
        let size = arguments::integer("size", size, refuse)?;
        let purpose = purpose
            .to_str()
            .map_err(|_| invalid("purpose", "holds a lone surrogate"))?;
        Ok(SecureBuffer::new(self.0.allocate(size, purpose)?))
    }

    /// Wipes what lay idle for too long; returns how many buffers that were.
    fn reclaim(&self) -> usize {
        self.0.reclaim()
    }

    /// What is held.
    fn usage(&self) -> ArenaUsage {
        let usage = self.0.usage();
        let [secret, locked, swappable] = usage.mapped.map(|(_, bytes)| bytes);
        ArenaUsage {
            buffers: usage
                .buffers
                .into_iter()
                .map(|buffer| BufferUsage {
                    id: buffer.id,
                    purpose: buffer.purpose,
                    bytes: buffer.bytes,
                    age: buffer.age.as_secs_f64(),
                    idle: buffer.idle.as_secs_f64(),
                    views: buffer.views,
                    backing: buffer.backing.as_str(),
                })
                .collect(),
            bytes: usage.bytes,
            max_bytes: usage.max_bytes,
            secret,
            locked,
            swappable,
            fallbacks: usage.fallbacks,
        }
    }
}

/// A buffer that is held.
#[pyclass(frozen, get_all, module = "strongroom._core")]
#[derive(Clone)]
pub(crate) struct BufferUsage {
    id: u64,
    purpose: String,
    bytes: usize,
    age: f64,
    idle: f64,
    views: u64,
    backing: &'static str,
}

/// What an arena holds.
#[pyclass(frozen, get_all, module = "strongroom._core")]
pub(crate) struct ArenaUsage {
    buffers: Vec<BufferUsage>,
    bytes: usize,
    max_bytes: usize,
    secret: usize,
    locked: usize,
    swappable: usize,
    fallbacks: Vec<String>,
}

fn invalid(name: &'static str, reason: &'static str) -> Error {
    ArenaError::Invalid { name, reason }.into()
}

/// As what converts arguments asks for it; every name and reason is one of this file's.
fn refuse(name: &str, reason: &str) -> Error {
    Error::arena(name, reason)
}
