//! How one model's worker is started and bounded.

use std::{path::PathBuf, time::Duration};

use strongroom_protocol::Isolation;

/// How one model's worker is started and bounded.
#[derive(Debug, Clone)]
pub struct Config {
    /// The worker's executable; [`choose`](crate::choose) finds it.
    pub executable: PathBuf,
    /// What must be in force before the image is parsed.
    pub isolation: Isolation,
    /// The worker's address space in bytes, the weights included.
    pub address_space: u64,
    /// Processors that the worker may run on; more than there are means all of them.
    pub cores: usize,
    /// From the spawn to `Ready`, for the first worker and for each replacement.
    pub load_timeout: Duration,
    /// Longest timeout that a request may ask for.
    pub request_timeout: Duration,
    /// Requests to decode that are held at once, the decoding one included; at least 1.
    pub concurrent_requests: u32,
    /// In tokens; `None` is min(trained, 4096).
    pub context_length: Option<u32>,
    /// The operator's chat template, instead of the one in the file.
    pub chat_template: Option<String>,
    /// How long a worker may overstay a deadline before it is killed: one step of decoding.
    pub grace: Duration,
}

impl Config {
    /// The defaults: `process` isolation, all processors, 8 GB, requests of 30 seconds.
    pub const fn new(executable: PathBuf) -> Self {
        Self {
            executable,
            isolation: Isolation::Process,
            address_space: 8_000_000_000,
            cores: usize::MAX,
            load_timeout: Duration::from_secs(120),
            request_timeout: Duration::from_secs(30),
            concurrent_requests: 16,
            context_length: None,
            chat_template: None,
            grace: Duration::from_secs(5),
        }
    }
}
