//! Files with one fault each, made by hand.

mod container;
mod model;
mod tensors;
mod tokenizer;

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

/// Every hand-made fault. Two codes of preflight are missing here, because no small file has them:
/// `gguf.incomplete` and `gguf.header_length`.
pub fn hostile() -> Vec<Hostile> {
    let mut faults = Faults {
        llama: draft(Family::Llama, Vocabulary::Spm),
        pairs: draft(Family::Llama, Vocabulary::Bpe),
        tokens: Vocabulary::Spm.tokens().len(),
        files: Vec::new(),
    };
    container::add(&mut faults);
    tensors::add(&mut faults);
    model::add(&mut faults);
    tokenizer::add(&mut faults);
    faults.files
}

/// Collects faults, and has the sound models to put them in.
struct Faults {
    llama: Draft,
    pairs: Draft,
    /// The number of tokens of `llama`.
    tokens: usize,
    files: Vec<Hostile>,
}

impl Faults {
    /// A file made of these bytes.
    fn file(&mut self, code: &'static str, name: &'static str, bytes: Vec<u8>) {
        self.files.push(Hostile { name, bytes, code });
    }

    /// A Llama with the `SentencePiece` vocabulary and one change.
    fn llama(&mut self, code: &'static str, name: &'static str, change: impl FnOnce(&mut Draft)) {
        let mut changed = self.llama.clone();
        change(&mut changed);
        self.file(code, name, changed.write());
    }

    /// A Llama with the byte-pair vocabulary and one change.
    fn pairs(&mut self, code: &'static str, name: &'static str, change: impl FnOnce(&mut Draft)) {
        let mut changed = self.pairs.clone();
        change(&mut changed);
        self.file(code, name, changed.write());
    }

    /// A model of another family and one change.
    fn family(
        &mut self,
        family: Family,
        code: &'static str,
        name: &'static str,
        change: impl FnOnce(&mut Draft),
    ) {
        let mut changed = draft(family, Vocabulary::Spm);
        change(&mut changed);
        self.file(code, name, changed.write());
    }
}

#[cfg(test)]
mod tests {
    use super::hostile;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_safe_as_file_names() {
        let files = hostile();
        let names: HashSet<&str> = files.iter().map(|file| file.name).collect();
        assert_eq!(names.len(), files.len());
        assert!(files.len() >= 98, "{} files", files.len());
        let safe = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        assert!(names.iter().all(|name| name.bytes().all(safe)));
    }
}
