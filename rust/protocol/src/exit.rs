//! The exit codes of a worker, which are the last thing it can say.

/// How a worker left, when it left by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// The host closed the socket.
    Clean = 0,
    /// A `Failed` frame was sent before.
    Failed = 64,
    /// A panic, or a C++ exception that reached the edge of Rust.
    Panic = 70,
    /// `ggml_abort`: llama.cpp found its own state broken.
    Abort = 71,
    /// Memory ran out.
    Memory = 72,
    /// The host broke the protocol.
    Protocol = 73,
}

impl ExitCode {
    /// Reads a process's exit code back.
    pub const fn from_raw(code: i32) -> Option<Self> {
        Some(match code {
            0 => Self::Clean,
            64 => Self::Failed,
            70 => Self::Panic,
            71 => Self::Abort,
            72 => Self::Memory,
            73 => Self::Protocol,
            _ => return None,
        })
    }
}
