//! llama.cpp behind owned types.
//!
//! A [`Model`] is loaded from an open image and shared by a [`Vocabulary`] and a [`Context`]; a
//! [`Scheduler`] decodes requests in steps, and asks nothing of the thread that drives it but to call
//! [`Scheduler::step`]. One thread owns all of them: none is `Send`.
//!
//! The process belongs to the engine: when llama.cpp can't go on, it ends with one of the codes of
//! [`strongroom_protocol::ExitCode`] (see [`backend`]). It is therefore linked into the worker alone.
#![allow(unsafe_code)]

pub mod backend;
mod buffers;
pub mod context;
pub mod error;
mod ffi;
pub mod image;
mod log;
pub mod model;
pub mod prompt;
pub mod sampler;
pub mod scheduler;
mod sequence;
mod splitting;
pub mod text;
pub mod threadpool;
pub mod vocabulary;

pub use context::{Context, ContextOptions};
pub use error::{CODES, EngineError};
pub use image::ImageFile;
pub use model::Model;
pub use prompt::Prompter;
pub use sampler::Sampler;
pub use scheduler::Scheduler;
pub use text::Text;
pub use threadpool::Threadpool;
pub use vocabulary::Vocabulary;

/// A token's id, below [`Vocabulary::size`].
pub type Token = u32;
