//! The one door through which the GIL is released.
//!
//! What passes it is owned, or can't change: Rust's `Send` sees to the rest. While work goes on
//! behind it, Python's signal handlers run at least every tenth of a second, so that Ctrl-C raises
//! `KeyboardInterrupt`.

use std::{
    io::Write as _,
    ops::ControlFlow,
    panic,
    path::Path,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use pyo3::prelude::*;
use strongroom_memory::SourceError;

use crate::errors::Error;

/// What a child ends with that a callback forked, `EX_SOFTWARE` of sysexits.h.
const FORKED: i32 = 70;

/// Longest time between two looks at the signals.
const PATIENCE: Duration = Duration::from_millis(100);

/// Runs `work`, which is done at once or can't be interrupted.
pub(crate) fn run<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> T {
    py.detach(work)
}

/// Like [`run`], for the end of an object; also when the interpreter is ending.
pub(crate) fn at_end(work: impl FnOnce() + Send) {
    let mut work = Some(work);
    let mut once = || work.take().map(|work| work());
    if Python::try_attach(|py| py.detach(&mut once)).is_none() {
        once();
    }
}

/// Runs `work`, which asks its [`Caller`] now and then whether to go on.
pub(crate) fn interruptible<T: Send, E: Send>(
    py: Python<'_>,
    progress: Option<Py<PyAny>>,
    work: impl FnOnce(&mut Caller) -> Result<T, E> + Send,
) -> Result<T, Error>
where
    Error: From<E>,
{
    let mut caller = Caller {
        progress,
        asked: Instant::now(),
        raised: None,
        process: std::process::id(),
    };
    let result = py.detach(|| work(&mut caller));
    match caller.raised {
        // The work's own error only says that it was told to stop.
        Some(raised) => Err(raised.into()),
        None => Ok(result?),
    }
}

/// Repeats `step`, which waits no longer than it is told, until it has something.
pub(crate) fn wait<T: Send, E: Send>(
    py: Python<'_>,
    mut step: impl FnMut(Duration) -> Result<Option<T>, E> + Send,
) -> Result<T, Error>
where
    Error: From<E>,
{
    loop {
        if let Some(something) = py.detach(|| step(PATIENCE))? {
            return Ok(something);
        }
        py.check_signals()?;
    }
}

/// Runs `work`, which waits for something that can't be told to stop, in a thread of its own; an
/// interrupt leaves it to its end there.
pub(crate) fn abandonable<T: Send + 'static, E: Send + 'static>(
    py: Python<'_>,
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, Error>
where
    Error: From<E>,
{
    let (done, mut waiting) = mpsc::sync_channel(1);
    let thread = thread::Builder::new()
        .name("strongroom-wait".to_owned())
        .spawn(move || {
            // Nobody waits any more after an interrupt.
            let _ = done.send(work());
        })
        .map_err(|error| Error::no_resources("thread", &error))?;
    let received = wait(py, |patience| {
        // Mutably: a receiver may be used by one thread at a time.
        let waiting = &mut waiting;
        match waiting.recv_timeout(patience) {
            Ok(result) => result.map(|value| Some(Some(value))),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Ok(Some(None)),
        }
    })?;
    match received {
        Some(value) => Ok(value),
        None => match py.detach(|| thread.join()) {
            // Raised as pyo3's PanicException, as if it had been in this thread.
            Err(panicked) => panic::resume_unwind(panicked),
            Ok(()) => unreachable!("a thread that ended without a panic has sent"),
        },
    }
}

/// The Python side, as seen from work behind the door.
pub(crate) struct Caller {
    progress: Option<Py<PyAny>>,
    asked: Instant,
    raised: Option<PyErr>,
    process: u32,
}

impl Caller {
    /// `Break` once a signal handler has raised.
    pub(crate) fn go_on(&mut self) -> ControlFlow<()> {
        self.proceed(None)
    }

    /// Like [`go_on`](Self::go_on); `Break` also once `asked` returns false, or raises. Signals are
    /// seen in the main thread alone: who waits for another thread has `asked` to stop it.
    pub(crate) fn proceed(&mut self, asked: Option<&Py<PyAny>>) -> ControlFlow<()> {
        if self.asked.elapsed() < PATIENCE {
            return ControlFlow::Continue(());
        }
        self.asked = Instant::now();
        // The method by its name would do for one lifetime, not for any.
        #[allow(clippy::redundant_closure_for_method_calls)]
        let signals = Python::attach(|py| py.check_signals());
        self.hold(signals)?;
        let Some(asked) = asked else {
            return ControlFlow::Continue(());
        };
        match Python::attach(|py| asked.call0(py)?.is_truthy(py)) {
            Ok(true) => ControlFlow::Continue(()),
            Ok(false) => ControlFlow::Break(()),
            Err(raised) => self.hold(Err(raised)),
        }
    }

    /// Tells the progress callback; `Break` once it, or a signal handler, has raised.
    pub(crate) fn progress(&mut self, done: u64, total: u64) -> ControlFlow<()> {
        if let Some(progress) = &self.progress {
            let told = Python::attach(|py| progress.call1(py, (done, total)).map(drop));
            self.hold(told)?;
        }
        self.go_on()
    }

    /// Runs `work`, which can't be asked to stop, in a thread of its own; once the caller wants no
    /// more, the thread is left to its end. `path` is for messages.
    pub(crate) fn leave_to<T: Send + 'static>(
        &mut self,
        path: &Path,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let (done, waiting) = mpsc::sync_channel(1);
        let thread = thread::Builder::new()
            .name("strongroom-key".to_owned())
            .spawn(move || {
                // Nobody waits any more after an interrupt.
                let _ = done.send(work());
            })
            .map_err(|error| Error::no_resources("thread", &error))?;
        loop {
            match waiting.recv_timeout(PATIENCE) {
                Ok(value) => return Ok(value),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => match thread.join() {
                    Err(panicked) => panic::resume_unwind(panicked),
                    Ok(()) => unreachable!("a thread that ended without a panic has sent"),
                },
            }
            if self.go_on().is_break() {
                let path = path.to_owned();
                return Err(SourceError::Cancelled { path }.into());
            }
        }
    }

    fn hold(&mut self, result: PyResult<()>) -> ControlFlow<()> {
        // Python ran. A child that it forked and that comes back here has none of the threads that
        // share the work, would wait for them for ever, and writes to its parent's files.
        if std::process::id() != self.process {
            let told = "strongroom: a forked child can't go on with what its parent was doing";
            let _ = writeln!(std::io::stderr(), "{told}");
            std::process::exit(FORKED);
        }
        match result {
            Ok(()) => ControlFlow::Continue(()),
            Err(raised) => {
                self.raised = Some(raised);
                ControlFlow::Break(())
            }
        }
    }
}
