//! A worker as the host starts it, driven frame by frame.

use std::{
    fs::File,
    io::{Seek, Write},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net::UnixStream,
        unix::process::ExitStatusExt,
    },
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use command_fds::{CommandFdExt, FdMapping};
use rustix::fs::{MemfdFlags, SealFlags};
use strongroom_protocol::{
    Decoder, Event, FrameError, Generate, Isolation, Limits, MAX_EVENT, MAX_ORDER, Order,
    PrefixCache, Priority, Prompt, Ready, Sampling, Start, Task, VERSION, descriptor, frame,
};

/// How long a test waits for a frame or an end before it fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running worker.
pub(crate) struct Worker {
    child: Child,
    orders: UnixStream,
    events: Decoder<UnixStream>,
}

impl Worker {
    /// Starts a worker on `image` and sends it nothing yet.
    pub(crate) fn spawn(image: &[u8]) -> Self {
        Self::spawn_with(image, &[])
    }

    /// Starts a worker with `environment`.
    pub(crate) fn spawn_with(image: &[u8], environment: &[(&str, &str)]) -> Self {
        let (orders, theirs) = UnixStream::pair().unwrap();
        orders.set_read_timeout(Some(PATIENCE)).unwrap();
        orders.set_write_timeout(Some(PATIENCE)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom-worker"));
        command
            .env_clear()
            .env("GGML_NO_BACKTRACE", "1")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            // Hardly ever more than a line, which the pipe holds.
            .stderr(Stdio::piped())
            .fd_mappings(vec![
                FdMapping {
                    parent_fd: theirs.into(),
                    child_fd: descriptor::SOCKET,
                },
                FdMapping {
                    parent_fd: sealed(image),
                    child_fd: descriptor::IMAGE,
                },
            ])
            .unwrap();
        let child = command.spawn().unwrap();
        let events = Decoder::new(orders.try_clone().unwrap(), MAX_EVENT);
        Self {
            child,
            orders,
            events,
        }
    }

    /// Starts a worker on `image` and waits until it is ready.
    pub(crate) fn ready(image: &[u8], start: Start) -> (Self, Ready) {
        let mut worker = Self::spawn(image);
        worker.send(&Order::Start(Box::new(start)));
        match worker.next() {
            Event::Locked(_) => {}
            other => panic!("{other:?} instead of Locked"),
        }
        match worker.next() {
            Event::Ready(ready) => (worker, *ready),
            other => panic!("{other:?} instead of Ready"),
        }
    }

    /// Sends an order.
    pub(crate) fn send(&mut self, order: &Order) {
        let mut bytes = Vec::new();
        frame::encode(order, MAX_ORDER, &mut bytes).unwrap();
        self.send_bytes(&bytes);
    }

    /// Sends bytes as they are; a worker that is gone already is no error.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        let _ = self.orders.write_all(bytes);
    }

    /// The next event.
    pub(crate) fn next(&mut self) -> Event {
        self.try_next().expect("an event")
    }

    /// The next event; `None` when the worker is gone.
    pub(crate) fn try_next(&mut self) -> Option<Event> {
        match self.events.next() {
            Ok(event) => event,
            Err(FrameError::Io(error)) if error.kind() == std::io::ErrorKind::ConnectionReset => {
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Events up to the last about `request`, which is included.
    pub(crate) fn until_done(&mut self, request: u64) -> Vec<Event> {
        let mut events = Vec::new();
        loop {
            let event = self.next();
            let done = match &event {
                Event::Finished(finished) => finished.request == request,
                Event::Embedded(embedded) => embedded.request == request,
                Event::Refused { request: id, .. } | Event::Tokens { request: id, .. } => {
                    *id == request
                }
                _ => false,
            };
            events.push(event);
            if done {
                return events;
            }
        }
    }

    /// Ends the host's direction, so that no frame can be completed.
    pub(crate) fn finish_sending(&mut self) {
        let _ = self.orders.shutdown(std::net::Shutdown::Write);
    }

    /// Closes the host's end.
    pub(crate) fn close(&mut self) {
        self.orders.shutdown(std::net::Shutdown::Both).unwrap();
    }

    /// Waits for the end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < PATIENCE, "the worker doesn't end");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits for the end, which must be an exit.
    pub(crate) fn exit_code(&mut self) -> i32 {
        let status = self.wait();
        status
            .code()
            .unwrap_or_else(|| panic!("killed by signal {:?}", status.signal()))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A sealed memfd of `bytes`, read-only.
pub(crate) fn sealed(bytes: &[u8]) -> OwnedFd {
    let memfd =
        rustix::fs::memfd_create("model", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
    let mut file = File::from(memfd);
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    rustix::fs::fcntl_add_seals(
        &file,
        SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE,
    )
    .unwrap();
    File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))
        .unwrap()
        .into()
}

/// A start with one thread and 4 GB, in the full sandbox.
pub(crate) fn start() -> Start {
    Start {
        version: VERSION,
        isolation: Isolation::Process,
        limits: Limits {
            address_space: 4_000_000_000,
            cores: vec![first_core()],
            threads: 1,
            load_cpu_seconds: 60,
        },
        task: Task::Generate,
        context_length: None,
        chat_template: None,
        concurrent_requests: 4,
        max_concurrent: 4,
        batch_tokens: 64,
        prefix_cache: PrefixCache {
            quota: 0,
            tenants: 0,
            idle_seconds: 0,
        },
        erase: true,
    }
}

fn first_core() -> u32 {
    let set = rustix::thread::sched_getaffinity(None).unwrap();
    (0..1024)
        .find(|&core| set.is_set(core))
        .unwrap()
        .try_into()
        .unwrap()
}

/// Takes the likeliest token.
pub(crate) fn greedy() -> Sampling {
    Sampling {
        logit_bias: Vec::new(),
        repeat_penalty: 1.0,
        presence_penalty: 0.0,
        frequency_penalty: 0.0,
        top_k: 40,
        top_p: 0.95,
        min_p: 0.05,
        temperature: 0.0,
        seed: 1,
    }
}

/// Continues `text` by `max_tokens`, greedily.
pub(crate) fn generate(request: u64, text: &str, max_tokens: u32) -> Order {
    Order::Generate(Box::new(Generate {
        request,
        prompt: Prompt::Text(text.into()),
        sampling: greedy(),
        max_tokens: Some(max_tokens),
        stop: Vec::new(),
        timeout_ms: 60_000,
        piece_interval_ms: 0,
        tenant: None,
        priority: Priority::Normal,
    }))
}
