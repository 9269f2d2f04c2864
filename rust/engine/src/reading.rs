//! How far a request's text is on its way to tokens.

use crate::EngineError;

/// How far text is on its way to `T`, its tokens.
#[derive(Debug)]
pub(crate) enum Reading<T> {
    /// It is tokenized when its turn comes.
    Later,
    /// It is so long that it is tokenized first, and was not begun with yet.
    First,
    /// It is being tokenized; the request's own text is empty by now.
    Now,
    /// These are its tokens.
    Done(Result<T, EngineError>),
}

impl<T> Reading<T> {
    /// Whether the request may begin.
    pub(crate) const fn may_begin(&self) -> bool {
        matches!(self, Self::Later | Self::Done(_))
    }
}
