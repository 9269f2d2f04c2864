//! Why a worker refuses: a closed list, so that a hostile worker can't invent one.

use serde::{Deserialize, Serialize};

/// A refusal. `detail` is for people: numbers and names of options, never content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Which.
    pub code: FaultCode,
    /// At most [`Fault::MAX_DETAIL`] bytes; the host cuts what is longer and escapes what doesn't print.
    pub detail: String,
}

impl Fault {
    /// Longest `detail`, in bytes.
    pub const MAX_DETAIL: usize = 512;

    /// A fault with its detail.
    pub fn new(code: FaultCode, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
        }
    }
}

macro_rules! fault_codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $next:literal;)*) => {
        /// The kinds of refusal. `as_str` is the stable code that Python shows.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum FaultCode { $($(#[$doc])* $name,)* }

        impl FaultCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The stable code, `noun.reason`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// What the caller can do about it.
            pub const fn next_step(self) -> &'static str {
                match self { $(Self::$name => $next,)* }
            }
        }
    };
}

fault_codes! {
    /// A layer of the sandbox could not be put in force.
    Sandbox = "sandbox.unavailable", "run `strongroom doctor` to see what this machine can enforce";
    /// llama.cpp refused the image.
    Load = "load.refused", "the file is not a model that llama.cpp can load: compare its digest with the publisher's";
    /// The context could not be made within the limits.
    Context = "load.context", "lower context_length or raise memory_limit";
    /// The prompt has no tokens.
    PromptEmpty = "prompt.empty", "give a prompt that is not empty";
    /// The prompt does not fit the context.
    PromptTooLong = "prompt.too_long", "shorten what the message names; where that is the context, a larger context_length helps too";
    /// Neither the file nor the operator gave a chat template.
    TemplateMissing = "template.missing", "pass chat_template= to load(), or use complete()";
    /// The template does not parse.
    TemplateSyntax = "template.syntax", "pass a chat_template= that parses";
    /// The template raised, or used what is not offered.
    TemplateFailed = "template.failed", "check the order and the roles of the messages, or pass chat_template=";
    /// The template ran out of fuel, size, memory or time.
    TemplateLimit = "template.limit", "pass a simpler chat_template=";
    /// It can't be told which of the template's output is content.
    TemplateHidesContent = "template.hides_content", "pass a chat_template= that writes the messages' content unchanged";
    /// An option of the request is out of range for this model.
    Option = "option.out_of_range", "see the option's documented range";
    /// More requests than the worker holds.
    Busy = "request.busy", "try again later, or raise concurrent_requests";
    /// The request's deadline passed.
    Deadline = "request.deadline", "raise timeout, or ask for fewer tokens";
    /// llama.cpp failed to decode.
    Decode = "request.decode_failed", "try again; if it stays, report the model's digest and this message";
    /// The host broke the protocol, or speaks another version.
    Protocol = "worker.protocol", "install one version of strongroom: the worker and the module differ";
    /// The model was loaded for the other task.
    Task = "request.wrong_task", "load the model with embeddings=True to embed, and without it to generate";
    /// No more public prefixes, or bytes for them.
    Publish = "prefix.no_room", "publish fewer or shorter prefixes";
}
