//! Waiting, with deadlines, while the caller is told and may end it.

use std::{future::Future, ops::ControlFlow, pin::pin, time::Duration};

use tokio::time::{Instant, timeout};

use crate::FetchError;

/// Between two calls of the progress callback.
const TICK: Duration = Duration::from_millis(100);

/// What a download is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Another process downloads the same source, and has so many bytes.
    Waiting(u64),
    /// Looking for the host, or waiting for its answer.
    Connecting,
    /// So many bytes are there, of so many where the host said it.
    Receiving(u64, Option<u64>),
    /// Bytes that are there already are hashed: so many of so many.
    Checking(u64, u64),
}

/// Told about ten times a second, in the thread that fetches; `Break` ends the download.
pub type Progress<'a> = &'a mut dyn FnMut(Step) -> ControlFlow<()>;

/// The caller's patience with one download.
pub(crate) struct Watch<'a> {
    progress: Progress<'a>,
    step: Step,
    told: Instant,
    url: String,
    end: Option<Instant>,
    total: Duration,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(url: String, total: Duration, progress: Progress<'a>) -> Self {
        let now = Instant::now();
        Self {
            progress,
            step: Step::Connecting,
            told: now,
            url,
            end: now.checked_add(total),
            total,
        }
    }

    /// Tells the caller at once.
    pub(crate) fn tell(&mut self, step: Step) -> Result<(), FetchError> {
        self.step = step;
        self.told = Instant::now();
        if self.end.is_some_and(|end| self.told >= end) {
            return Err(FetchError::Timeout {
                url: self.url.clone(),
                stage: "be fetched",
                limit: self.total,
            });
        }
        match (self.progress)(step) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(FetchError::Cancelled {
                url: self.url.clone(),
            }),
        }
    }

    /// Tells the caller, unless it was told just now.
    pub(crate) fn pass(&mut self, step: Step) -> Result<(), FetchError> {
        self.step = step;
        if self.told.elapsed() < TICK {
            return Ok(());
        }
        self.tell(step)
    }

    /// Waits for `future` as long as `limit` allows; `stage` says what it should have done.
    pub(crate) async fn within<T>(
        &mut self,
        limit: Duration,
        stage: &'static str,
        future: impl Future<Output = T>,
    ) -> Result<T, FetchError> {
        let mut future = pin!(future);
        let start = Instant::now();
        loop {
            let left = limit.saturating_sub(start.elapsed());
            if let Ok(value) = timeout(left.min(TICK), future.as_mut()).await {
                return Ok(value);
            }
            if left <= TICK {
                return Err(FetchError::Timeout {
                    url: self.url.clone(),
                    stage,
                    limit,
                });
            }
            self.pass(self.step)?;
        }
    }

    /// Waits until the next look at something that can't be waited for.
    pub(crate) async fn pause(&mut self, step: Step) -> Result<(), FetchError> {
        tokio::time::sleep(TICK).await;
        self.tell(step)
    }
}
