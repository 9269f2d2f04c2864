//! Why a conversation could not be turned into tokens.

use strongroom_protocol::{Fault, FaultCode};
use thiserror::Error;

use crate::vocabulary::Untokenizable;

/// A refusal. Nothing of a message's content is ever in it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TemplateError {
    /// The template does not parse.
    #[error("the chat template does not parse: {0}")]
    Syntax(String),
    /// The template raised, or used what is not offered.
    #[error("the chat template failed: {0}")]
    Failed(String),
    /// The template exceeded a bound, which is named.
    #[error("the chat template exceeds a limit: {0}")]
    Limit(&'static str),
    /// It can't be told which of the template's output is content.
    #[error("the chat template hides where it puts the messages' content")]
    HidesContent,
    /// The vocabulary can't spell the conversation without one of its control tokens.
    #[error("the chat template's text can't be tokenized")]
    Untokenizable(#[from] Untokenizable),
}

impl TemplateError {
    /// What minijinja says of a source that it can't parse, which knows no content.
    pub(crate) fn syntax(error: &minijinja::Error) -> Self {
        let mut message: String = error
            .detail()
            .map_or_else(|| error.kind().to_string(), ToOwned::to_owned)
            .chars()
            .take(200)
            .collect();
        if let Some(line) = error.line() {
            message = format!("{message} (line {line})");
        }
        Self::Syntax(message)
    }

    /// The code of the frame that reports it.
    pub const fn fault_code(&self) -> FaultCode {
        match self {
            Self::Syntax(_) => FaultCode::TemplateSyntax,
            Self::Failed(_) | Self::Untokenizable(_) => FaultCode::TemplateFailed,
            Self::Limit(_) => FaultCode::TemplateLimit,
            Self::HidesContent => FaultCode::TemplateHidesContent,
        }
    }

    /// The stable code, `template.reason`.
    pub const fn code(&self) -> &'static str {
        self.fault_code().as_str()
    }

    /// What the caller can do about it.
    pub const fn next_step(&self) -> &'static str {
        self.fault_code().next_step()
    }
}

impl From<TemplateError> for Fault {
    fn from(error: TemplateError) -> Self {
        Self::new(error.fault_code(), error.to_string())
    }
}

/// Every code of this crate.
pub const CODES: &[&str] = &[
    FaultCode::TemplateSyntax.as_str(),
    FaultCode::TemplateFailed.as_str(),
    FaultCode::TemplateLimit.as_str(),
    FaultCode::TemplateHidesContent.as_str(),
];
