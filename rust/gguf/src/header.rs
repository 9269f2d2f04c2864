//! What a checked header says.

use crate::Footprint;

/// A header that preflight found sound. Texts come from the file: show them escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// GGUF version: 2 or 3.
    pub version: u32,
    /// The model's architecture, by llama.cpp's name.
    pub architecture: String,
    /// What the model calls itself.
    pub name: Option<String>,
    /// The number of weights.
    pub parameters: u64,
    /// The type in which most weights are stored, such as `Q4_1`.
    pub quantization: String,
    /// Tokens of context that the model was trained for.
    pub context_length: u32,
    /// Components of a token's embedding.
    pub embedding_length: u32,
    /// Layers.
    pub block_count: u32,
    /// The vocabulary and its special tokens.
    pub tokenizer: Tokenizer,
    /// The Jinja template with which the model wants conversations written.
    pub chat_template: Option<String>,
    /// What a worker of it takes of memory; `None` where the architecture isn't checked in depth.
    pub footprint: Option<Footprint>,
    /// The number of tensors.
    pub tensor_count: u64,
    /// The number of metadata entries.
    pub metadata_count: u64,
    /// What is remarkable, but no reason to refuse.
    pub findings: Vec<Finding>,
}

/// How text becomes tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokenizer {
    /// The kind: `llama` is `SentencePiece`, `gpt2` byte-pair encoding.
    pub model: String,
    /// How text is split before byte-pair encoding.
    pub pre: Option<String>,
    /// The number of tokens.
    pub vocabulary_size: u32,
    /// The tokens that have a role.
    pub special_tokens: Vec<SpecialToken>,
}

/// A token with a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecialToken {
    /// The role: `bos`, `eos`, `eot` and so on.
    pub role: &'static str,
    /// The token's number.
    pub id: u32,
    /// The token's text.
    pub text: String,
}

/// A remark about a sound header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The stable code, one of [`Finding::CODES`].
    pub code: &'static str,
    /// The remark in words.
    pub message: String,
}

impl Finding {
    /// Every code that a finding can have.
    pub const CODES: &[&str] = &[
        Self::NO_CHAT_TEMPLATE,
        Self::NO_END_TOKEN,
        Self::NO_PRE_TOKENIZER,
        Self::EMPTY_TOKENS,
        Self::EMBEDDING_MODEL,
        Self::TRAILING_BYTES,
        Self::UNKNOWN_KEYS,
        Self::UNCHECKED_ARCHITECTURE,
        Self::UNCHECKED_TOKENIZER,
    ];

    pub(crate) const NO_CHAT_TEMPLATE: &str = "finding.no_chat_template";
    pub(crate) const NO_END_TOKEN: &str = "finding.no_end_token";
    pub(crate) const NO_PRE_TOKENIZER: &str = "finding.no_pre_tokenizer";
    pub(crate) const EMPTY_TOKENS: &str = "finding.empty_tokens";
    pub(crate) const EMBEDDING_MODEL: &str = "finding.embedding_model";
    pub(crate) const TRAILING_BYTES: &str = "finding.trailing_bytes";
    pub(crate) const UNKNOWN_KEYS: &str = "finding.unknown_keys";
    pub(crate) const UNCHECKED_ARCHITECTURE: &str = "finding.unchecked_architecture";
    pub(crate) const UNCHECKED_TOKENIZER: &str = "finding.unchecked_tokenizer";

    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}
