//! The answer to one request, as it is decoded.

use std::{process, sync::Arc, time::Duration};

use crate::{
    Bell, HostError, Update,
    desk::Desk,
    slot::{End, Slot, Taken},
};

/// The answer to one request. Dropping it cancels the request.
#[derive(Debug)]
pub struct Stream {
    creator: u32,
    slot: Arc<Slot>,
    desk: Arc<Desk>,
}

impl Stream {
    pub(crate) const fn new(creator: u32, slot: Arc<Slot>, desk: Arc<Desk>) -> Self {
        Self {
            creator,
            slot,
            desk,
        }
    }

    /// Waits for the next update. `None` after `Finished`, or when `timeout` has passed.
    ///
    /// # Errors
    /// Why the request ended before its answer did; asked again, the same. After a fork
    /// [`HostError::Forked`].
    pub fn next(&self, timeout: Option<Duration>) -> Result<Option<Update>, HostError> {
        self.same_process()?;
        yielded(self.slot.wait(timeout))
    }

    /// The next update if there is one; never waits.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub fn poll(&self) -> Result<Option<Update>, HostError> {
        self.same_process()?;
        yielded(self.slot.take())
    }

    /// Has `bell` told, under `key`, of what comes after [`poll`](Self::poll) returned `None`; and at
    /// once, where something is there now. A stream has one bell: the last that it was given.
    ///
    /// # Errors
    /// [`HostError::Forked`].
    pub fn watch(&self, bell: Arc<Bell>, key: u64) -> Result<(), HostError> {
        self.same_process()?;
        self.slot.watch(bell, key);
        Ok(())
    }

    /// Stops decoding at the next step; the stream then ends with `Finished`, of reason `Cancelled`
    /// unless it ended otherwise just before.
    ///
    /// # Errors
    /// [`HostError::Forked`].
    pub fn cancel(&self) -> Result<(), HostError> {
        self.same_process()?;
        self.desk.cancel(self.slot.id);
        Ok(())
    }

    fn same_process(&self) -> Result<(), HostError> {
        if process::id() == self.creator {
            Ok(())
        } else {
            Err(HostError::Forked)
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // A forked child has a copy of it and no supervisor; a lock may be held there for ever.
        if self.same_process().is_ok() && self.slot.abandon() {
            self.desk.cancel(self.slot.id);
        }
    }
}

fn yielded(taken: Taken) -> Result<Option<Update>, HostError> {
    match taken {
        Taken::Update(update) => Ok(Some(update)),
        Taken::End(End::Failed(error)) => Err(error),
        Taken::End(End::Finished | End::Tokens(_)) | Taken::Nothing => Ok(None),
    }
}
