//! Signatures: who says that a file is what it is.

mod error;

pub use error::{CODES, SignatureError};
