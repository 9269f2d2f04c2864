//! llama.cpp behind owned types.
//!
//! A [`Model`] is loaded from an open image and shared by a [`Vocabulary`] and a [`Context`]; a
//! [`Scheduler`] decodes the requests of many in steps, an [`Embedder`] turns texts into vectors, and
//! neither asks more of the thread that drives it than to call `step`, and one thread does. What is only read
//! after loading, the model and its vocabulary, other threads may read too: a [`Tokenizer`] does.
//!
//! The process belongs to the engine: when llama.cpp can't go on, it ends with one of the codes of
//! [`strongroom_protocol::ExitCode`] (see [`backend`]). It is therefore linked into the worker alone.
#![allow(unsafe_code)]

pub mod backend;
pub mod batch;
mod buffers;
mod candidates;
mod computation;
pub mod context;
pub mod embedder;
pub mod embedding;
pub mod error;
mod ffi;
pub mod image;
mod log;
pub mod model;
pub mod prefix;
pub mod prompt;
mod queue;
mod reading;
mod residue;
pub mod sampler;
pub mod scheduler;
mod sequence;
mod shares;
mod splitting;
pub mod text;
pub mod threadpool;
pub mod tokenizer;
pub mod vocabulary;

pub use batch::Batch;
pub use context::{Context, ContextOptions};
pub use embedder::Embedder;
pub use embedding::{EmbeddingContext, EmbeddingOptions};
pub use error::{CODES, EngineError};
pub use image::ImageFile;
pub use model::Model;
pub use prompt::Prompter;
pub use queue::Work;
pub use sampler::{Candidates, Sampler};
pub use scheduler::{Scheduler, SchedulerOptions};
pub use text::Text;
pub use threadpool::Threadpool;
pub use tokenizer::{Tokenized, Tokenizer};
pub use vocabulary::Vocabulary;

/// A token's id, below [`Vocabulary::size`].
pub type Token = u32;

/// Where a context keeps a sequence: a number from 0 on, below [`Context::slots`].
pub type Slot = u32;
