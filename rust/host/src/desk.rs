//! Where callers hand in what the supervisor is to do, and read how the model is.

use std::{
    io,
    ops::Deref,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rustix::event::{EventfdFlags, eventfd};
use strongroom_protocol::{FinishReason, Finished, LONG_TEXT, Order, Ready, Tenant};

use crate::{
    HostError, Update,
    bell::Due,
    places::Places,
    slot::{End, Slot},
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
    generating: Arc<Places>,
    tokenizing: Arc<Places>,
    due: Arc<Due>,
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
    /// Why no worker is started until the operator allows it.
    quarantine: Option<HostError>,
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

    /// Whether it is a text that a worker tokenizes beside the decoding.
    pub(crate) const fn is_long_text(&self) -> bool {
        matches!(&self.order, Order::Tokenize { text, .. } if text.0.len() > LONG_TEXT)
    }

    /// Ends it, as a worker ends one that has not begun.
    pub(crate) fn cancel(self) {
        let queued = self.ticket.arrived.elapsed().as_micros();
        self.ticket.finish(Update::Finished(Box::new(Finished {
            request: self.ticket.id,
            reason: FinishReason::Cancelled,
            completion_tokens: 0,
            queue_micros: u64::try_from(queued).unwrap_or(u64::MAX),
            prompt_micros: 0,
            decode_micros: 0,
        })));
    }
}

impl Desk {
    /// With `limit` places for each kind of request, and `tenant_limit` for the answers to one tenant.
    pub(crate) fn new(limit: u32, tenant_limit: Option<u32>) -> io::Result<Self> {
        Ok(Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            wake: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            generating: Places::new(limit, tenant_limit),
            tokenizing: Places::new(limit, None),
            due: Arc::default(),
        })
    }

    /// Hands a request in; `order` is made with its number. Never waits.
    ///
    /// # Errors
    /// [`HostError::Busy`], [`HostError::TenantBusy`], or why the model is over or quarantined.
    pub(crate) fn submit(
        &self,
        kind: Kind,
        tenant: Option<Tenant>,
        timeout: Duration,
        order: impl FnOnce(u64) -> Order,
    ) -> Result<Arc<Slot>, HostError> {
        let places = match kind {
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
        if let Some(error) = &state.quarantine {
            return Err(error.clone());
        }
        let place = places.take(tenant)?;
        state.next += 1;
        let due = Arc::clone(&self.due);
        let slot = Arc::new(Slot::new(state.next, arrived, deadline, Some(place), due));
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

    /// The supervisor's: a request of its own, that takes nobody's place and has no reader.
    pub(crate) fn own(&self, timeout: Duration, order: impl FnOnce(u64) -> Order) -> Option<Job> {
        let arrived = Instant::now();
        let deadline = arrived.checked_add(timeout)?;
        let mut state = self.lock();
        state.next += 1;
        let id = state.next;
        drop(state);
        let slot = Slot::new(id, arrived, deadline, None, Arc::clone(&self.due));
        slot.abandon();
        Some(Job {
            ticket: Ticket(Arc::new(slot)),
            order: order(id),
            lost: 0,
            strikes: 0,
        })
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
        self.changed.notify_all();
        Self::refuse(state, error);
    }

    /// The supervisor's: the same until [`release`](Self::release).
    pub(crate) fn quarantine(&self, error: &HostError) {
        let mut state = self.lock();
        state.quarantine = Some(error.clone());
        Self::refuse(state, error);
    }

    fn refuse(mut state: MutexGuard<'_, State>, error: &HostError) {
        let arrivals = std::mem::take(&mut state.arrivals);
        state.cancels.clear();
        drop(state);
        for job in arrivals {
            job.ticket.end(End::Failed(error.clone()));
        }
    }

    /// Takes requests again; asks the supervisor for a worker, if there is none for good reason.
    pub(crate) fn release(&self) -> Result<(), HostError> {
        let mut state = self.lock();
        if let Some(error) = &state.over {
            return Err(error.clone());
        }
        state.quarantine = None;
        drop(state);
        self.ring();
        Ok(())
    }

    /// Why no worker is started, if none is.
    pub(crate) fn quarantined(&self) -> Option<HostError> {
        self.lock().quarantine.clone()
    }

    /// The supervisor's, before it sleeps: wakes the readers of what it has handed out.
    pub(crate) fn ring_bells(&self) {
        self.due.ring();
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
