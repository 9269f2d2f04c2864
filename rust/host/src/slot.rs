//! What a caller and the supervisor share about one request.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    HostError, Update,
    bell::{Bell, Due},
    places::Place,
};

/// What a caller and the supervisor share about one request.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) id: u64,
    pub(crate) arrived: Instant,
    pub(crate) deadline: Instant,
    due: Arc<Due>,
    inbox: Mutex<Inbox>,
    changed: Condvar,
}

/// What was not read yet. However slow the reader, it is no more than the answer's text: each piece is
/// added to the one before it.
#[derive(Debug)]
struct Inbox {
    began: Option<Update>,
    text: String,
    tokens: u32,
    /// What follows the text.
    last: Option<Update>,
    end: Option<End>,
    /// Nobody reads any more.
    abandoned: bool,
    /// Given back with the end, or when nobody reads any more.
    place: Option<Place>,
    /// Threads that sleep until something comes.
    sleeping: u32,
    watch: Option<Watch>,
}

/// The bell of a reader that doesn't sleep here.
#[derive(Debug)]
struct Watch {
    bell: Arc<Bell>,
    key: u64,
    /// The reader has seen that there is nothing: it wants to hear of what comes next.
    armed: bool,
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
    pub(crate) const fn new(
        id: u64,
        arrived: Instant,
        deadline: Instant,
        place: Option<Place>,
        due: Arc<Due>,
    ) -> Self {
        Self {
            id,
            arrived,
            deadline,
            due,
            inbox: Mutex::new(Inbox {
                began: None,
                text: String::new(),
                tokens: 0,
                last: None,
                end: None,
                abandoned: false,
                place,
                sleeping: 0,
                watch: None,
            }),
            changed: Condvar::new(),
        }
    }

    /// The supervisor's: one more update. An abandoned request's is forgotten at once.
    pub(crate) fn push(&self, update: Update) {
        let mut inbox = self.lock();
        if inbox.abandoned || inbox.end.is_some() {
            return;
        }
        match update {
            Update::Began { .. } => inbox.began = Some(update),
            Update::Piece { text, tokens } => {
                if inbox.text.is_empty() {
                    inbox.text = text;
                } else {
                    inbox.text += &text;
                }
                inbox.tokens = inbox.tokens.saturating_add(tokens);
            }
            Update::Finished(_) | Update::Embedded { .. } | Update::Published { .. } => {
                inbox.last = Some(update);
            }
        }
        self.notify(inbox);
    }

    /// The supervisor's: the last thing. Only the first end counts.
    pub(crate) fn end(&self, end: End) {
        self.end_after(None, end);
    }

    /// The supervisor's: the last update and the end, which nobody sees apart.
    pub(crate) fn finish(&self, last: Update) {
        self.end_after(Some(last), End::Finished);
    }

    fn end_after(&self, last: Option<Update>, end: End) {
        let mut inbox = self.lock();
        if inbox.end.is_none() {
            if !inbox.abandoned && last.is_some() {
                inbox.last = last;
            }
            inbox.end = Some(end);
            drop(inbox.place.take());
            self.notify(inbox);
        }
    }

    /// The caller's: what is there now.
    pub(crate) fn take(&self) -> Taken {
        self.lock().take()
    }

    /// The caller's: waits until something is there, or `timeout` has passed.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> Taken {
        // A timeout beyond what the clock can express is none.
        let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut inbox = self.lock();
        loop {
            match inbox.take() {
                Taken::Nothing => {}
                something => return something,
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Taken::Nothing;
            }
            inbox.sleeping += 1;
            inbox = match left {
                None => self
                    .changed
                    .wait(inbox)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    self.changed
                        .wait_timeout(inbox, left)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
            };
            inbox.sleeping -= 1;
        }
    }

    /// The caller's: `bell` is told under `key`, and no other bell any more, whenever
    /// [`take`](Self::take) found nothing and there is something again; at once where there is now.
    pub(crate) fn watch(&self, bell: Arc<Bell>, key: u64) {
        let mut inbox = self.lock();
        inbox.watch = Some(Watch {
            bell,
            key,
            armed: true,
        });
        if inbox.has_something() {
            self.notify(inbox);
            self.due.ring();
        }
    }

    /// The caller's: nobody reads any more. Says whether the request was still open.
    pub(crate) fn abandon(&self) -> bool {
        let mut inbox = self.lock();
        inbox.abandoned = true;
        inbox.began = None;
        inbox.text = String::new();
        inbox.last = None;
        inbox.watch = None;
        drop(inbox.place.take());
        inbox.end.is_none()
    }

    /// Whether nobody reads any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.lock().abandoned
    }

    fn notify(&self, mut inbox: MutexGuard<'_, Inbox>) {
        if let Some(watch) = &mut inbox.watch
            && std::mem::take(&mut watch.armed)
        {
            self.due.add(&watch.bell, watch.key);
        }
        let sleeping = inbox.sleeping > 0;
        // A thread that wakes while the lock is held would only go back to sleep.
        drop(inbox);
        if sleeping {
            self.changed.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inbox {
    const fn has_something(&self) -> bool {
        self.began.is_some() || !self.text.is_empty() || self.last.is_some() || self.end.is_some()
    }

    fn take(&mut self) -> Taken {
        if let Some(began) = self.began.take() {
            return Taken::Update(began);
        }
        if !self.text.is_empty() {
            return Taken::Update(Update::Piece {
                text: std::mem::take(&mut self.text),
                tokens: std::mem::take(&mut self.tokens),
            });
        }
        if let Some(last) = self.last.take() {
            return Taken::Update(last);
        }
        if let Some(end) = &self.end {
            return Taken::End(end.clone());
        }
        if let Some(watch) = &mut self.watch {
            watch.armed = true;
        }
        Taken::Nothing
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::thread;

    use strongroom_protocol::{FinishReason, Finished};

    use super::*;
    use crate::places::Places;

    fn slot() -> Slot {
        let now = Instant::now();
        let place = Places::new(1, None).take(None).unwrap();
        Slot::new(1, now, now, Some(place), Arc::default())
    }

    fn piece(text: &str) -> Update {
        Update::Piece {
            text: text.to_owned(),
            tokens: 1,
        }
    }

    fn text_of(taken: Taken) -> String {
        match taken {
            Taken::Update(Update::Piece { text, .. }) => text,
            other => panic!("no piece: {other:?}"),
        }
    }

    #[test]
    fn pieces_that_nobody_reads_become_one() {
        let slot = slot();
        slot.push(Update::Began {
            prompt_tokens: 3,
            cached_tokens: 0,
        });
        for _ in 0..1000 {
            slot.push(piece("word "));
        }
        slot.finish(Update::Finished(Box::new(Finished {
            request: 1,
            reason: FinishReason::Length,
            completion_tokens: 1000,
            queue_micros: 0,
            prompt_micros: 0,
            decode_micros: 0,
        })));
        assert!(matches!(
            slot.take(),
            Taken::Update(Update::Began {
                prompt_tokens: 3,
                cached_tokens: 0
            })
        ));
        let Taken::Update(Update::Piece { text, tokens }) = slot.take() else {
            panic!("no piece");
        };
        assert_eq!((text, tokens), ("word ".repeat(1000), 1000));
        assert!(matches!(slot.take(), Taken::Update(Update::Finished(_))));
        for _ in 0..2 {
            assert!(matches!(slot.take(), Taken::End(End::Finished)));
        }
    }

    #[test]
    fn a_bell_is_told_once_until_the_reader_has_found_nothing_again() {
        let slot = slot();
        let bell = Arc::new(Bell::new().unwrap());
        slot.watch(Arc::clone(&bell), 9);
        let told = || {
            slot.due.ring();
            bell.take().unwrap()
        };
        assert!(told().is_empty());
        slot.push(piece("a"));
        slot.push(piece("b"));
        assert_eq!(told(), [9]);
        slot.push(piece("c"));
        assert!(told().is_empty());
        assert_eq!(text_of(slot.take()), "abc");
        slot.push(piece("d"));
        assert!(told().is_empty(), "the reader comes by itself");
        assert_eq!(text_of(slot.take()), "d");
        assert!(matches!(slot.take(), Taken::Nothing));
        slot.end(End::Failed(HostError::Unloaded));
        assert_eq!(told(), [9]);
    }

    #[test]
    fn a_bell_that_comes_late_hears_of_what_is_there_and_the_one_before_no_more() {
        let slot = slot();
        let (first, second) = (
            Arc::new(Bell::new().unwrap()),
            Arc::new(Bell::new().unwrap()),
        );
        slot.watch(Arc::clone(&first), 1);
        slot.push(piece("a"));
        slot.watch(Arc::clone(&second), 2);
        assert_eq!(second.take().unwrap(), [2]);
        assert_eq!(text_of(slot.take()), "a");
        assert!(matches!(slot.take(), Taken::Nothing));
        first.take().unwrap();
        slot.push(piece("b"));
        assert!(first.take().unwrap().is_empty());
        assert_eq!(second.take().unwrap(), [2]);
    }

    #[test]
    fn a_thread_that_sleeps_is_woken_by_what_comes() {
        let slot = slot();
        thread::scope(|scope| {
            let reader = scope.spawn(|| text_of(slot.wait(None)));
            while slot.lock().sleeping == 0 {
                thread::yield_now();
            }
            slot.push(piece("a"));
            assert_eq!(reader.join().unwrap(), "a");
        });
        assert_eq!(slot.lock().sleeping, 0);
    }

    #[test]
    fn an_abandoned_request_keeps_nothing() {
        let slot = slot();
        slot.push(piece("a"));
        assert!(slot.abandon());
        slot.push(piece("b"));
        slot.push(Update::Began {
            prompt_tokens: 1,
            cached_tokens: 0,
        });
        let inbox = slot.lock();
        assert!(inbox.text.is_empty() && inbox.began.is_none() && inbox.place.is_none());
    }
}
