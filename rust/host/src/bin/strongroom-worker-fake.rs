//! A worker that misbehaves on demand, for the tests of whoever has to bear workers.
//!
//! It speaks the real protocol over the real descriptors and locks nothing in. How it behaves while it
//! loads is a word in `Start::chat_template`; how it behaves afterwards is the text of each prompt.
//! Without any such word it answers `say N` with N pieces. `steps COUNT SIZE MICROS` waits until SIZE
//! requests ask for it, and then decodes them together: COUNT steps, MICROS apart, a piece for each in one.
#![forbid(unsafe_code)]
#![allow(missing_docs, clippy::unwrap_used)]

use std::{
    collections::VecDeque,
    fs::OpenOptions,
    io::Write,
    os::unix::net::UnixStream,
    process::exit,
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::process::{
    PidfdFlags, PidfdGetfdFlags, Signal, getpid, kill_process, pidfd_getfd, pidfd_open,
};
use strongroom_protocol::{
    Decoder, Embed, Embedded, Event, Fault, FaultCode, FinishReason, Finished, Generate, Isolation,
    Layer, LayerName, LayerState, MAX_DIMENSIONS, MAX_EVENT, MAX_ORDER, Order, Prompt, Publish,
    Ready, Report, Start, Task, descriptor, frame,
};

const DIMENSIONS: u32 = 4;
const CONTEXT: u32 = 256;
const VOCABULARY: u32 = 300;

fn main() {
    // A copy of the descriptor, which needs no promise about who owns the original.
    let this = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
    let socket = pidfd_getfd(this, descriptor::SOCKET, PidfdGetfdFlags::empty()).unwrap();
    let socket = UnixStream::from(socket);
    let mut orders = Decoder::new(socket.try_clone().unwrap(), MAX_ORDER);
    let Ok(Some(Order::Start(start))) = orders.next() else {
        exit(73)
    };
    let mut worker = Fake {
        socket,
        active: None,
        queue: VecDeque::new(),
        batch: Vec::new(),
        long: None,
    };
    worker.load(&start);
    while let Ok(Some(order)) = orders.next() {
        worker.obey(order);
    }
}

struct Fake {
    socket: UnixStream,
    active: Option<u64>,
    queue: VecDeque<Generate>,
    /// Requests that are to be decoded together, and the tokens that each holds back for a piece.
    batch: Vec<(u64, u32)>,
    /// A long text that is being tokenized until a prompt says "read-on".
    long: Option<Event>,
}

impl Fake {
    fn load(&mut self, start: &Start) {
        let script = start.chat_template.as_deref().unwrap_or_default();
        let (word, rest) = script.split_once(' ').unwrap_or((script, ""));
        let state = match start.isolation {
            Isolation::DangerNone => LayerState::Off,
            _ => LayerState::InForce,
        };
        let mut report = report(state);
        match word {
            "mute" => forever(),
            "exit" => exit(rest.parse().unwrap()),
            "signal" => die(rest),
            "garbage" => self.raw(&[3, 0, 0, 0, 0xff, 0xff, 0xff]),
            "ready-first" => self.send(&ready(report.clone())),
            "began-first" => self.send(&began(1)),
            "absent" => report.layers.retain(|layer| layer.name.as_str() != rest),
            "refused" => {
                let fault = Fault::new(FaultCode::Load, "not \x1b[31ma model\n".repeat(100));
                self.send(&Event::Failed(fault));
                exit(64);
            }
            // Load well the first time, and not when the file is there already.
            "once" if !is_first(rest) => exit(71),
            "once-then-mute" if !is_first(rest) => forever(),
            _ => {}
        }
        self.send(&Event::Locked(report.clone()));
        match word {
            "locked-twice" => self.send(&Event::Locked(report.clone())),
            "late" => forever(),
            "half" => {
                self.raw(&[200, 0, 0, 0, 1]);
                forever();
            }
            "long-context" => {
                let mut event = ready(report.clone());
                if let Event::Ready(ready) = &mut event {
                    ready.context_length = 1 << 20;
                }
                self.send(&event);
            }
            "exit-loading" => exit(rest.parse().unwrap()),
            _ => {}
        }
        let mut event = ready(report);
        if let Event::Ready(ready) = &mut event {
            match word {
                "wide" => ready.max_concurrent = start.max_concurrent + 1,
                // No vectors where they are asked for, or the other way round.
                "flat" => {}
                "vectors" => ready.dimensions = DIMENSIONS,
                "thick" => ready.dimensions = MAX_DIMENSIONS + 1,
                _ if matches!(start.task, Task::Embed { .. }) => ready.dimensions = DIMENSIONS,
                _ => {}
            }
        }
        self.send(&event);
        if word == "exit-ready" {
            exit(rest.parse().unwrap());
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Start(_) => exit(73),
            Order::Tokenize { request, text } => self.tokenize(request, &text.0),
            Order::Cancel { request } => {
                if self.active == Some(request) {
                    self.active = None;
                    self.send(&finished(request, FinishReason::Cancelled, 0));
                }
                let queued = self.queue.len();
                self.queue.retain(|order| order.request != request);
                if self.queue.len() < queued {
                    self.send(&finished(request, FinishReason::Cancelled, 0));
                }
            }
            Order::Generate(order) => self.queue.push_back(*order),
            Order::Embed(order) => self.embed(&order),
            Order::Publish(order) => self.publish(&order),
        }
        while self.active.is_none()
            && let Some(order) = self.queue.pop_front()
        {
            self.generate(&order);
        }
    }

    /// Vectors of ones, unless the first text asks for something else.
    fn embed(&mut self, order: &Embed) {
        let request = order.request;
        let mut numbers = vec![1.0_f32; order.texts.len() * DIMENSIONS as usize];
        match order.texts[0].0.as_str() {
            "short" => numbers.truncate(1),
            "nan" => numbers[1] = f32::NAN,
            "unbegun" => {}
            "cached" => {
                return self.send(&Event::Began {
                    request,
                    prompt_tokens: 3,
                    cached_tokens: 1,
                });
            }
            "answer" => return self.send(&finished(request, FinishReason::Length, 0)),
            "die" => die("KILL"),
            _ => self.send(&began(request)),
        }
        if ["short", "nan"].contains(&order.texts[0].0.as_str()) {
            self.send(&began(request));
        }
        let mut rows: Vec<u8> = numbers
            .iter()
            .flat_map(|number| number.to_le_bytes())
            .collect();
        if order.texts[0].0 == "torn" {
            rows.pop();
        }
        self.send(&Event::Embedded(Box::new(Embedded {
            request,
            tokens: 3,
            rows,
        })));
    }

    fn publish(&mut self, order: &Publish) {
        let request = order.request;
        let word = match &order.prompt {
            Prompt::Text(text) => text.0.as_str(),
            Prompt::Chat(_) => "",
        };
        if word != "unbegun" {
            self.send(&began(request));
        }
        let tokens = if word == "over" { CONTEXT + 1 } else { 3 };
        self.send(&Event::Published { request, tokens });
    }

    fn tokenize(&mut self, request: u64, text: &str) {
        let mut ids: Vec<u32> = text.bytes().map(u32::from).collect();
        match text {
            "outside" => ids[0] = VOCABULARY,
            "expand" => ids.resize(16 * text.len() + 16, 0),
            "many" => ids.resize(16 * text.len() + 17, 0),
            "die" => exit(71),
            "as-text" => self.send(&piece(request, "x", 1)),
            _ => {}
        }
        let tokens = Event::Tokens { request, ids };
        if text.starts_with("slow") {
            if self.long.replace(tokens).is_some() {
                exit(70);
            }
            return;
        }
        self.send(&tokens);
    }

    fn generate(&mut self, order: &Generate) {
        let request = order.request;
        let text = match &order.prompt {
            Prompt::Text(text) => text.0.clone(),
            Prompt::Chat(messages) => messages
                .last()
                .map(|m| m.content.0.clone())
                .unwrap_or_default(),
        };
        let (word, rest) = text.split_once(' ').unwrap_or((&text, ""));
        match word {
            "unbegun-exit" => exit(rest.parse().unwrap()),
            "unbegun-signal" => die(rest),
            "deaf" => forever(),
            "no-began" => self.send(&piece(request, "x", 1)),
            "refuse" => {
                let fault = Fault::new(FaultCode::PromptTooLong, "\u{202e}".repeat(1000));
                return self.send(&Event::Refused { request, fault });
            }
            "finish-unbegun" => {
                return self.send(&finished(request, FinishReason::Length, 0));
            }
            "cached-over" => {
                return self.send(&Event::Began {
                    request,
                    prompt_tokens: 3,
                    cached_tokens: 3,
                });
            }
            "vectors" => {
                self.send(&began(request));
                return self.send(&Event::Embedded(Box::new(Embedded {
                    request,
                    tokens: 0,
                    rows: Vec::new(),
                })));
            }
            "published" => {
                self.send(&began(request));
                return self.send(&Event::Published { request, tokens: 1 });
            }
            "long-prompt" => {
                return self.send(&Event::Began {
                    request,
                    prompt_tokens: CONTEXT + 1,
                    cached_tokens: 0,
                });
            }
            // Before it begins, unless the file says that this is the second time.
            "die-once" if is_first(rest) => die("KILL"),
            _ => {}
        }
        self.send(&began(request));
        let mut said = 0;
        match word {
            "say" => {
                for _ in 0..rest.parse().unwrap() {
                    self.send(&piece(request, "word ", 1));
                    said += 1;
                }
            }
            "ask" => {
                // What it was asked, to show what reaches a worker.
                let asked = format!("{} {}", order.timeout_ms, order.max_tokens.unwrap_or(0));
                self.send(&piece(request, &asked, 1));
                said = 1;
            }
            "read-on" => {
                if let Some(tokens) = self.long.take() {
                    self.send(&tokens);
                }
            }
            "hold" => {
                self.active = Some(request);
                return;
            }
            "steps" => return self.join_batch(order, rest),
            "noise" => {
                let mut log = std::io::stderr();
                for _ in 0..1024 {
                    let _ = log.write_all(&[b'x'; 4096]);
                }
            }
            "exit" => exit(rest.parse().unwrap()),
            "signal" => {
                self.send(&piece(request, "word ", 1));
                die(rest);
            }
            _ => self.misbehave(request, word),
        }
        self.send(&finished(request, FinishReason::EndOfGeneration, said));
        if word == "finish-twice" {
            self.send(&finished(request, FinishReason::EndOfGeneration, said));
        }
    }

    /// Cancels are only read when the whole batch has ended.
    fn join_batch(&mut self, order: &Generate, numbers: &str) {
        let mut numbers = numbers.split(' ').map(|number| number.parse().unwrap());
        let mut number = || -> u32 { numbers.next().unwrap() };
        let (count, size, pause) = (number(), number(), number());
        let held = (order.piece_interval_ms.saturating_mul(1000) / pause).clamp(1, count);
        self.batch.push((order.request, held));
        if self.batch.len() < size as usize {
            return;
        }
        let batch = std::mem::take(&mut self.batch);
        let mut next = Instant::now();
        for step in 1..=count {
            next += Duration::from_micros(u64::from(pause));
            sleep(next.saturating_duration_since(Instant::now()));
            let due = batch.iter().filter(|&(_, held)| step % held == 0);
            self.send_all(
                due.map(|&(request, held)| piece(request, &"word ".repeat(held as usize), held)),
            );
        }
        let ends = batch
            .iter()
            .map(|&(request, _)| finished(request, FinishReason::Length, count));
        self.send_all(ends);
    }

    fn misbehave(&mut self, request: u64, word: &str) {
        match word {
            "half" => {
                self.raw(&[200, 0, 0, 0, 4]);
                forever();
            }
            "trickle" => {
                self.raw(&[0, 0, 0x7f, 0]);
                loop {
                    self.raw(&[4]);
                }
            }
            "slow-prefix" => {
                self.raw(&[7]);
                forever();
            }
            "flood" => loop {
                self.send(&piece(request, "x", 0));
            },
            "giant" => self.raw(&[0xff; 8]),
            "empty-frame" => self.raw(&[0; 4]),
            "unknown-event" => self.raw(&[2, 0, 0, 0, 0x7f, 0]),
            "left-over" => {
                let mut bytes = Vec::new();
                frame::encode(&piece(request, "x", 1), MAX_EVENT, &mut bytes).unwrap();
                bytes.push(0);
                bytes[0] += 1;
                self.raw(&bytes);
            }
            "not-text" => {
                // A piece of one byte that is no UTF-8.
                let id = u8::try_from(request).unwrap();
                self.raw(&[5, 0, 0, 0, 4, id, 1, 0xff, 1]);
            }
            "stranger" => self.send(&piece(request + 1000, "x", 1)),
            "ready-again" => self.send(&ready(report(LayerState::Off))),
            "began-twice" => self.send(&began(request)),
            "locked-again" => self.send(&Event::Locked(report(LayerState::Off))),
            "failed-late" => self.send(&Event::Failed(Fault::new(FaultCode::Load, ""))),
            "empty-piece" => self.send(&piece(request, "", 1)),
            "many-tokens" => self.send(&piece(request, "x", CONTEXT + 1)),
            "long-text" => self.send(&piece(request, &"x".repeat(1 << 20), 1)),
            "ids" => self.send(&Event::Tokens {
                request,
                ids: vec![1],
            }),
            "wrong-count" => {
                self.send(&piece(request, "x", 3));
                self.send(&finished(request, FinishReason::StopString, 2));
            }
            "shut" => {
                self.socket.shutdown(std::net::Shutdown::Both).unwrap();
                forever();
            }
            _ => {}
        }
    }

    fn send(&mut self, event: &Event) {
        let mut bytes = Vec::new();
        frame::encode(event, MAX_EVENT, &mut bytes).unwrap();
        self.raw(&bytes);
    }

    /// In one write.
    fn send_all(&mut self, events: impl Iterator<Item = Event>) {
        let mut bytes = Vec::new();
        for event in events {
            frame::encode(&event, MAX_EVENT, &mut bytes).unwrap();
        }
        self.raw(&bytes);
    }

    fn raw(&mut self, bytes: &[u8]) {
        if self.socket.write_all(bytes).is_err() {
            exit(0);
        }
    }
}

/// Whether nobody was here before: makes the file.
fn is_first(path: &str) -> bool {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .is_ok()
}

fn forever() -> ! {
    loop {
        sleep(Duration::from_secs(3600));
    }
}

fn die(signal: &str) -> ! {
    let signal = match signal {
        "KILL" => Signal::KILL,
        "SYS" => Signal::SYS,
        "ABRT" => Signal::ABORT,
        "SEGV" => Signal::SEGV,
        "XCPU" => Signal::XCPU,
        _ => Signal::TERM,
    };
    // More than once: Rust's handler of SIGSEGV only resets it the first time.
    loop {
        kill_process(getpid(), signal).unwrap();
        sleep(Duration::from_millis(1));
    }
}

const fn began(request: u64) -> Event {
    Event::Began {
        request,
        prompt_tokens: 3,
        cached_tokens: 0,
    }
}

fn piece(request: u64, text: &str, tokens: u32) -> Event {
    Event::Piece {
        request,
        text: text.into(),
        tokens,
    }
}

fn finished(request: u64, reason: FinishReason, completion_tokens: u32) -> Event {
    Event::Finished(Box::new(Finished {
        request,
        reason,
        completion_tokens,
        queue_micros: 0,
        prompt_micros: 1,
        decode_micros: 2,
    }))
}

fn ready(report: Report) -> Event {
    Event::Ready(Box::new(Ready {
        context_length: CONTEXT,
        context_trained: CONTEXT,
        vocabulary_size: VOCABULARY,
        parameters: 1,
        chat: None,
        threads: 1,
        max_concurrent: 1,
        dimensions: 0,
        report,
        lock_micros: 1,
        load_micros: 1,
    }))
}

fn report(state: LayerState) -> Report {
    Report {
        layers: LayerName::ALL
            .map(|name| Layer {
                name,
                state,
                detail: "said \x07by a fake".to_owned(),
            })
            .to_vec(),
    }
}
