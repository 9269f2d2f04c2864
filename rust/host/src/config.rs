//! How one model's worker is started and bounded.

use std::{path::PathBuf, time::Duration};

use strongroom_protocol::{Isolation, PrefixCache, Task};

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
    /// What the model is loaded for.
    pub task: Task,
    /// Requests that are held at once, the decoding ones included; at least 1.
    pub concurrent_requests: u32,
    /// Of these, for one tenant; `None` is as many.
    pub tenant_requests: Option<u32>,
    /// Sequences that are decoded at once; 1 to 128.
    pub max_concurrent: u32,
    /// Tokens that one step reads at most; at least 1.
    pub batch_tokens: u32,
    /// Compute threads; `None` is one per core that is really free.
    pub threads: Option<u32>,
    /// What the worker keeps of ended requests, for each tenant apart.
    pub prefix_cache: PrefixCache,
    /// Overwrite what an ended request left. Only switched off to measure what it costs.
    pub erase: bool,
    /// Keep tenants apart. Switched off, all requests are taken for one tenant's; only to measure what
    /// it costs.
    pub separate: bool,
    /// Of one request, in tokens; `None` is min(trained, 4096).
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
            task: Task::Generate,
            concurrent_requests: 64,
            tenant_requests: None,
            max_concurrent: 4,
            batch_tokens: 64,
            threads: None,
            prefix_cache: PrefixCache {
                quota: 0,
                tenants: 0,
                idle_seconds: 600,
            },
            erase: true,
            separate: true,
            context_length: None,
            chat_template: None,
            grace: Duration::from_secs(5),
        }
    }
}
