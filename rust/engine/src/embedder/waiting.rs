//! Requests whose texts are not computed yet.

use std::time::Instant;

use strongroom_protocol::Embed;

use crate::{Token, reading::Reading};

/// A request that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) order: Embed,
    pub(super) arrived: Instant,
    pub(super) deadline: Option<Instant>,
    /// To the tokens of each text.
    pub(super) reading: Reading<Vec<Vec<Token>>>,
}

impl Waiting {
    pub(super) fn may_begin(&self) -> bool {
        self.reading.may_begin()
    }

    pub(super) fn is_unread(&self) -> bool {
        matches!(self.reading, Reading::First)
    }

    pub(super) fn is_read_for(&self, request: u64) -> bool {
        self.order.request == request && matches!(self.reading, Reading::Now)
    }
}
