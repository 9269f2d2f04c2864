//! What the host asks of a worker.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A frame from the host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Order {
    /// The first frame, exactly once: lock in, then load the image.
    Start(Box<Start>),
    /// Decode a prompt; answered by `Began`, any number of `Piece`, then `Finished` or `Refused`.
    Generate(Box<Generate>),
    /// Tokenize `text` without parsing special tokens; answered by `Tokens` or `Refused`.
    Tokenize {
        /// Chosen by the host, unique among the requests in flight.
        request: u64,
        /// At most [`crate::MAX_TEXT`] bytes; 96 KiB unless the vocabulary is of byte pairs. Where a
        /// regular expression splits it, no run of 4,096 characters without white space, nor of
        /// 1,024 that are white space, may be exceeded.
        text: Private,
    },
    /// Stop `request` at the next step; an unknown or finished one is ignored.
    Cancel {
        /// The request to stop.
        request: u64,
    },
}

/// How much of the sandbox a worker must put in force before it parses the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Isolation {
    /// No layer at all, for measuring.
    DangerNone,
    /// seccomp, the rlimits and Landlock.
    Process,
    /// `Process`, and Landlock's network and scope rights; the host also requires that no swap
    /// lies under the plaintext.
    Maximum,
}

/// Bounds of one worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// `RLIMIT_AS` in bytes: all of the address space, the mapped weights included.
    pub address_space: u64,
    /// The processors that the worker may run on, by number; not empty.
    pub cores: Vec<u32>,
    /// Compute threads; at most the cores that are really free.
    pub threads: u32,
    /// Seconds of processor time that loading may use, over all threads.
    pub load_cpu_seconds: u64,
}

/// The first frame.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// [`crate::VERSION`].
    pub version: u32,
    /// What must be in force.
    pub isolation: Isolation,
    /// Bounds of the process.
    pub limits: Limits,
    /// Context length in tokens; `None` is min(trained, 4096).
    pub context_length: Option<u32>,
    /// The operator's chat template, instead of the one in the file.
    pub chat_template: Option<String>,
    /// Requests that the worker holds at once, the decoding one included.
    pub concurrent_requests: u32,
}

/// A request to decode.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Generate {
    /// Chosen by the host, unique among the requests in flight.
    pub request: u64,
    /// What to continue.
    pub prompt: Prompt,
    /// How the next token is chosen.
    pub sampling: Sampling,
    /// Tokens to decode at most; `None` is as many as the context holds.
    pub max_tokens: Option<u32>,
    /// Strings that end the answer; they are not part of it. At most 16, each of 1 to 256 bytes.
    pub stop: Vec<Private>,
    /// Milliseconds from the moment the worker reads the order to its deadline.
    pub timeout_ms: u64,
    /// Milliseconds between two pieces of the answer at least, the first one not counted; what is
    /// decoded meanwhile comes with the next. 0 is a piece for every token that has text.
    pub piece_interval_ms: u32,
}

/// What to continue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Prompt {
    /// Plain text; special tokens in it are not parsed. Bounded as the text of [`Order::Tokenize`]
    /// is, as is each piece of a conversation.
    Text(Private),
    /// A conversation for the chat template; the template adds the generation prompt.
    Chat(Vec<Message>),
}

/// Who speaks. A fixed list: a template sees no other role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Role {
    /// The operator's instructions.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
    /// The result of a tool.
    Tool,
}

impl Role {
    /// Every role, in the order of the specification.
    pub const ALL: [Self; 4] = [Self::System, Self::User, Self::Assistant, Self::Tool];

    /// The word that templates and the Python API use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: Private,
    /// The speaker's name, for templates that use one.
    pub name: Option<Private>,
}

/// How the next token is chosen. The samplers run in the order of the fields: biases and penalties,
/// then `top_k`, `top_p`, `min_p`, then temperature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// Added to the logits of single tokens; at most 1,024 of them, each in -100 to 100.
    pub logit_bias: Vec<(u32, f32)>,
    /// Divides the logits of tokens seen in the last 64; 1 changes nothing; above 0, at most 2.
    pub repeat_penalty: f32,
    /// Subtracted once from tokens seen in the last 64; -2 to 2.
    pub presence_penalty: f32,
    /// Subtracted per occurrence in the last 64 tokens; -2 to 2.
    pub frequency_penalty: f32,
    /// Keep the k likeliest tokens; 0 keeps all.
    pub top_k: u32,
    /// Keep the likeliest tokens whose probabilities sum to this; above 0, at most 1.
    pub top_p: f32,
    /// Keep tokens at least this fraction as likely as the likeliest; 0 to 1.
    pub min_p: f32,
    /// 0 always takes the likeliest token; at most 5.
    pub temperature: f32,
    /// Of the random numbers; below 2³² - 1, which llama.cpp reserves.
    pub seed: u32,
}

/// Text of a tenant: a prompt, or a part of one. Its `Debug` shows only the length.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Private(pub String);

impl fmt::Debug for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes>", self.0.len())
    }
}

impl From<String> for Private {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Private {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}
