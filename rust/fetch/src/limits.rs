//! How long, how much and how slowly.

use std::time::Duration;

/// Bounds on one download.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes that a file may have.
    pub size: u64,
    /// Redirects that are followed.
    pub redirects: usize,
    /// To resolve and connect, for each host.
    pub connect: Duration,
    /// For the TLS handshake.
    pub handshake: Duration,
    /// For the head of an answer.
    pub head: Duration,
    /// Between two pieces of a body.
    pub idle: Duration,
    /// Within each of these times, [`least`](Self::least) bytes of a body must come.
    pub window: Duration,
    /// See [`window`](Self::window).
    pub least: u64,
    /// For everything, waiting for another process's download included.
    pub total: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            size: 64 << 30,
            redirects: 5,
            connect: Duration::from_secs(15),
            handshake: Duration::from_secs(15),
            head: Duration::from_secs(30),
            idle: Duration::from_secs(30),
            window: Duration::from_secs(60),
            least: 1 << 20,
            total: Duration::from_secs(24 * 60 * 60),
        }
    }
}
