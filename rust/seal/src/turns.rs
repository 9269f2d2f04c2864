//! Frames that are sealed side by side, and leave in their order.

use std::{
    ops::ControlFlow,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// Lets threads through one after the other, by number.
#[derive(Debug)]
pub(crate) struct Turns<T, E> {
    state: Mutex<State<T, E>>,
    changed: Condvar,
    /// Asked by who doesn't wait, while the state is locked for somebody's turn.
    ended: AtomicBool,
}

#[derive(Debug)]
struct State<T, E> {
    /// What is used by whose turn it is.
    shared: T,
    /// Whose turn it is.
    next: u64,
    end: Option<End<E>>,
}

/// Why nobody's turn comes any more.
#[derive(Debug)]
enum End<E> {
    Failed(E),
    /// A thread panicked; the scope that it runs in raises that.
    Panicked,
}

impl<T, E> Turns<T, E> {
    pub(crate) fn new(shared: T) -> Self {
        Self {
            state: Mutex::new(State {
                shared,
                next: 0,
                end: None,
            }),
            changed: Condvar::new(),
            ended: AtomicBool::new(false),
        }
    }

    /// Waits for the turn `number`, and takes it; `Break` where it never comes.
    pub(crate) fn take(
        &self,
        number: u64,
        work: impl FnOnce(&mut T) -> Result<(), E>,
    ) -> ControlFlow<()> {
        let mut state = self.lock();
        while state.next != number && state.end.is_none() {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if state.end.is_some() {
            return ControlFlow::Break(());
        }
        match work(&mut state.shared) {
            Ok(()) => {
                state.next += 1;
                self.changed.notify_all();
                ControlFlow::Continue(())
            }
            Err(error) => {
                self.end(&mut state, End::Failed(error));
                ControlFlow::Break(())
            }
        }
    }

    /// Ends everything; the first error stays.
    pub(crate) fn fail(&self, error: E) {
        self.end(&mut self.lock(), End::Failed(error));
    }

    /// Whether it ended before its time.
    pub(crate) fn ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Wakes those who wait for a thread that panicked.
    pub(crate) fn watch(&self) -> Watch<'_, T, E> {
        Watch(self)
    }

    /// What was shared, or why it ended.
    pub(crate) fn finish(self) -> Result<T, E> {
        let state = self
            .state
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        match state.end {
            Some(End::Failed(error)) => Err(error),
            Some(End::Panicked) => unreachable!("the scope has raised the panic"),
            None => Ok(state.shared),
        }
    }

    fn end(&self, state: &mut State<T, E>, end: End<E>) {
        state.end.get_or_insert(end);
        self.ended.store(true, Ordering::Relaxed);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State<T, E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Held by a thread while it works.
pub(crate) struct Watch<'a, T, E>(&'a Turns<T, E>);

impl<T, E> Drop for Watch<'_, T, E> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.end(&mut self.0.lock(), End::Panicked);
        }
    }
}
