//! One wake-up for all the streams of a reader that got something.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    process,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustix::event::{EventfdFlags, eventfd};

use crate::HostError;

/// A descriptor that becomes readable when any of the streams that it was given to has something, and
/// the list of those streams; see [`Stream::watch`](crate::Stream::watch).
#[derive(Debug)]
pub struct Bell {
    creator: u32,
    wake: OwnedFd,
    news: Mutex<Vec<u64>>,
}

impl Bell {
    /// A bell that no stream has.
    ///
    /// # Errors
    /// The kernel's, where descriptors run out.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            creator: process::id(),
            wake: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            news: Mutex::default(),
        })
    }

    /// The keys of the streams that have something since this was last called, in no order; a key may
    /// be one of a stream that is gone. The descriptor is not readable any more.
    ///
    /// # Errors
    /// [`HostError::Forked`]: the streams are the parent's, and so is what it reads here.
    pub fn take(&self) -> Result<Vec<u64>, HostError> {
        if process::id() != self.creator {
            return Err(HostError::Forked);
        }
        // Before the list: what is added in between is taken now, and a ring too many harms nobody.
        let _ = rustix::io::read(&self.wake, &mut [0; 8]);
        Ok(std::mem::take(&mut self.lock()))
    }

    /// Tells the reader of something that no stream has: it finds `key` among the others.
    ///
    /// # Errors
    /// [`HostError::Forked`].
    pub fn tell(&self, key: u64) -> Result<(), HostError> {
        if process::id() != self.creator {
            return Err(HostError::Forked);
        }
        // Not the first on the list: whoever was has rung, or is about to.
        if self.add(key) {
            self.ring();
        }
        Ok(())
    }

    /// Adds a stream to the list; says whether it is the first there.
    fn add(&self, key: u64) -> bool {
        let mut news = self.lock();
        news.push(key);
        news.len() == 1
    }

    fn ring(&self) {
        // Can only fail when the counter is full, and then it is readable.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u64>> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

/// Bells that a supervisor has to ring before it goes to sleep.
///
/// A bell with something on its list either was rung since, or stands here: whoever adds the first
/// key puts it here, and a reader who takes the list leaves it empty.
#[derive(Debug, Default)]
pub(crate) struct Due(Mutex<Vec<Arc<Bell>>>);

impl Due {
    /// A stream has something.
    pub(crate) fn add(&self, bell: &Arc<Bell>, key: u64) {
        if bell.add(key) {
            self.lock().push(Arc::clone(bell));
        }
    }

    /// Rings each that is due, once.
    pub(crate) fn ring(&self) {
        let due = std::mem::take(&mut *self.lock());
        for bell in due {
            bell.ring();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Bell>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;

    fn is_readable(bell: &Bell) -> bool {
        let mut fds = [PollFd::new(bell, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec::default())).unwrap() == 1
    }

    #[test]
    fn a_bell_is_rung_once_for_all_that_was_added() {
        let (bell, due) = (Arc::new(Bell::new().unwrap()), Due::default());
        for key in 0..16 {
            due.add(&bell, key);
        }
        assert!(!is_readable(&bell), "not before it is rung");
        assert_eq!(due.lock().len(), 1);
        due.ring();
        let mut counted = [0; 8];
        rustix::io::read(&bell.wake, &mut counted).unwrap();
        assert_eq!(u64::from_ne_bytes(counted), 1);
        assert_eq!(bell.take().unwrap(), (0..16).collect::<Vec<_>>());
        due.add(&bell, 7);
        due.ring();
        assert!(is_readable(&bell));
        assert_eq!(bell.take().unwrap(), [7]);
        assert!(!is_readable(&bell));
        assert!(bell.take().unwrap().is_empty());
    }

    #[test]
    fn two_supervisors_share_a_bell() {
        let bell = Arc::new(Bell::new().unwrap());
        let (first, second) = (Due::default(), Due::default());
        first.add(&bell, 1);
        second.add(&bell, 2);
        second.ring();
        assert!(!is_readable(&bell), "the first one's to ring");
        first.ring();
        assert!(is_readable(&bell));
        assert_eq!(bell.take().unwrap(), [1, 2]);
    }

    #[test]
    fn who_is_told_by_hand_hears_of_it_at_once_and_of_the_streams_too() {
        let (bell, due) = (Arc::new(Bell::new().unwrap()), Due::default());
        bell.tell(3).unwrap();
        assert!(is_readable(&bell));
        due.add(&bell, 4);
        assert_eq!(bell.take().unwrap(), [3, 4]);
        due.add(&bell, 5);
        bell.tell(6).unwrap();
        due.ring();
        assert!(is_readable(&bell));
        assert_eq!(bell.take().unwrap(), [5, 6]);
    }

    #[test]
    fn a_forked_child_takes_nothing() {
        let mut bell = Bell::new().unwrap();
        bell.add(1);
        bell.ring();
        bell.creator += 1;
        assert_eq!(bell.take(), Err(HostError::Forked));
        assert_eq!(bell.tell(2), Err(HostError::Forked));
        assert!(is_readable(&bell));
    }
}
