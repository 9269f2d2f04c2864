//! Digests and signatures of model files: which bytes they are, and whose.
//!
//! What is verified raises where it fails; nothing here answers a bool that could go unread.
#![forbid(unsafe_code)]

pub mod certificate;
mod digest;
mod equal;
mod error;
mod hasher;
pub mod key;
pub mod manifest;
pub mod signature;

pub use digest::{Algorithm, Digest};
pub use equal::equal;
pub use error::{CODES, VerifyError};
pub use hasher::Hasher;
pub use key::{KeyError, KeyId, PrivateKey, PublicKey, Scheme};
pub use signature::SignatureError;
