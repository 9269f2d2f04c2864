//! What a caller and the supervisor share about one request.

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::event::{EventfdFlags, eventfd};

use strongroom_protocol::Finished;

use crate::{HostError, Update};

/// What a caller and the supervisor share about one request.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) id: u64,
    pub(crate) arrived: Instant,
    pub(crate) deadline: Instant,
    inbox: Mutex<Inbox>,
    changed: Condvar,
    /// Readable when the inbox has something; only made when asked for.
    wake: OnceLock<OwnedFd>,
}

#[derive(Debug)]
struct Inbox {
    updates: VecDeque<Update>,
    end: Option<End>,
    /// Nobody reads any more.
    abandoned: bool,
    /// Given back with the end, or when nobody reads any more.
    place: Option<Place>,
}

/// How a request ended.
#[derive(Debug, Clone)]
pub(crate) enum End {
    /// With the `Finished` before it.
    Finished,
    /// With the ids that a `Tokenize` asked for.
    Tokens(Vec<u32>),
    /// With an error.
    Failed(HostError),
}

/// What is there to take.
#[derive(Debug)]
pub(crate) enum Taken {
    Update(Update),
    End(End),
    Nothing,
}

impl Slot {
    pub(crate) const fn new(id: u64, arrived: Instant, deadline: Instant, place: Place) -> Self {
        Self {
            id,
            arrived,
            deadline,
            inbox: Mutex::new(Inbox {
                updates: VecDeque::new(),
                end: None,
                abandoned: false,
                place: Some(place),
            }),
            changed: Condvar::new(),
            wake: OnceLock::new(),
        }
    }

    /// The supervisor's: one more update. An abandoned request's is forgotten at once.
    pub(crate) fn push(&self, update: Update) {
        let mut inbox = self.lock();
        if inbox.abandoned || inbox.end.is_some() {
            return;
        }
        let was_empty = inbox.updates.is_empty();
        inbox.updates.push_back(update);
        self.notify(inbox, was_empty);
    }

    /// The supervisor's: the last thing. Only the first end counts.
    pub(crate) fn end(&self, end: End) {
        self.end_after(None, end);
    }

    /// The supervisor's: the last update and the end, which nobody sees apart.
    pub(crate) fn finish(&self, finished: Box<Finished>) {
        self.end_after(Some(Update::Finished(finished)), End::Finished);
    }

    fn end_after(&self, last: Option<Update>, end: End) {
        let mut inbox = self.lock();
        if inbox.end.is_none() {
            let was_empty = inbox.updates.is_empty();
            if !inbox.abandoned {
                inbox.updates.extend(last);
            }
            inbox.end = Some(end);
            drop(inbox.place.take());
            self.notify(inbox, was_empty);
        }
    }

    /// The caller's: what is there now.
    pub(crate) fn take(&self) -> Taken {
        self.take_from(&mut self.lock())
    }

    /// The caller's: waits until something is there, or `timeout` has passed.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> Taken {
        // A timeout beyond what the clock can express is none.
        let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut inbox = self.lock();
        loop {
            match self.take_from(&mut inbox) {
                Taken::Nothing => {}
                something => return something,
            }
            inbox = match until {
                None => self
                    .changed
                    .wait(inbox)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Taken::Nothing;
                    }
                    self.changed
                        .wait_timeout(inbox, left)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
            };
        }
    }

    /// The caller's: nobody reads any more. Says whether the request was still open.
    pub(crate) fn abandon(&self) -> bool {
        let mut inbox = self.lock();
        inbox.abandoned = true;
        inbox.updates.clear();
        drop(inbox.place.take());
        inbox.end.is_none()
    }

    /// Whether nobody reads any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.lock().abandoned
    }

    /// A descriptor that is readable whenever [`take`](Self::take) has something.
    pub(crate) fn wake_fd(&self) -> io::Result<BorrowedFd<'_>> {
        let inbox = self.lock();
        if self.wake.get().is_none() {
            let something = !inbox.updates.is_empty() || inbox.end.is_some();
            let wake = eventfd(
                u32::from(something),
                EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK,
            )?;
            // The lock is held, so nobody else can have set it meanwhile.
            let _ = self.wake.set(wake);
        }
        drop(inbox);
        self.wake
            .get()
            .map(AsFd::as_fd)
            .ok_or_else(|| io::ErrorKind::Other.into())
    }

    fn take_from(&self, inbox: &mut Inbox) -> Taken {
        if let Some(update) = inbox.updates.pop_front() {
            if inbox.updates.is_empty() && inbox.end.is_none() {
                self.calm();
            }
            return Taken::Update(update);
        }
        inbox.end.clone().map_or(Taken::Nothing, Taken::End)
    }

    fn notify(&self, inbox: MutexGuard<'_, Inbox>, was_empty: bool) {
        if was_empty && let Some(wake) = self.wake.get() {
            // Can only fail when the counter is full, and then it is readable. Under the lock, so
            // that it is readable only while there is something.
            let _ = rustix::io::write(wake, &1_u64.to_ne_bytes());
        }
        // A thread that wakes while the lock is held would only go back to sleep.
        drop(inbox);
        self.changed.notify_one();
    }

    fn calm(&self) {
        if let Some(wake) = self.wake.get() {
            let _ = rustix::io::read(wake, &mut [0; 8]);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of the requests that may be held at once.
#[derive(Debug)]
pub(crate) struct Place(Arc<AtomicU32>);

impl Place {
    /// `None` when `limit` of them are taken.
    pub(crate) fn take(taken: &Arc<AtomicU32>, limit: u32) -> Option<Self> {
        taken
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| {
                (count < limit).then_some(count + 1)
            })
            .ok()
            .map(|_| Self(Arc::clone(taken)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
