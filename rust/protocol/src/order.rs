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
    /// Turn texts into vectors; answered by `Embedded` or `Refused`. Only where the task is
    /// [`Task::Embed`].
    Embed(Box<Embed>),
    /// Read a prompt once, for every tenant to begin with; answered by `Published` or `Refused`.
    Publish(Box<Publish>),
}

/// What a worker is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {
    /// `Generate` and `Publish`.
    Generate,
    /// `Embed`.
    Embed {
        /// `None` is the model's own.
        pooling: Option<Pooling>,
    },
}

/// How the vectors of a text's tokens become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pooling {
    /// Their mean.
    Mean,
    /// The first token's.
    Cls,
    /// The last token's.
    Last,
}

impl Pooling {
    /// The word that the Python API uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Cls => "cls",
            Self::Last => "last",
        }
    }
}

/// What a worker keeps of ended requests, so that the next of the same tenant needn't be read anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrefixCache {
    /// Bytes for one tenant; 0 keeps nothing.
    pub quota: u64,
    /// Tenants that have a cache at once; further ones have none until one has been idle for long.
    pub tenants: u32,
    /// Seconds after a tenant's last request until its cache is wiped.
    pub idle_seconds: u32,
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
    /// What the worker is for.
    pub task: Task,
    /// Context length of one request in tokens; `None` is min(trained, 4096).
    pub context_length: Option<u32>,
    /// The operator's chat template, instead of the one in the file.
    pub chat_template: Option<String>,
    /// Requests that the worker holds at once, the decoding ones included.
    pub concurrent_requests: u32,
    /// Sequences decoded at once, 1 to [`crate::MAX_SEQUENCES`].
    pub max_concurrent: u32,
    /// Tokens that one step reads at most, all sequences together; at least 1.
    pub batch_tokens: u32,
    /// What is kept of ended requests.
    pub prefix_cache: PrefixCache,
    /// Overwrite what an ended request left; only switched off to measure what it costs.
    pub erase: bool,
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
    /// Milliseconds between the ticks at which pieces of the answer come, the first one not counted;
    /// what is decoded meanwhile comes with the next. 0 is a piece for every token that has text.
    pub piece_interval_ms: u32,
    /// Whose request it is; nothing is kept of one without a tenant.
    pub tenant: Option<Tenant>,
    /// Which requests go first.
    pub priority: Priority,
}

/// A tenant, as a worker knows it: a keyed hash that the host computes over the tenant's name, the
/// model and the template. The worker only compares it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Tenant(pub [u8; 32]);

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<tenant>")
    }
}

/// Which of the waiting requests goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Priority {
    /// When no other waits.
    Low,
    /// As it is.
    Normal,
    /// Before the others.
    High,
}

/// A request for vectors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Embed {
    /// Chosen by the host, unique among the requests in flight.
    pub request: u64,
    /// At most [`crate::MAX_EMBED_TEXTS`], each bounded as that of [`Order::Tokenize`], together at
    /// most [`crate::MAX_TEXT`] bytes.
    pub texts: Vec<Private>,
    /// Scale each vector to length 1.
    pub normalize: bool,
    /// Milliseconds from the moment the worker reads the order to its deadline.
    pub timeout_ms: u64,
    /// Whose request it is.
    pub tenant: Option<Tenant>,
    /// Which requests go first.
    pub priority: Priority,
}

/// A prompt that every tenant may begin with: the operator's word that it is no secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Publish {
    /// Chosen by the host, unique among the requests in flight.
    pub request: u64,
    /// What to read.
    pub prompt: Prompt,
    /// Milliseconds from the moment the worker reads the order to its deadline.
    pub timeout_ms: u64,
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
