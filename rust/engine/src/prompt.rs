//! From what a request says to the tokens of its prompt.

use strongroom_protocol::{Fault, MAX_TEXT, Message, Prompt};

use crate::{EngineError, Token, Vocabulary};

/// Turns prompts into tokens, with the model's vocabulary and chat template.
#[derive(Debug)]
pub struct Prompter {
    vocabulary: Vocabulary,
    context_length: u32,
}

impl Prompter {
    /// For a context of `context_length` tokens; `template` is the operator's or the file's.
    pub fn new(vocabulary: Vocabulary, template: Option<&str>, context_length: u32) -> Self {
        let _ = template;
        Self {
            vocabulary,
            context_length,
        }
    }

    /// The vocabulary.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// Why conversations are refused, where they are.
    pub fn chat_refusal(&self) -> Option<Fault> {
        Some(EngineError::TemplateMissing.fault())
    }

    /// The tokens of `prompt`, at least one and fewer than the context holds.
    ///
    /// # Errors
    /// [`EngineError::PromptEmpty`], [`EngineError::PromptTooLong`], [`EngineError::TextTooLong`],
    /// [`EngineError::TemplateMissing`], [`EngineError::Template`].
    pub fn tokens(&self, prompt: &Prompt) -> Result<Vec<Token>, EngineError> {
        let tokens = match prompt {
            Prompt::Text(text) => {
                if text.0.is_empty() {
                    return Err(EngineError::PromptEmpty);
                }
                self.require_fitting(text.0.len())?;
                self.vocabulary.tokenize(&text.0)?
            }
            Prompt::Chat(messages) => self.conversation(messages)?,
        };
        if tokens.is_empty() {
            return Err(EngineError::PromptEmpty);
        }
        if tokens.len() >= self.context_length as usize {
            return Err(EngineError::PromptTooLong {
                size: format!("{} tokens", tokens.len()),
                context: self.context_length,
            });
        }
        Ok(tokens)
    }

    fn conversation(&self, _messages: &[Message]) -> Result<Vec<Token>, EngineError> {
        Err(EngineError::TemplateMissing)
    }

    /// Refuses a text that can't fit whatever its tokens are, before it costs a tokenization.
    fn require_fitting(&self, bytes: usize) -> Result<(), EngineError> {
        if bytes > MAX_TEXT {
            return Err(EngineError::TextTooLong {
                bytes,
                bound: MAX_TEXT,
            });
        }
        if bytes / self.vocabulary.longest_piece() >= self.context_length as usize {
            return Err(EngineError::PromptTooLong {
                size: format!("{bytes} bytes"),
                context: self.context_length,
            });
        }
        Ok(())
    }
}
