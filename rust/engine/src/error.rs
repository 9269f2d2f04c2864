//! What the engine refuses.

use strongroom_protocol::{Fault, FaultCode};
use strongroom_template::TemplateError;

/// Every code of this crate.
pub const CODES: &[&str] = &[
    FaultCode::Load.as_str(),
    FaultCode::Context.as_str(),
    FaultCode::PromptEmpty.as_str(),
    FaultCode::PromptTooLong.as_str(),
    FaultCode::Option.as_str(),
    FaultCode::Busy.as_str(),
    FaultCode::Deadline.as_str(),
    FaultCode::Decode.as_str(),
    FaultCode::TemplateMissing.as_str(),
    FaultCode::TemplateSyntax.as_str(),
    FaultCode::TemplateFailed.as_str(),
    FaultCode::TemplateLimit.as_str(),
    FaultCode::TemplateHidesContent.as_str(),
    FaultCode::Task.as_str(),
    FaultCode::Publish.as_str(),
];

/// A refusal. None holds text of a request.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// llama.cpp refused the image.
    #[error("llama.cpp refused the model: {detail}")]
    Load {
        /// What llama.cpp logged: printable, bounded, from the file.
        detail: String,
    },
    /// The context can't be made.
    #[error("the context can't be made: {detail}")]
    Context {
        /// Why.
        detail: String,
    },
    /// The prompt has no tokens.
    #[error("the prompt is empty")]
    PromptEmpty,
    /// The prompt leaves no room for an answer.
    #[error("the prompt of {size} leaves no room in the context of {context} tokens")]
    PromptTooLong {
        /// Tokens or bytes, with the unit.
        size: String,
        /// Tokens that the context holds.
        context: u32,
    },
    /// The text is over the bound of the protocol.
    #[error("the text of {bytes} bytes is over the bound of {bound}")]
    TextTooLong {
        /// Bytes given.
        bytes: usize,
        /// Bytes allowed.
        bound: usize,
    },
    /// The messages are over the bound of the protocol.
    #[error("the conversation of {count} messages is over the bound of {bound}")]
    TooManyMessages {
        /// Messages given.
        count: usize,
        /// Messages allowed.
        bound: usize,
    },
    /// The tokenizer can't split the text.
    #[error("a run of {length} characters in the text is over the bound of {bound}")]
    RunTooLong {
        /// Characters of the longest run.
        length: usize,
        /// Characters allowed.
        bound: usize,
    },
    /// An option is outside of its range.
    #[error("{name} must be {range}")]
    Option {
        /// The option, as the Python API spells it.
        name: &'static str,
        /// Its range, in words.
        range: String,
    },
    /// The queue is full.
    #[error("{limit} requests are in the worker already")]
    Busy {
        /// Requests that the worker holds.
        limit: usize,
    },
    /// The deadline passed.
    #[error("the request's deadline passed")]
    Deadline,
    /// llama.cpp could not decode.
    #[error("decoding failed: {detail}")]
    Decode {
        /// Why.
        detail: String,
    },
    /// The model was loaded for something else.
    #[error("the model was loaded to {task}")]
    Task {
        /// For what, in words.
        task: &'static str,
    },
    /// There is no room for another public prefix.
    #[error("there is no room for another public prefix")]
    Publish,
    /// There is no chat template.
    #[error("the model has no chat template")]
    TemplateMissing,
    /// The chat template was refused, or what it wrote.
    #[error(transparent)]
    Template(TemplateError),
}

impl EngineError {
    /// Which fault of the protocol it is.
    pub fn fault_code(&self) -> FaultCode {
        match self {
            Self::Load { .. } => FaultCode::Load,
            Self::Context { .. } => FaultCode::Context,
            Self::PromptEmpty => FaultCode::PromptEmpty,
            Self::PromptTooLong { .. }
            | Self::TextTooLong { .. }
            | Self::TooManyMessages { .. }
            | Self::RunTooLong { .. } => FaultCode::PromptTooLong,
            Self::Option { .. } => FaultCode::Option,
            Self::Busy { .. } => FaultCode::Busy,
            Self::Deadline => FaultCode::Deadline,
            Self::Decode { .. } => FaultCode::Decode,
            Self::Task { .. } => FaultCode::Task,
            Self::Publish => FaultCode::Publish,
            Self::TemplateMissing => FaultCode::TemplateMissing,
            Self::Template(error) => error.fault_code(),
        }
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        self.fault_code().as_str()
    }

    /// What the caller can do about it.
    pub fn next_step(&self) -> &'static str {
        self.fault_code().next_step()
    }

    /// As it travels to the host.
    pub fn fault(&self) -> Fault {
        let mut detail = self.to_string();
        let end = (0..=Fault::MAX_DETAIL)
            .rev()
            .find(|&end| detail.is_char_boundary(end))
            .unwrap_or(0);
        detail.truncate(end);
        Fault::new(self.fault_code(), detail)
    }
}
