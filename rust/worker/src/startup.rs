//! From the first order to a loaded model: lock in, then parse.

use std::{
    error::Error,
    os::fd::{FromRawFd, OwnedFd},
    rc::Rc,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    time::{Duration, Instant},
};

use strongroom_engine::{
    Context, ContextOptions, Embedder, EmbeddingContext, EmbeddingOptions, EngineError, ImageFile,
    Model, Prompter, Scheduler, SchedulerOptions, Threadpool, Tokenizer, backend,
};
use strongroom_protocol::{
    Event, ExitCode, Fault, FaultCode, Ready, Report, Start, Task, VERSION, descriptor,
};
use strongroom_sandbox as sandbox;

use crate::socket::{Arrival, Events, Orders, WAITING};

/// What the serve loop works with.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) engine: Engine,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) arrivals: Receiver<Arrival>,
}

/// What the worker is for.
#[derive(Debug)]
pub(crate) enum Engine {
    Generate(Box<Scheduler>),
    Embed(Box<Embedder>),
}

/// Takes the worker from its first order to `Ready`. The steps stand in the only order that works:
/// what needs a right comes before the step that gives it up, and nothing of the image is read
/// before the last of them.
///
/// # Errors
/// The fault to leave with.
pub(crate) fn run(start: &Start, orders: Orders, events: &mut Events) -> Result<Service, Fault> {
    let began = Instant::now();
    if start.version != VERSION {
        return Err(Fault::new(
            FaultCode::Protocol,
            format!(
                "the host speaks version {}, the worker {VERSION}",
                start.version
            ),
        ));
    }
    one_arena();
    let entered = sandbox::enter(&start.limits, start.isolation).map_err(sandboxed)?;
    backend::init();
    let image = open_image()?;
    let fenced = entered.landlock().map_err(sandboxed)?;
    let threadpool = Threadpool::new(start.limits.threads).map_err(refused)?;
    let (sender, arrivals) = sync_channel(WAITING);
    orders
        .read_in_background(sender.clone())
        .map_err(sandboxed)?;
    let tokenizer = tokenizer(sender)?;
    let alone = fenced.processes().map_err(sandboxed)?;
    let loading = alone.seccomp_load().map_err(sandboxed)?;
    events.send(&[Event::Locked(loading.report().clone())]);
    let locked = began.elapsed();

    let (engine, mut ready) = load(start, image, threadpool, &tokenizer)?;
    let serving = loading.seccomp_serve().map_err(sandboxed)?;
    ready.lock_micros = micros(locked);
    ready.load_micros = micros(began.elapsed().saturating_sub(locked));
    ready.report = serving.report().clone();
    events.send(&[Event::Ready(Box::new(ready))]);
    Ok(Service {
        engine,
        tokenizer,
        arrivals,
    })
}

fn tokenizer(arrivals: SyncSender<Arrival>) -> Result<Tokenizer, Fault> {
    Tokenizer::start(move |tokenized| {
        if arrivals.send(Arrival::Tokenized(tokenized)).is_err() {
            // Only if the loop is gone, which ends the process anyway.
            backend::exit(ExitCode::Clean);
        }
    })
    .map_err(|error| {
        refused(EngineError::Context {
            detail: format!("memory_limit has no room for the thread that tokenizes: {error}"),
        })
    })
}

/// Hands the image to llama.cpp: from here on hostile bytes are parsed.
fn load(
    start: &Start,
    image: ImageFile,
    threadpool: Threadpool,
    tokenizer: &Tokenizer,
) -> Result<(Engine, Ready), Fault> {
    let size = image.length();
    if size >= start.limits.address_space {
        return Err(refused(EngineError::Context {
            detail: format!(
                "the image of {size} bytes does not fit into memory_limit, {} bytes",
                start.limits.address_space
            ),
        }));
    }
    let threadpool = Rc::new(threadpool);
    let model = Model::load(image).map_err(refused)?;
    let limit = usize::try_from(start.concurrent_requests).unwrap_or(usize::MAX);
    let mut ready = Ready {
        context_length: 0,
        context_trained: model.context_trained(),
        vocabulary_size: model.vocabulary().map_err(refused)?.size(),
        parameters: model.parameters(),
        chat: None,
        threads: threadpool.threads(),
        max_concurrent: 1,
        dimensions: 0,
        // Known when the last layer is in force.
        report: Report::default(),
        lock_micros: 0,
        load_micros: 0,
    };
    let engine = match start.task {
        Task::Generate => {
            let scheduler = scheduler(start, &model, threadpool, tokenizer, limit);
            let scheduler = scheduler.map_err(refused)?;
            ready.context_length = scheduler.context().length();
            ready.max_concurrent = scheduler.context().slots();
            ready.chat = scheduler.prompter().chat_refusal();
            Engine::Generate(Box::new(scheduler))
        }
        Task::Embed { pooling } => {
            let options = EmbeddingOptions {
                length: start.context_length,
                pooling,
                batch_tokens: start.batch_tokens,
            };
            let context = EmbeddingContext::new(&model, options, threadpool, start.erase);
            let context = context.map_err(refused)?;
            ready.context_length = context.length();
            ready.dimensions = u32::try_from(context.dimensions()).unwrap_or(0);
            ready.chat = Some(EngineError::Task { task: "embed" }.fault());
            let vocabulary = model.vocabulary().map_err(refused)?;
            let tokenizer = Some(tokenizer.clone());
            Engine::Embed(Box::new(Embedder::new(
                context, vocabulary, tokenizer, limit,
            )))
        }
    };
    Ok((engine, ready))
}

fn scheduler(
    start: &Start,
    model: &Model,
    threadpool: Rc<Threadpool>,
    tokenizer: &Tokenizer,
    limit: usize,
) -> Result<Scheduler, EngineError> {
    let options = ContextOptions {
        length: start.context_length,
        sequences: start.max_concurrent,
        batch_tokens: start.batch_tokens,
    };
    let context = Context::new(model, &options, threadpool)?;
    let template = start.chat_template.as_deref().or(model.chat_template());
    let prompter = Prompter::new(model.vocabulary()?, template, context.length());
    let options = SchedulerOptions {
        limit,
        prefix_cache: start.prefix_cache,
        erase: start.erase,
    };
    let tokenizer = Some(tokenizer.clone());
    Ok(Scheduler::new(context, prompter, tokenizer, options))
}

fn open_image() -> Result<ImageFile, Fault> {
    // SAFETY: the host starts the worker with the image at this number, nothing else in the process
    // owns it, and this is called once.
    let image = unsafe { OwnedFd::from_raw_fd(descriptor::IMAGE) };
    ImageFile::open(image)
        .map_err(|error| Fault::new(FaultCode::Load, format!("the image: {error}")))
}

/// glibc reserves 128 MiB of address space for each thread's arena, out of the limit that the model
/// has to fit. The threads here hardly allocate but for the one that tokenizes, which shares the lock.
fn one_arena() {
    // SAFETY: only this thread runs.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
}

fn sandboxed(error: impl Error) -> Fault {
    Fault::new(FaultCode::Sandbox, error.to_string())
}

#[allow(clippy::needless_pass_by_value)] // for `map_err`
fn refused(error: EngineError) -> Fault {
    error.fault()
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
