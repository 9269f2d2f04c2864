//! What preflight sees in a header.

use pyo3::prelude::*;

/// Something that preflight noticed and does not refuse.
#[pyclass(frozen, get_all, module = "strongroom._core")]
#[derive(Clone)]
pub(crate) struct Finding {
    code: &'static str,
    message: String,
}

/// A token with a role of its own.
#[pyclass(frozen, get_all, module = "strongroom._core")]
#[derive(Clone)]
pub(crate) struct SpecialToken {
    role: &'static str,
    id: u32,
    text: String,
}

/// What the header says about its vocabulary.
#[pyclass(frozen, get_all, module = "strongroom._core")]
#[derive(Clone)]
pub(crate) struct Tokenizer {
    model: String,
    pre: Option<String>,
    vocabulary_size: u32,
    special_tokens: Vec<SpecialToken>,
}

/// A GGUF header that preflight accepted. Text in it is the file's: untrusted.
#[pyclass(frozen, get_all, module = "strongroom._core")]
pub(crate) struct Header {
    version: u32,
    architecture: String,
    name: Option<String>,
    parameters: u64,
    quantization: String,
    context_length: u32,
    embedding_length: u32,
    block_count: u32,
    tokenizer: Tokenizer,
    chat_template: Option<String>,
    tensor_count: u64,
    metadata_count: u64,
    findings: Vec<Finding>,
}

impl From<strongroom_gguf::Header> for Header {
    fn from(header: strongroom_gguf::Header) -> Self {
        let tokenizer = header.tokenizer;
        Self {
            version: header.version,
            architecture: header.architecture,
            name: header.name,
            parameters: header.parameters,
            quantization: header.quantization,
            context_length: header.context_length,
            embedding_length: header.embedding_length,
            block_count: header.block_count,
            tokenizer: Tokenizer {
                model: tokenizer.model,
                pre: tokenizer.pre,
                vocabulary_size: tokenizer.vocabulary_size,
                special_tokens: tokenizer
                    .special_tokens
                    .into_iter()
                    .map(|token| SpecialToken {
                        role: token.role,
                        id: token.id,
                        text: token.text,
                    })
                    .collect(),
            },
            chat_template: header.chat_template,
            tensor_count: header.tensor_count,
            metadata_count: header.metadata_count,
            findings: header
                .findings
                .into_iter()
                .map(|finding| Finding {
                    code: finding.code,
                    message: finding.message,
                })
                .collect(),
        }
    }
}
