//! Long texts become tokens on a thread of their own, while what is being decoded goes on.

use std::{
    sync::{
        Arc,
        mpsc::{Sender, channel, sync_channel},
    },
    thread,
};

use strongroom_protocol::{Private, Prompt};

use crate::{EngineError, Prompter, Token, Vocabulary, residue};

/// The thread's stack: splitting a text by a regular expression recurses once a character.
const STACK: usize = 8 << 20;

/// How much less of a busy core the thread gets than those that decode: about a third as much. The
/// steps of all wait for each of their threads.
const NICENESS: libc::c_int = 5;

/// Tokenizes what it is handed, in that order. The thread ends when nothing can be handed to it any more.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    texts: Sender<Text>,
}

/// What there is to tokenize.
#[derive(Debug)]
enum Text {
    Prompt {
        request: u64,
        prompt: Prompt,
        prompter: Arc<Prompter>,
    },
    Plain {
        request: u64,
        text: Private,
        vocabulary: Arc<Vocabulary>,
    },
    Several {
        request: u64,
        texts: Vec<Private>,
        vocabulary: Arc<Vocabulary>,
        /// Tokens that each may have.
        length: u32,
    },
}

/// What became of it.
#[derive(Debug)]
pub enum Tokenized {
    /// The prompt of a request.
    Prompt {
        /// Whose prompt it is.
        request: u64,
        /// As [`Prompter::tokens`] returns them.
        tokens: Result<Vec<Token>, EngineError>,
    },
    /// A text of which the tokens were asked for.
    Plain {
        /// Who asked.
        request: u64,
        /// As [`Vocabulary::tokenize`] returns them.
        tokens: Result<Vec<Token>, EngineError>,
    },
    /// The texts of a request for vectors.
    Several {
        /// Whose texts they are.
        request: u64,
        /// As [`Vocabulary::tokenize_all`] returns them.
        tokens: Result<Vec<Vec<Token>>, EngineError>,
    },
}

impl Tokenizer {
    /// Starts the thread, which is waiting for the first text when this returns. It gives `hear` what
    /// became of each.
    ///
    /// # Errors
    /// What making a thread says.
    pub fn start(hear: impl Fn(Tokenized) + Send + 'static) -> std::io::Result<Self> {
        let (texts, waiting) = channel::<Text>();
        let (started, start) = sync_channel(0);
        thread::Builder::new()
            .name("tokenizer".to_owned())
            .stack_size(STACK)
            .spawn(move || {
                yield_to_others();
                let stack = residue::lowest();
                let _ = started.send(());
                for text in waiting {
                    let tokenized = text.tokenized();
                    // Splitting may have gone deep, and nothing else overwrites it before the next text.
                    residue::forget_below(stack);
                    hear(tokenized);
                }
            })?;
        let _ = start.recv();
        Ok(Self { texts })
    }

    /// Hands over the prompt of `request`.
    pub(crate) fn read_prompt(&self, request: u64, prompt: Prompt, prompter: Arc<Prompter>) {
        self.hand(Text::Prompt {
            request,
            prompt,
            prompter,
        });
    }

    /// Hands over a text of which `request` wants the tokens.
    pub fn read(&self, request: u64, text: Private, vocabulary: Arc<Vocabulary>) {
        self.hand(Text::Plain {
            request,
            text,
            vocabulary,
        });
    }

    /// Hands over the texts of `request`, of which each may have `length` tokens.
    pub(crate) fn read_texts(
        &self,
        request: u64,
        texts: Vec<Private>,
        vocabulary: Arc<Vocabulary>,
        length: u32,
    ) {
        self.hand(Text::Several {
            request,
            texts,
            vocabulary,
            length,
        });
    }

    fn hand(&self, text: Text) {
        // It waits as long as there is a `Tokenizer`; if it panics, so has the process.
        let _ = self.texts.send(text);
    }
}

impl Text {
    fn tokenized(self) -> Tokenized {
        match self {
            Self::Prompt {
                request,
                prompt,
                prompter,
            } => Tokenized::Prompt {
                request,
                tokens: prompter.tokens(&prompt),
            },
            Self::Plain {
                request,
                text,
                vocabulary,
            } => Tokenized::Plain {
                request,
                tokens: vocabulary.tokenize(&text.0),
            },
            Self::Several {
                request,
                texts,
                vocabulary,
                length,
            } => Tokenized::Several {
                request,
                tokens: vocabulary.tokenize_all(&texts, length),
            },
        }
    }
}

/// Lowers the priority of the calling thread. Where that is refused, it has the same as the others.
fn yield_to_others() {
    // SAFETY: the call takes numbers; on Linux 0 is the calling thread alone (`setpriority(2)`).
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICENESS) };
}
