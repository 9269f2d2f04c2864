//! Memory that can be relied on: sealed images of models, and arenas for secrets.
//!
//! The bytes of a model that were hashed are the bytes that are handed on:
//! [`image::read`] copies a file into anonymous memory while it is hashed, and seals it against
//! every later change. What comes out is [`Unproven`]: only a matching digest, a
//! signature by a trusted key, or the caller's named acceptance of the danger, turns it into an
//! [`Image`].
//!
//! Secrets live in an [`arena`]: guarded, kept from swap, dumps and forked children, wiped after use.
#![allow(unsafe_code)]

pub mod arena;
mod draft;
pub mod environment;
mod error;
mod filling;
mod guarded;
pub mod image;
mod incoming;
mod key;
mod mapping;
pub mod parts;
mod pinned;
pub mod pipeline;
mod registers;
mod room;
pub mod source;
mod stack;
mod unproven;

pub use arena::{Arena, ArenaError, Buffer};
pub use draft::Draft;
pub use error::{CODES, ProofError, SourceError};
pub use guarded::Guarded;
pub use image::Image;
pub use incoming::Incoming;
pub use key::{Secret, SecretKey};
pub use mapping::Mapping;
pub use registers::wipe_registers;
pub use source::Source;
pub use stack::{wiped_stack, wiped_stack_backing};
pub use strongroom_verify::equal;
pub use unproven::Unproven;
