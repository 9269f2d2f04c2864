//! What a worker says.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Fault, Report, order::Private};

/// A frame from a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// What is in force; sent before one byte of the image is parsed. `SeccompServe` isn't yet.
    Locked(Report),
    /// The model is loaded and requests are taken.
    Ready(Box<Ready>),
    /// The worker can't lock in or can't load, and leaves.
    Failed(Fault),
    /// `request` left the queue and its prompt is accepted.
    Began {
        /// The request.
        request: u64,
        /// Tokens of the prompt, the template's scaffold and BOS included.
        prompt_tokens: u32,
        /// Of these, the first ones that need not be read: the tenant's own cache, or a public
        /// prefix, holds them.
        cached_tokens: u32,
    },
    /// Text of `request`, whole characters only.
    Piece {
        /// The request.
        request: u64,
        /// May be empty while a character or a stop string is undecided; such pieces are not sent.
        text: Private,
        /// Tokens decoded for it since the last piece.
        tokens: u32,
    },
    /// `request` ended well; the last frame about it.
    Finished(Box<Finished>),
    /// The ids of a `Tokenize`; the last frame about it.
    Tokens {
        /// The request.
        request: u64,
        /// Token ids, BOS first where the model wants one.
        ids: Vec<u32>,
    },
    /// `request` could not be served, or not to its end; the last frame about it.
    Refused {
        /// The request.
        request: u64,
        /// Why.
        fault: Fault,
    },
    /// The vectors of an `Embed`; the last frame about it.
    Embedded(Box<Embedded>),
    /// A `Publish` is done; the last frame about it.
    Published {
        /// The request.
        request: u64,
        /// Tokens that every tenant may begin with.
        tokens: u32,
    },
}

/// The vectors of an `Embed`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Embedded {
    /// The request.
    pub request: u64,
    /// Tokens of all texts.
    pub tokens: u32,
    /// One row per text, in their order; each number an IEEE 754 binary32, little-endian.
    #[serde(with = "serde_bytes")]
    pub rows: Vec<u8>,
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes of {}>", self.rows.len(), self.request)
    }
}

/// What llama.cpp made of the image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ready {
    /// Of one request, in tokens.
    pub context_length: u32,
    /// Context that the model was trained with, in tokens.
    pub context_trained: u32,
    /// Tokens in the vocabulary.
    pub vocabulary_size: u32,
    /// Weights in the model, counted.
    pub parameters: u64,
    /// Why `chat` will be refused, where it will.
    pub chat: Option<Fault>,
    /// Compute threads in use.
    pub threads: u32,
    /// Sequences decoded at once: fewer than asked for where the model's state can't be erased one
    /// by one.
    pub max_concurrent: u32,
    /// Numbers of a vector, where the task is to embed; else 0.
    pub dimensions: u32,
    /// What is in force from here on: the rows of `Locked`, and `SeccompServe`.
    pub report: Report,
    /// Microseconds from reading `Start` to the sandbox being in force.
    pub lock_micros: u64,
    /// Microseconds in llama.cpp: parsing the image and making the context.
    pub load_micros: u64,
}

/// Why decoding ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FinishReason {
    /// The model ended its answer.
    EndOfGeneration,
    /// A stop string came up.
    StopString,
    /// `max_tokens` or the context is used up.
    Length,
    /// The host asked for it.
    Cancelled,
}

/// The end of a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finished {
    /// The request.
    pub request: u64,
    /// Why decoding ended.
    pub reason: FinishReason,
    /// Tokens decoded, the end-of-generation token not counted.
    pub completion_tokens: u32,
    /// Microseconds in the queue.
    pub queue_micros: u64,
    /// Microseconds from leaving the queue to the first token's logits.
    pub prompt_micros: u64,
    /// Microseconds from there to the end.
    pub decode_micros: u64,
}
