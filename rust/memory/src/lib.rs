//! Sealed images of models: the bytes that were hashed are the bytes that are handed on.
//!
//! [`image::read`] copies a file into anonymous memory while it is hashed, and seals it against
//! every later change. What comes out is [`Unproven`]: only a matching digest, a
//! signature by a trusted key, or the caller's named acceptance of the danger, turns it into an
//! [`Image`].
#![allow(unsafe_code)]

mod draft;
pub mod environment;
mod error;
mod filling;
pub mod image;
mod mapping;
pub mod parts;
mod pinned;
pub mod pipeline;
mod room;
pub mod source;

pub use draft::Draft;
pub use error::{CODES, ProofError, SourceError};
pub use image::{Image, Unproven};
pub use mapping::Mapping;
pub use source::Source;
