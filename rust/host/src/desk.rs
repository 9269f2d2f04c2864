//! Where callers hand in what the supervisor is to do, and read how the model is.

use std::{
    io,
    ops::Deref,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, atomic::AtomicU32},
    time::{Duration, Instant},
};

use rustix::event::{EventfdFlags, eventfd};
use strongroom_protocol::{Order, Ready};

use crate::{
    HostError,
    slot::{End, Place, Slot},
};

/// A request on its way to a worker.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) ticket: Ticket,
    pub(crate) order: Order,
    /// Workers that it was sent to, and that died before it began.
    pub(crate) lost: u32,
    /// Those of them that had nobody else to die of.
    pub(crate) strikes: u32,
}

/// The supervisor's hold on a request: when it is let go of, the request has ended.
#[derive(Debug)]
pub(crate) struct Ticket(Arc<Slot>);

impl Deref for Ticket {
    type Target = Slot;

    fn deref(&self) -> &Slot {
        &self.0
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // Only the first end counts; this one is for a supervisor that panics.
        self.0.end(End::Failed(HostError::Unloaded));
    }
}

/// Where callers hand in what the supervisor is to do, and read how the model is.
#[derive(Debug)]
pub(crate) struct Desk {
    state: Mutex<State>,
    changed: Condvar,
    /// Readable when the supervisor should look.
    wake: OwnedFd,
    generating: Arc<AtomicU32>,
    tokenizing: Arc<AtomicU32>,
    limit: u32,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    arrivals: Vec<Job>,
    cancels: Vec<u64>,
    closing: bool,
    life: Option<Life>,
    restarts: u64,
    over: Option<HostError>,
}

/// A worker that became ready.
#[derive(Debug, Clone)]
pub(crate) struct Life {
    pub(crate) pid: u32,
    pub(crate) ready: Ready,
}

/// Which of the two kinds of request; each kind has places of its own, so that nobody who streams
/// keeps another from counting tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Generate,
    Tokenize,
}

/// What has come in since the supervisor last looked.
#[derive(Debug)]
pub(crate) struct News {
    pub(crate) arrivals: Vec<Job>,
    pub(crate) cancels: Vec<u64>,
    pub(crate) closing: bool,
}

impl Job {
    pub(crate) const fn kind(&self) -> Kind {
        match self.order {
            Order::Tokenize { .. } => Kind::Tokenize,
            _ => Kind::Generate,
        }
    }
}

impl Desk {
    /// With `limit` places for each kind of request.
    pub(crate) fn new(limit: u32) -> io::Result<Self> {
        Ok(Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            wake: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            generating: Arc::default(),
            tokenizing: Arc::default(),
            limit,
        })
    }

    /// Hands a request in; `order` is made with its number. Never waits.
    ///
    /// # Errors
    /// [`HostError::Busy`], or why the model is over.
    pub(crate) fn submit(
        &self,
        kind: Kind,
        timeout: Duration,
        order: impl FnOnce(u64) -> Order,
    ) -> Result<Arc<Slot>, HostError> {
        let taken = match kind {
            Kind::Generate => &self.generating,
            Kind::Tokenize => &self.tokenizing,
        };
        let arrived = Instant::now();
        let deadline = arrived.checked_add(timeout).ok_or(HostError::Option {
            option: "timeout",
            reason: "longer than the clock can express".to_owned(),
        })?;
        let mut state = self.lock();
        if let Some(error) = &state.over {
            return Err(error.clone());
        }
        if state.closing {
            return Err(HostError::Unloaded);
        }
        let place = Place::take(taken, self.limit).ok_or(HostError::Busy { limit: self.limit })?;
        state.next += 1;
        let slot = Arc::new(Slot::new(state.next, arrived, deadline, place));
        let order = order(slot.id);
        state.arrivals.push(Job {
            ticket: Ticket(Arc::clone(&slot)),
            order,
            lost: 0,
            strikes: 0,
        });
        drop(state);
        self.ring();
        Ok(slot)
    }

    /// Asks the supervisor to stop a request.
    pub(crate) fn cancel(&self, id: u64) {
        let mut state = self.lock();
        if state.over.is_none() {
            state.cancels.push(id);
            drop(state);
            self.ring();
        }
    }

    /// Asks the supervisor to end.
    pub(crate) fn close(&self) {
        self.lock().closing = true;
        self.ring();
    }

    /// Waits for the first worker; `None` when `timeout` passed before.
    pub(crate) fn wait_ready(&self, timeout: Duration) -> Option<Result<(), HostError>> {
        let state = self
            .changed
            .wait_timeout_while(self.lock(), timeout, |state| {
                state.life.is_none() && state.over.is_none()
            })
            .unwrap_or_else(PoisonError::into_inner)
            .0;
        match (&state.over, &state.life) {
            (Some(error), _) => Some(Err(error.clone())),
            (None, Some(_)) => Some(Ok(())),
            (None, None) => None,
        }
    }

    /// The latest worker that became ready, and how many there were before it; until the model is
    /// unloaded.
    pub(crate) fn life(&self) -> Result<(Life, u64), HostError> {
        let state = self.lock();
        match &state.life {
            Some(life) if !state.closing => Ok((life.clone(), state.restarts)),
            _ => Err(HostError::Unloaded),
        }
    }

    /// The supervisor's: takes what came in.
    pub(crate) fn news(&self) -> News {
        let _ = rustix::io::read(&self.wake, &mut [0; 8]);
        let mut state = self.lock();
        News {
            arrivals: std::mem::take(&mut state.arrivals),
            cancels: std::mem::take(&mut state.cancels),
            closing: state.closing,
        }
    }

    /// The supervisor's: a worker is ready.
    pub(crate) fn publish(&self, life: Life) {
        let mut state = self.lock();
        if state.life.replace(life).is_some() {
            state.restarts += 1;
        }
        self.changed.notify_all();
    }

    /// The supervisor's last word: every request from now on is refused with `error`, and those
    /// that have just come in end with it.
    pub(crate) fn over(&self, error: &HostError) {
        let mut state = self.lock();
        state.over.get_or_insert_with(|| error.clone());
        let arrivals = std::mem::take(&mut state.arrivals);
        state.cancels.clear();
        self.changed.notify_all();
        drop(state);
        for job in arrivals {
            job.ticket.end(End::Failed(error.clone()));
        }
    }

    /// Readable when [`news`](Self::news) has something.
    pub(crate) fn wake_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// Runs `body` while nobody else can use the desk.
    #[cfg(test)]
    pub(crate) fn while_locked(&self, body: impl FnOnce()) {
        let _state = self.lock();
        body();
    }

    fn ring(&self) {
        // Can only fail when the counter is full, and then it is readable.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
