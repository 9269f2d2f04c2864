//! The architectures whose tensors are checked one by one.

/// An architecture that preflight knows as well as llama.cpp does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Architecture {
    Llama,
    Qwen2,
    Qwen3,
    Gemma3,
    Phi3,
}

impl Architecture {
    /// The architecture of that name, if it is one of these.
    pub(crate) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "llama" => Self::Llama,
            "qwen2" => Self::Qwen2,
            "qwen3" => Self::Qwen3,
            "gemma3" => Self::Gemma3,
            "phi3" => Self::Phi3,
            _ => return None,
        })
    }

    /// Whether llama.cpp rotates whole heads; it aborts when the header says otherwise.
    pub(crate) fn rotates_whole_heads(self) -> bool {
        matches!(self, Self::Llama | Self::Qwen2 | Self::Qwen3)
    }

    /// Whether the heads together have to be as wide as the embedding.
    pub(crate) fn heads_fill_embedding(self) -> bool {
        matches!(self, Self::Qwen2 | Self::Phi3)
    }
}
