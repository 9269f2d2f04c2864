//! Preflight: the header of an untrusted GGUF file, checked before any C++ sees it.
//!
//! llama.cpp trusts much of what a header says: it asserts, divides and reserves by it, and a
//! failed assertion ends the process. [`preflight`] refuses what would make it do so, each time
//! with a reason that has a stable code, and for the architectures that it knows in depth also
//! whatever contradicts itself. It reads borrowed bytes, allocates no more than the numbers of
//! keys, tensors and tokens call for, and never panics.
//!
//! The format is specified at <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>; where
//! llama.cpp demands more, so does this crate.
//!
//! ```
//! use strongroom_gguf::{Policy, preflight};
//!
//! let refusal = preflight(b"not a model", 11, &Policy::default()).unwrap_err();
//! assert_eq!(refusal.code(), "gguf.magic");
//! ```

#![forbid(unsafe_code)]

mod architecture;
mod footprint;
mod header;
mod layout;
mod limit;
mod metadata;
mod model;
mod preflight;
mod reader;
mod refusal;
mod shape;
mod split;
mod tensor;
mod tokenizer;
mod value;
mod weights;

pub use footprint::Footprint;
pub use header::{Finding, Header, SpecialToken, Tokenizer};
pub use preflight::{Policy, preflight};
pub use refusal::{CODES, Reason, Refusal};
pub use split::{Joined, MAX_HEADERS, MAX_PARTS, Part, Stretch, join};
