//! What every test needs: a loaded model, a scheduler on it, requests.

use std::{fs::File, io::Write, os::fd::OwnedFd, path::PathBuf, rc::Rc, time::Instant};

use rustix::fs::{MemfdFlags, memfd_create};
use strongroom_engine::{
    Context, ContextOptions, EngineError, ImageFile, Model, Prompter, Scheduler, SchedulerOptions,
    Threadpool, Work,
};
use strongroom_protocol::{Event, Finished, Generate, PrefixCache, Priority, Prompt, Sampling};

pub(crate) fn image(bytes: &[u8]) -> ImageFile {
    let memfd = memfd_create("model", MemfdFlags::CLOEXEC).unwrap();
    let mut file = File::from(memfd);
    file.write_all(bytes).unwrap();
    ImageFile::open(reopened(&file)).unwrap()
}

fn reopened(file: &File) -> OwnedFd {
    use std::os::fd::AsRawFd;
    File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))
        .unwrap()
        .into()
}

pub(crate) fn model(bytes: &[u8]) -> Model {
    Model::load(image(bytes)).unwrap()
}

/// The real model, if there is one at hand; says so if not.
pub(crate) fn real_model() -> Option<Model> {
    let Some(path) = std::env::var_os("STRONGROOM_TEST_MODEL").map(PathBuf::from) else {
        eprintln!("skipped: STRONGROOM_TEST_MODEL names no model");
        return None;
    };
    let file = File::open(path).unwrap();
    Some(Model::load(ImageFile::open(file.into()).unwrap()).unwrap())
}

pub(crate) fn context(model: &Model, length: u32) -> Result<Context, EngineError> {
    wide_context(model, length, 1)
}

/// With room for several sequences.
pub(crate) fn wide_context(
    model: &Model,
    length: u32,
    sequences: u32,
) -> Result<Context, EngineError> {
    let options = ContextOptions {
        length: Some(length),
        sequences,
        batch_tokens: 64,
    };
    Context::new(model, &options, Rc::new(Threadpool::new(1).unwrap()))
}

pub(crate) fn prompter(model: &Model, length: u32) -> Prompter {
    Prompter::new(model.vocabulary().unwrap(), model.chat_template(), length)
}

pub(crate) fn scheduler(model: &Model, length: u32, limit: usize) -> Scheduler {
    wide_scheduler(model, length, 1, options(limit))
}

/// Nothing is kept, everything is erased.
pub(crate) fn options(limit: usize) -> SchedulerOptions {
    SchedulerOptions {
        limit,
        prefix_cache: PrefixCache {
            quota: 0,
            tenants: 0,
            idle_seconds: 0,
        },
        erase: true,
    }
}

pub(crate) fn wide_scheduler(
    model: &Model,
    length: u32,
    sequences: u32,
    options: SchedulerOptions,
) -> Scheduler {
    Scheduler::new(
        wide_context(model, length, sequences).unwrap(),
        prompter(model, length),
        None,
        options,
    )
}

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

pub(crate) fn request(id: u64, text: &str, max_tokens: u32) -> Generate {
    Generate {
        request: id,
        prompt: Prompt::Text(text.into()),
        sampling: greedy(),
        max_tokens: Some(max_tokens),
        stop: Vec::new(),
        timeout_ms: 600_000,
        piece_interval_ms: 0,
        tenant: None,
        priority: Priority::Normal,
    }
}

pub(crate) fn admit(scheduler: &mut Scheduler, order: Generate) -> Result<(), EngineError> {
    scheduler.admit(Work::Generate(Box::new(order)), Instant::now())
}

/// Steps until nothing is left to do.
pub(crate) fn run(scheduler: &mut Scheduler) -> Vec<Event> {
    let mut events = Vec::new();
    while !scheduler.is_idle() {
        scheduler.step(&mut events);
    }
    events
}

/// Admits one request and runs it to its end.
pub(crate) fn answer(scheduler: &mut Scheduler, order: Generate) -> (String, Finished) {
    admit(scheduler, order).unwrap();
    let events = run(scheduler);
    let finished = finished(&events);
    (text(&events), finished)
}

pub(crate) fn text(events: &[Event]) -> String {
    events
        .iter()
        .filter_map(|event| match event {
            Event::Piece { text, .. } => Some(text.0.as_str()),
            _ => None,
        })
        .collect()
}

pub(crate) fn finished(events: &[Event]) -> Finished {
    events
        .iter()
        .find_map(|event| match event {
            Event::Finished(finished) => Some((**finished).clone()),
            _ => None,
        })
        .unwrap_or_else(|| panic!("no end in {events:?}"))
}

/// The code with which `request` was refused.
pub(crate) fn refusal(events: &[Event], request: u64) -> Option<&'static str> {
    events.iter().find_map(|event| match event {
        Event::Refused { request: id, fault } if *id == request => Some(fault.code.as_str()),
        _ => None,
    })
}

/// What was said to one request.
pub(crate) fn text_of(events: &[Event], id: u64) -> String {
    events
        .iter()
        .filter_map(|event| match event {
            Event::Piece { request, text, .. } if *request == id => Some(text.0.as_str()),
            _ => None,
        })
        .collect()
}

/// How one request ended.
pub(crate) fn finished_of(events: &[Event], id: u64) -> Finished {
    events
        .iter()
        .find_map(|event| match event {
            Event::Finished(finished) if finished.request == id => Some((**finished).clone()),
            _ => None,
        })
        .unwrap_or_else(|| panic!("no end of {id} in {events:?}"))
}
