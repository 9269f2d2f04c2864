//! Digests of model files, streamed, and their comparison in constant time.
#![forbid(unsafe_code)]

mod digest;
mod error;
mod hasher;

pub use digest::{Algorithm, Digest};
pub use error::{CODES, VerifyError};
pub use hasher::Hasher;
