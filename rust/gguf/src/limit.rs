//! Limits on what a header may ask for. Each is well above what real models hold; without them a
//! small file could make a reader reserve or search much.

/// Bytes of the whole header. The largest vocabularies in use make about 15 MB.
pub(crate) const HEADER: u64 = 128 << 20;
/// Metadata entries; real files have about 50.
pub(crate) const METADATA: u64 = 1 << 16;
/// Tensors; the largest mixtures of experts have a few thousand.
pub(crate) const TENSORS: u64 = 1 << 16;
/// Bytes of a key.
pub(crate) const KEY: u64 = 255;
/// Bytes of a text value; licences and tokenizer descriptions are the longest.
pub(crate) const TEXT: u64 = 32 << 20;
/// Bytes of a text within an array.
pub(crate) const ELEMENT: u64 = 1 << 20;
/// Bytes of a chat template; the longest in use have about 30 KiB.
pub(crate) const CHAT_TEMPLATE: usize = 256 << 10;
/// Tokens; the largest vocabularies in use have 262,144.
pub(crate) const VOCABULARY: usize = 1 << 20;
/// Bytes of a token; runs of spaces or dashes make the longest, a few hundred.
pub(crate) const TOKEN: usize = 4096;
/// Tokens that are looked for in every text before it is tokenized; Gemma has about 6,500.
pub(crate) const SPECIAL_TOKENS: usize = 1 << 14;
/// Bytes of a tensor name including the NUL that llama.cpp appends (`GGML_MAX_NAME`).
pub(crate) const TENSOR_NAME: u64 = 64;
/// Layers (`LLAMA_MAX_LAYERS`).
pub(crate) const LAYERS: u32 = 512;
/// Experts (`LLAMA_MAX_EXPERTS`).
pub(crate) const EXPERTS: u32 = 1024;
/// Tokens of context; the longest in use is 10 million.
pub(crate) const CONTEXT: u32 = 1 << 27;
/// Components of an embedding or a feed-forward layer.
pub(crate) const WIDTH: u32 = 1 << 22;
/// What llama.cpp maps weights at multiples of, in bytes (`TENSOR_ALIGNMENT`).
pub(crate) const MAPPING: u64 = 32;
