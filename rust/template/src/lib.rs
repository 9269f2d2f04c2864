//! Chat templates of strangers, rendered so that content stays content.
//!
//! A chat template is a program from the model file. Here it runs in minijinja with nothing to
//! reach and [bounds](Limits) on everything it may use, and what it writes becomes tokens such that
//! only the template's own scaffold produces control tokens: not the messages' content, not their
//! names. How that is told apart is described in `encode.rs`; what a vocabulary has to offer for
//! it is [`Vocabulary`].
//!
//! Conversations without control tokens in their content get the ids that llama.cpp gives to the
//! whole rendered prompt with `parse_special`.
#![forbid(unsafe_code)]

mod calendar;
#[cfg(feature = "corpus")]
pub mod corpus;
mod encode;
mod environment;
mod error;
mod held;
mod json;
mod limits;
mod mark;
mod methods;
mod partition;
mod source;
mod vocabulary;

use std::time::{Duration, SystemTime};

pub use error::{CODES, TemplateError};
pub use limits::Limits;
pub use strongroom_protocol::{Message, Role};
pub use vocabulary::{ControlToken, ControlTokens, Kind, Untokenizable, Vocabulary};

use environment::{Parsed, Turn};

/// A chat template that parsed.
#[derive(Debug)]
pub struct ChatTemplate {
    parsed: Parsed,
    now: Option<SystemTime>,
}

impl ChatTemplate {
    /// Parses `source`; `bos` and `eos` are the texts of the vocabulary's tokens, empty if none.
    ///
    /// # Errors
    /// [`TemplateError::Syntax`] and [`TemplateError::Limit`].
    pub fn new(source: &str, bos: &str, eos: &str) -> Result<Self, TemplateError> {
        Self::with_limits(source, bos, eos, Limits::default())
    }

    /// As [`Self::new`], with other bounds.
    ///
    /// # Errors
    /// [`TemplateError::Syntax`] and [`TemplateError::Limit`].
    pub fn with_limits(
        source: &str,
        bos: &str,
        eos: &str,
        limits: Limits,
    ) -> Result<Self, TemplateError> {
        Ok(Self {
            parsed: Parsed::new(source, bos, eos, limits)?,
            now: None,
        })
    }

    /// Fixes the moment that `strftime_now` shows; otherwise it is the system's, in UTC.
    #[must_use]
    pub const fn at(mut self, now: SystemTime) -> Self {
        self.now = Some(now);
        self
    }

    /// Measures [`Limits::time`] by `time`, such as the processor time of the calling thread; otherwise it is
    /// time as it passes.
    #[must_use]
    pub const fn measured_by(mut self, time: fn() -> Duration) -> Self {
        self.parsed.time = time;
        self
    }

    /// The tokens of the conversation, with the generation prompt, ready to decode. BOS and EOS
    /// are there as llama.cpp's chat code has them: once, whether the template or the vocabulary
    /// adds them.
    ///
    /// # Errors
    /// Every [`TemplateError`] but `Syntax`.
    pub fn encode(
        &self,
        messages: &[Message],
        vocabulary: &dyn Vocabulary,
    ) -> Result<Vec<u32>, TemplateError> {
        let clock = self.parsed.clock(self.now());
        encode::encode(&self.parsed, &turns(messages), vocabulary, clock)
    }

    /// The text of the conversation, as the template writes it.
    ///
    /// # Errors
    /// [`TemplateError::Failed`] and [`TemplateError::Limit`].
    pub fn render(&self, messages: &[Message]) -> Result<String, TemplateError> {
        self.parsed
            .render(&turns(messages), self.parsed.clock(self.now()))
    }

    fn now(&self) -> SystemTime {
        self.now.unwrap_or_else(SystemTime::now)
    }
}

fn turns(messages: &[Message]) -> Vec<Turn> {
    messages
        .iter()
        .map(|message| Turn {
            role: message.role,
            content: message.content.0.clone(),
            name: message.name.as_ref().map(|name| name.0.clone()),
        })
        .collect()
}
