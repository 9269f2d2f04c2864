//! `strongroom._core`.
