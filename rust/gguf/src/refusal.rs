//! Why a header is refused.

/// What to do about bytes that no converter writes.
const DAMAGED: &str = "The file is damaged or was made to do harm: fetch it again from a source you trust and \
                       compare its digest with the publisher's.";
/// What to do about a header that contradicts itself.
const CONVERT: &str = "Convert the model again with a current convert_hf_to_gguf.py, or take the file from another publisher.";
const UNSUPPORTED: &str = "Use a model that is supported, or convert this one to a supported form.";

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $next:expr;)*) => {
        /// The kinds of refusal, each with a stable code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// The stable code, `gguf.reason`.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// What the user can do.
            pub const fn next_step(self) -> &'static str {
                match self { $(Self::$name => $next,)* }
            }
        }

        /// Every code that preflight can raise.
        pub const CODES: &[&str] = &[$($code,)*];
    };
}

reasons! {
    // The container.
    /// The bytes at hand end inside the header, and the file is longer: not a verdict, see [`Refusal::needs`].
    Incomplete = "gguf.incomplete", "Read more of the file and try again.";
    /// The file doesn't begin with `GGUF`.
    Magic = "gguf.magic", "Give the path of a GGUF file.";
    /// The file was written for big-endian machines.
    ByteOrder = "gguf.byte_order", "Convert the file to little-endian with gguf_convert_endian.py.";
    /// Neither version 2 nor 3.
    Version = "gguf.version", CONVERT;
    /// The header or the weights go on after the end of the file.
    Truncated = "gguf.truncated", "The file is incomplete: download it again.";
    /// The header is longer than any real one.
    HeaderLength = "gguf.header_length", DAMAGED;
    /// More metadata entries than any real file has, or than fit into this one.
    MetadataCount = "gguf.metadata_count", DAMAGED;
    /// No tensor, more than any real file has, or than fit into this one.
    TensorCount = "gguf.tensor_count", DAMAGED;
    /// An empty or overlong key.
    KeyLength = "gguf.key_length", DAMAGED;
    /// A key with other characters than names separated by dots.
    KeySyntax = "gguf.key_syntax", DAMAGED;
    /// The same key twice.
    DuplicateKey = "gguf.duplicate_key", DAMAGED;
    /// A type number that GGUF doesn't know.
    ValueType = "gguf.value_type", DAMAGED;
    /// An array within an array.
    NestedArray = "gguf.nested_array", DAMAGED;
    /// An array that claims more elements than fit into the file.
    ArrayLength = "gguf.array_length", DAMAGED;
    /// A text that is longer than its place allows.
    TextLength = "gguf.text_length", DAMAGED;
    /// A text that isn't UTF-8.
    TextEncoding = "gguf.text_encoding", DAMAGED;
    /// A truth value other than 0 and 1.
    Bool = "gguf.bool", DAMAGED;
    /// A NaN or an infinity.
    NotFinite = "gguf.not_finite", DAMAGED;
    /// Not a power of two from 8 to 65,536.
    Alignment = "gguf.alignment", CONVERT;
    /// The weights don't begin where they can be mapped.
    DataAlignment = "gguf.data_alignment", CONVERT;

    // Tensors.
    /// An empty or overlong tensor name, or one with a NUL.
    TensorName = "gguf.tensor_name", DAMAGED;
    /// The same tensor twice.
    DuplicateTensor = "gguf.duplicate_tensor", DAMAGED;
    /// No dimension or more than four.
    Dimensions = "gguf.dimensions", DAMAGED;
    /// A dimension of zero, or one that needs more than 63 bits.
    Dimension = "gguf.dimension", DAMAGED;
    /// A tensor whose size doesn't fit into 63 bits.
    TensorSize = "gguf.tensor_size", DAMAGED;
    /// A type of weights that llama.cpp doesn't know.
    TensorType = "gguf.tensor_type", UNSUPPORTED;
    /// A row that isn't a whole number of blocks.
    RowSize = "gguf.row_size", DAMAGED;
    /// A tensor that doesn't begin where the one before it ends.
    TensorOffset = "gguf.tensor_offset", DAMAGED;
    /// The architecture needs a tensor that the file doesn't have.
    TensorMissing = "gguf.tensor_missing", CONVERT;
    /// A tensor that the architecture doesn't have.
    TensorUnexpected = "gguf.tensor_unexpected", UNSUPPORTED;
    /// A tensor with another shape than the header implies.
    TensorShape = "gguf.tensor_shape", CONVERT;
    /// Weights of a type with which llama.cpp can't do what this tensor is for.
    TensorRole = "gguf.tensor_role", CONVERT;

    // The model.
    /// The header lacks a key that has to be there.
    KeyMissing = "gguf.key_missing", CONVERT;
    /// A key holds another type than llama.cpp expects.
    KeyType = "gguf.key_type", CONVERT;
    /// An adapter, a projector or the like: not a language model.
    Kind = "gguf.kind", "Give the path of the model itself.";
    /// One part of a model that is split over several files.
    Split = "gguf.split", "Keep the parts in one folder under the names that they were published with, \
                           …-00001-of-0000N.gguf, and give the path of the first.";
    /// Fewer or more parts than they say that there are.
    SplitCount = "gguf.split_count", "Get every part of the model, and none of another one.";
    /// A part that is not in its place.
    SplitOrder = "gguf.split_order", "Give the parts the names that they were published with.";
    /// Parts that contradict each other.
    SplitForeign = "gguf.split_foreign", "Get all parts again, from one place and of one version.";
    /// An architecture that isn't checked in depth and that the policy doesn't allow.
    Architecture = "gguf.architecture",
        "Use a llama, qwen2, qwen3, gemma3 or phi3 model, or name the architecture in allow_architectures and \
         accept that fewer checks are made.";
    /// No layer, or more than llama.cpp has room for.
    BlockCount = "gguf.block_count", CONVERT;
    /// A context of zero or absurd length.
    ContextLength = "gguf.context_length", CONVERT;
    /// An embedding of zero or absurd length, or of two lengths.
    EmbeddingLength = "gguf.embedding_length", CONVERT;
    /// A feed-forward layer of zero or absurd length, or of several.
    FeedForwardLength = "gguf.feed_forward_length", CONVERT;
    /// Zero attention heads, different numbers of them, or a number that doesn't divide what it has to.
    HeadCount = "gguf.head_count", CONVERT;
    /// Heads of zero length, or of lengths that don't fit each other.
    HeadLength = "gguf.head_length", CONVERT;
    /// A rotation of an odd number of dimensions, or of others than the architecture rotates.
    RopeDimension = "gguf.rope_dimension", CONVERT;
    /// A base with which positions can't be encoded.
    RopeBase = "gguf.rope_base", CONVERT;
    /// An unknown method of stretching the context, or a factor that can't be divided by.
    RopeScaling = "gguf.rope_scaling", CONVERT;
    /// A normalization constant that isn't a small positive number.
    Epsilon = "gguf.epsilon", CONVERT;
    /// A negative or absurd scale.
    Scale = "gguf.scale", CONVERT;
    /// Numbers of experts that contradict each other, or experts where there are none.
    Experts = "gguf.experts", UNSUPPORTED;
    /// A sliding window of zero or absurd length, or a pattern of the wrong length.
    SlidingWindow = "gguf.sliding_window", CONVERT;
    /// A model that isn't made to generate text from left to right.
    Causality = "gguf.causality", UNSUPPORTED;
    /// An unknown way of pooling embeddings.
    Pooling = "gguf.pooling", CONVERT;
    /// Layers for predicting several tokens at once.
    NextTokens = "gguf.next_tokens", UNSUPPORTED;

    // The tokenizer.
    /// A tokenizer that isn't supported.
    TokenizerModel = "gguf.tokenizer_model", UNSUPPORTED;
    /// A pre-tokenizer that llama.cpp doesn't know.
    TokenizerPre = "gguf.tokenizer_pre", CONVERT;
    /// No token, or another number than the header says.
    VocabularySize = "gguf.vocabulary_size", CONVERT;
    /// The same token twice.
    DuplicateToken = "gguf.duplicate_token", CONVERT;
    /// A token that is longer than any real one.
    Token = "gguf.token", DAMAGED;
    /// The scores are missing or not one per token.
    Scores = "gguf.scores", CONVERT;
    /// The types are missing, unknown or not one per token.
    TokenTypes = "gguf.token_types", CONVERT;
    /// A byte token that isn't written `<0xHH>`, or one that is missing.
    ByteToken = "gguf.byte_token", CONVERT;
    /// More special tokens than llama.cpp can search a text for in reasonable time.
    SpecialTokens = "gguf.special_tokens", CONVERT;
    /// A special token outside the vocabulary, or one that is needed and missing.
    SpecialToken = "gguf.special_token", CONVERT;
    /// Merges that are missing or not pairs.
    Merges = "gguf.merges", CONVERT;
    /// A chat template that is longer than any real one.
    ChatTemplate = "gguf.chat_template", CONVERT;
}

/// A header was refused: the reason, and what exactly is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    reason: Reason,
    detail: String,
    needs: Option<u64>,
}

impl Refusal {
    pub(crate) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
            needs: None,
        }
    }

    pub(crate) fn incomplete(needs: u64) -> Self {
        let detail =
            format!("the header goes on after the bytes at hand: at least {needs} are needed");
        Self {
            reason: Reason::Incomplete,
            detail,
            needs: Some(needs),
        }
    }

    /// Why.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        self.reason.code()
    }

    /// What the user can do.
    pub fn next_step(&self) -> &'static str {
        self.reason.next_step()
    }

    /// How many bytes from the beginning of the file are needed to get further, when only the
    /// prefix at hand was too short; `None` when the verdict is final.
    pub fn needs(&self) -> Option<u64> {
        self.needs
    }
}

/// Refuses with a formatted detail.
macro_rules! refuse {
    ($reason:ident, $($detail:tt)+) => {
        return Err($crate::refusal::Refusal::new($crate::refusal::Reason::$reason, format!($($detail)+)))
    };
}

/// Refuses unless a condition holds.
macro_rules! require {
    ($condition:expr, $reason:ident, $($detail:tt)+) => {
        if !$condition {
            $crate::refusal::refuse!($reason, $($detail)+);
        }
    };
}

pub(crate) use {refuse, require};

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::CODES;
    use std::collections::HashSet;

    #[test]
    fn codes_are_unique_words_of_this_room() {
        assert_eq!(CODES.iter().collect::<HashSet<_>>().len(), CODES.len());
        for code in CODES {
            let word = code.strip_prefix("gguf.").unwrap();
            assert!(
                word.bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
                "{code}"
            );
        }
    }
}
