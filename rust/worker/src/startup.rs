//! From the first order to a loaded model: lock in, then parse.

use std::{
    error::Error,
    os::fd::{FromRawFd, OwnedFd},
    rc::Rc,
    sync::mpsc::Receiver,
    time::{Duration, Instant},
};

use strongroom_engine::{
    Context, ContextOptions, EngineError, ImageFile, Model, Prompter, Scheduler, Threadpool,
    backend,
};
use strongroom_protocol::{
    Event, Fault, FaultCode, Order, Ready, Report, Start, VERSION, descriptor,
};
use strongroom_sandbox as sandbox;

use crate::socket::{Events, Orders};

/// What the serve loop works with.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) scheduler: Scheduler,
    pub(crate) orders: Receiver<(Instant, Order)>,
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
    let orders = orders.read_in_background().map_err(sandboxed)?;
    let alone = fenced.processes().map_err(sandboxed)?;
    let loading = alone.seccomp_load().map_err(sandboxed)?;
    events.send(&[Event::Locked(loading.report().clone())]);
    let locked = began.elapsed();

    let (scheduler, mut ready) = load(start, image, threadpool)?;
    let serving = loading.seccomp_serve().map_err(sandboxed)?;
    ready.lock_micros = micros(locked);
    ready.load_micros = micros(began.elapsed().saturating_sub(locked));
    ready.report = serving.report().clone();
    events.send(&[Event::Ready(Box::new(ready))]);
    Ok(Service { scheduler, orders })
}

/// Hands the image to llama.cpp: from here on hostile bytes are parsed.
fn load(
    start: &Start,
    image: ImageFile,
    threadpool: Threadpool,
) -> Result<(Scheduler, Ready), Fault> {
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
    let options = ContextOptions {
        length: start.context_length,
    };
    let context = Context::new(&model, &options, Rc::clone(&threadpool)).map_err(refused)?;
    let vocabulary = model.vocabulary().map_err(refused)?;
    let vocabulary_size = vocabulary.size();
    let template = start.chat_template.as_deref().or(model.chat_template());
    let prompter = Prompter::new(vocabulary, template, context.length());
    let ready = Ready {
        context_length: context.length(),
        context_trained: model.context_trained(),
        vocabulary_size,
        parameters: model.parameters(),
        chat: prompter.chat_refusal(),
        threads: threadpool.threads(),
        // Known when the last layer is in force.
        report: Report::default(),
        lock_micros: 0,
        load_micros: 0,
    };
    let limit = usize::try_from(start.concurrent_requests).unwrap_or(usize::MAX);
    Ok((Scheduler::new(context, prompter, limit), ready))
}

fn open_image() -> Result<ImageFile, Fault> {
    // SAFETY: the host starts the worker with the image at this number, nothing else in the process
    // owns it, and this is called once.
    let image = unsafe { OwnedFd::from_raw_fd(descriptor::IMAGE) };
    ImageFile::open(image)
        .map_err(|error| Fault::new(FaultCode::Load, format!("the image: {error}")))
}

/// glibc reserves 128 MiB of address space for each thread's arena, out of the limit that the model
/// has to fit; the threads here hardly allocate.
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
