//! Memory for secrets.

mod arena;
mod buffers;
mod compare;

pub(crate) use arena::{Arena, ArenaUsage, BufferUsage};
pub(crate) use buffers::{SecureBuffer, borrow};
pub(crate) use compare::compare_digest;
