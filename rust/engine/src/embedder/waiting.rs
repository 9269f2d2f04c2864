//! Requests whose texts are not computed yet.

use std::time::Instant;

use strongroom_protocol::Embed;

use crate::{EngineError, Token};

/// A request that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) order: Embed,
    pub(super) arrived: Instant,
    pub(super) deadline: Option<Instant>,
    pub(super) reading: Reading,
}

/// How far texts are on their way to tokens.
#[derive(Debug)]
pub(super) enum Reading {
    /// They are tokenized when the request begins.
    Later,
    /// They are so long that they are tokenized first, and were not begun with yet.
    First,
    /// They are being tokenized; the order has none by now.
    Now,
    /// These are the tokens of each.
    Done(Result<Vec<Vec<Token>>, EngineError>),
}

impl Waiting {
    pub(super) fn may_begin(&self) -> bool {
        matches!(self.reading, Reading::Later | Reading::Done(_))
    }

    pub(super) fn is_unread(&self) -> bool {
        matches!(self.reading, Reading::First)
    }

    pub(super) fn is_read_for(&self, request: u64) -> bool {
        self.order.request == request && matches!(self.reading, Reading::Now)
    }
}
