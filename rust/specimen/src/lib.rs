//! Generated models for the tests: sound ones that llama.cpp loads and runs, and hostile ones.
//!
//! Everything here is deterministic. Nothing here is meant for use outside tests, so a mistake of
//! the caller panics.

#![forbid(unsafe_code)]
// Sizes are those of models below a megabyte, chosen here.
#![allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]

mod draft;
mod flips;
mod hostile;
mod random;
mod tiny;
mod value;
mod vocabulary;

pub use draft::{Draft, F32, Tensor};
pub use flips::{Flip, flips};
pub use hostile::{Hostile, hostile};
pub use random::Random;
pub use tiny::{
    CHATML, CONTEXT_LENGTH, Family, draft, split, split_part, tiny, tiny_that_pools,
    tiny_without_template,
};
pub use value::{Value, kind};
pub use vocabulary::Vocabulary;
