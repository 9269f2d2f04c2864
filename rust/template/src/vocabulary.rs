//! What a vocabulary has to offer: plain tokenization, and the tokens that stand for structure.

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use thiserror::Error;

/// Patterns of more bytes than this are looked for one by one.
const AUTOMATON: usize = 1 << 20;

/// The vocabulary failed to tokenize; it keeps the text, and why, to itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the vocabulary failed to tokenize plain text")]
pub struct Untokenizable;

/// A loaded model's vocabulary, as far as a chat template needs it.
pub trait Vocabulary {
    /// The ids of `text`, taken as plain text: control tokens are never parsed, no BOS and no EOS
    /// is added. This is `llama_tokenize` with `add_special` and `parse_special` false.
    ///
    /// # Errors
    /// [`Untokenizable`], whatever the reason.
    fn tokenize(&self, text: &str) -> Result<Vec<u32>, Untokenizable>;

    /// Every token of the vocabulary that is parsed out of text before the rest is tokenized.
    fn control_tokens(&self) -> &ControlTokens;

    /// The token that llama.cpp puts in front of every text (`add_special`), if it does.
    fn leading(&self) -> Option<u32>;

    /// The token that llama.cpp puts behind every text (`add_special`), if it does.
    fn trailing(&self) -> Option<u32>;
}

/// How llama.cpp classes a token that it parses out of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `LLAMA_TOKEN_ATTR_CONTROL`: never parsed out of plain text.
    Control,
    /// `LLAMA_TOKEN_ATTR_UNKNOWN`: never parsed out of plain text, yet it may come of it.
    Unknown,
    /// `LLAMA_TOKEN_ATTR_USER_DEFINED`: parsed even out of plain text.
    UserDefined,
}

/// One token that is parsed out of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlToken {
    /// Its number in the vocabulary.
    pub id: u32,
    /// Its text, as `llama_vocab_get_text` gives it.
    pub text: String,
    /// Its class.
    pub kind: Kind,
    /// `LLAMA_TOKEN_ATTR_LSTRIP`: white space in front of it is dropped.
    pub lstrip: bool,
    /// `LLAMA_TOKEN_ATTR_RSTRIP`: white space behind it is dropped.
    pub rstrip: bool,
}

/// The tokens that are parsed out of text, in llama.cpp's order. Build it once for a vocabulary.
#[derive(Debug, Clone)]
pub struct ControlTokens {
    tokens: Vec<ControlToken>,
    automaton: Option<AhoCorasick>,
}

impl ControlTokens {
    /// Takes every token of class control, unknown or user-defined, in the order of their ids.
    ///
    /// llama.cpp tries longer texts first and leaves the order among equals to its library; here
    /// they keep their order. It matters only where two of equal length overlap in a text. Tokens
    /// without text, on which llama.cpp would never end, are left out.
    pub fn new(mut tokens: Vec<ControlToken>) -> Self {
        tokens.retain(|token| !token.text.is_empty());
        tokens.sort_by_key(|token| std::cmp::Reverse(token.text.len()));
        let bytes: usize = tokens.iter().map(|token| token.text.len()).sum();
        let automaton = (bytes <= AUTOMATON)
            .then(|| {
                AhoCorasick::builder()
                    .kind(Some(AhoCorasickKind::ContiguousNFA))
                    .build(tokens.iter().map(|token| &token.text))
                    .ok()
            })
            .flatten();
        Self { tokens, automaton }
    }

    /// The tokens, longest first.
    pub fn iter(&self) -> std::slice::Iter<'_, ControlToken> {
        self.tokens.iter()
    }

    /// The positions, in the order of [`Self::iter`], of the tokens that `text` spells somewhere.
    pub(crate) fn spelled_in(&self, text: &str) -> Vec<usize> {
        let mut found = vec![false; self.tokens.len()];
        if let Some(automaton) = &self.automaton {
            for spelled in automaton.find_overlapping_iter(text) {
                found[spelled.pattern().as_usize()] = true;
            }
        } else {
            for (found, token) in found.iter_mut().zip(&self.tokens) {
                *found = text.contains(&token.text);
            }
        }
        (0..found.len()).filter(|at| found[*at]).collect()
    }

    pub(crate) fn get(&self, at: usize) -> &ControlToken {
        &self.tokens[at]
    }
}

impl<'a> IntoIterator for &'a ControlTokens {
    type Item = &'a ControlToken;
    type IntoIter = std::slice::Iter<'a, ControlToken>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
