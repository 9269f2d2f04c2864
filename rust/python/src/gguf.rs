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

/// What a worker of a model takes of memory besides the weights, in bytes.
#[pyclass(frozen, module = "strongroom._core")]
#[derive(Clone, Copy)]
pub(crate) struct Footprint(strongroom_gguf::Footprint);

#[pymethods]
impl Footprint {
    /// Of cache, for a token, in the layers that see the whole context.
    #[getter]
    const fn token_bytes(&self) -> u64 {
        self.0.token_bytes
    }

    /// Of cache, for a token, in the layers that see a window of it.
    #[getter]
    const fn window_token_bytes(&self) -> u64 {
        self.0.window_token_bytes
    }

    /// Tokens of that window; 0 where no layer has one.
    #[getter]
    const fn window(&self) -> u32 {
        self.0.window
    }

    /// Of the key-value cache of one sequence: exact.
    fn cache(&self, context_length: u32, batch_tokens: u32) -> u64 {
        self.0.cache(context_length, batch_tokens)
    }

    /// Of the buffers that a step is computed in: an estimate.
    fn compute(&self, context_length: u32, batch_tokens: u32, sequences: u32) -> u64 {
        self.0.compute(context_length, batch_tokens, sequences)
    }

    /// Of the process itself: an estimate.
    fn process(&self) -> u64 {
        self.0.process()
    }
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
    footprint: Option<Footprint>,
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
            footprint: header.footprint.map(Footprint),
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
