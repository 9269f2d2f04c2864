//! Chat templates of strangers, rendered so that content stays content.
#![forbid(unsafe_code)]

mod error;
mod vocabulary;

pub use error::{CODES, TemplateError};
pub use strongroom_protocol::{Message, Role};
pub use vocabulary::{ControlToken, ControlTokens, Kind, Untokenizable, Vocabulary};

/// A chat template that parsed.
#[derive(Debug)]
pub struct ChatTemplate;

impl ChatTemplate {
    /// Parses `source`; `bos` and `eos` are the texts of the vocabulary's tokens, empty if none.
    ///
    /// # Errors
    /// [`TemplateError::Syntax`] and [`TemplateError::Limit`].
    pub fn new(source: &str, bos: &str, eos: &str) -> Result<Self, TemplateError> {
        let _ = (source, bos, eos);
        Ok(Self)
    }

    /// The tokens of the conversation, with the generation prompt, ready to decode.
    ///
    /// # Errors
    /// Every [`TemplateError`] but `Syntax`.
    pub fn encode(
        &self,
        messages: &[Message],
        vocabulary: &dyn Vocabulary,
    ) -> Result<Vec<u32>, TemplateError> {
        let _ = (messages, vocabulary);
        Err(TemplateError::HidesContent)
    }

    /// The text of the conversation, as the template writes it.
    ///
    /// # Errors
    /// [`TemplateError::Failed`] and [`TemplateError::Limit`].
    pub fn render(&self, messages: &[Message]) -> Result<String, TemplateError> {
        let _ = messages;
        Err(TemplateError::HidesContent)
    }
}
