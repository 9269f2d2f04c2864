//! Files with one fault each, made by hand.

use crate::{
    draft::Draft,
    tiny::{Family, draft},
    vocabulary::Vocabulary,
};

/// A file that is sound but for one fault.
#[derive(Debug, Clone)]
pub struct Hostile {
    /// What is wrong, in words that serve as a file name.
    pub name: &'static str,
    /// The file.
    pub bytes: Vec<u8>,
    /// The code with which preflight has to refuse it.
    pub code: &'static str,
}

/// Every hand-made fault.
pub fn hostile() -> Vec<Hostile> {
    let _: Draft = draft(Family::Llama, Vocabulary::Spm);
    Vec::new()
}
