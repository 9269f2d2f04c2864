//! From what a request says to the tokens of its prompt.

use std::{
    cell::{Cell, RefCell},
    sync::Arc,
    time::Duration,
};

use strongroom_protocol::{Fault, LONG_TEXT, MAX_MESSAGES, MAX_TEXT, Message, Prompt};
use strongroom_template::{ChatTemplate, ControlTokens, Untokenizable};

use crate::{EngineError, Token, Vocabulary};

/// Turns prompts into tokens, with the model's vocabulary and chat template.
#[derive(Debug)]
pub struct Prompter {
    vocabulary: Arc<Vocabulary>,
    context_length: u32,
    template: Result<ChatTemplate, EngineError>,
}

impl Prompter {
    /// For a context of `context_length` tokens; `template` is the operator's or the file's. A
    /// template that doesn't parse refuses conversations, not the model.
    pub fn new(vocabulary: Vocabulary, template: Option<&str>, context_length: u32) -> Self {
        let spelling = |token: Option<Token>| {
            token.map_or_else(String::new, |token| vocabulary.spelling(token))
        };
        let template = match template {
            Some(source) => ChatTemplate::new(
                source,
                &spelling(vocabulary.bos()),
                &spelling(vocabulary.eos()),
            )
            // Beside others that decode on all cores, a long conversation takes long without much work.
            .map(|template| template.measured_by(processor_time))
            .map_err(EngineError::Template),
            None => Err(EngineError::TemplateMissing),
        };
        Self {
            vocabulary: Arc::new(vocabulary),
            context_length,
            template,
        }
    }

    /// The vocabulary.
    pub fn vocabulary(&self) -> &Arc<Vocabulary> {
        &self.vocabulary
    }

    /// Why conversations are refused, where they are.
    pub fn chat_refusal(&self) -> Option<Fault> {
        self.template.as_ref().err().map(EngineError::fault)
    }

    /// The tokens of `prompt`, at least one and fewer than the context holds.
    ///
    /// # Errors
    /// [`EngineError::PromptEmpty`], [`EngineError::PromptTooLong`], [`EngineError::TextTooLong`],
    /// [`EngineError::TooManyMessages`], [`EngineError::RunTooLong`], [`EngineError::TemplateMissing`], [`EngineError::Template`].
    pub fn tokens(&self, prompt: &Prompt) -> Result<Vec<Token>, EngineError> {
        require_bounded(bytes(prompt))?;
        let tokens = match prompt {
            Prompt::Text(text) => {
                if text.0.is_empty() {
                    return Err(EngineError::PromptEmpty);
                }
                if !self.may_fit(text.0.len()) {
                    return Err(self.too_long(format!("{} bytes", text.0.len())));
                }
                self.vocabulary.tokenize(&text.0)?
            }
            Prompt::Chat(messages) => self.conversation(messages)?,
        };
        if tokens.is_empty() {
            return Err(EngineError::PromptEmpty);
        }
        if tokens.len() >= self.context_length as usize {
            return Err(self.too_long(format!("{} tokens", tokens.len())));
        }
        Ok(tokens)
    }

    fn conversation(&self, messages: &[Message]) -> Result<Vec<Token>, EngineError> {
        let template = match &self.template {
            Ok(template) => template,
            Err(EngineError::Template(error)) => return Err(EngineError::Template(error.clone())),
            Err(_) => return Err(EngineError::TemplateMissing),
        };
        if messages.is_empty() {
            return Err(EngineError::PromptEmpty);
        }
        if messages.len() > MAX_MESSAGES {
            return Err(EngineError::TooManyMessages {
                count: messages.len(),
                bound: MAX_MESSAGES,
            });
        }
        let measured = Measured {
            prompter: self,
            tokens: Cell::new(0),
            refusal: RefCell::new(None),
        };
        template.encode(messages, &measured).map_err(|error| {
            measured
                .refusal
                .take()
                .unwrap_or(EngineError::Template(error))
        })
    }

    /// Whether a text of `bytes` can have fewer tokens than the context holds.
    fn may_fit(&self, bytes: usize) -> bool {
        let most = (self.context_length as usize).saturating_sub(1);
        self.vocabulary.may_fit(bytes, most)
    }

    fn too_long(&self, size: String) -> EngineError {
        EngineError::PromptTooLong {
            size,
            context: self.context_length,
        }
    }
}

/// The vocabulary as a template sees it, which refuses to tokenize what can't fit.
struct Measured<'a> {
    prompter: &'a Prompter,
    /// Tokens that were made; of some texts twice.
    tokens: Cell<usize>,
    /// Why the last text was refused.
    refusal: RefCell<Option<EngineError>>,
}

impl strongroom_template::Vocabulary for Measured<'_> {
    fn tokenize(&self, text: &str) -> Result<Vec<Token>, Untokenizable> {
        let context = self.prompter.context_length as usize;
        let tokens = if self.tokens.get() > 2 * context {
            // What comes after can't make it fit any more.
            Err(self.prompter.too_long(format!("over {context} tokens")))
        } else if self.prompter.may_fit(text.len()) {
            self.prompter.vocabulary().tokenize_plain(text)
        } else {
            Err(self.prompter.too_long(format!("{} bytes", text.len())))
        };
        if let Ok(tokens) = &tokens {
            self.tokens.set(self.tokens.get() + tokens.len());
        }
        tokens.map_err(|error| {
            self.refusal.replace(Some(error));
            Untokenizable
        })
    }

    fn control_tokens(&self) -> &ControlTokens {
        self.prompter.vocabulary().control_tokens()
    }

    fn leading(&self) -> Option<Token> {
        strongroom_template::Vocabulary::leading(&*self.prompter.vocabulary)
    }

    fn trailing(&self) -> Option<Token> {
        strongroom_template::Vocabulary::trailing(&*self.prompter.vocabulary)
    }
}

/// What a message adds to the work on a prompt, in bytes of text: a template writes something around each.
const MESSAGE: usize = 256;

/// Whether a prompt is so long that it isn't tokenized between two steps.
pub(crate) fn is_long(prompt: &Prompt) -> bool {
    weight(prompt) > LONG_TEXT
}

/// The work on a prompt, in bytes of text.
pub(crate) fn weight(prompt: &Prompt) -> usize {
    let messages = match prompt {
        Prompt::Text(_) => 0,
        Prompt::Chat(messages) => messages.len(),
    };
    bytes(prompt).saturating_add(messages.saturating_mul(MESSAGE))
}

/// Bytes of text in a prompt.
fn bytes(prompt: &Prompt) -> usize {
    match prompt {
        Prompt::Text(text) => text.0.len(),
        Prompt::Chat(messages) => messages
            .iter()
            .map(|message| {
                message.content.0.len() + message.name.as_ref().map_or(0, |name| name.0.len())
            })
            .sum(),
    }
}

/// Of the calling thread.
fn processor_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` has the room that the call fills. The sandbox allows the call.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

fn require_bounded(bytes: usize) -> Result<(), EngineError> {
    if bytes > MAX_TEXT {
        return Err(EngineError::TextTooLong {
            bytes,
            bound: MAX_TEXT,
        });
    }
    Ok(())
}
