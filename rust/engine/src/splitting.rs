//! How much of a text llama.cpp's tokenizer takes at once.
//!
//! Two of its ways cost more than the text is worth. Most names of pre-tokenizers are split by
//! `std::regex`, which recurses once per character that one repetition takes: on a stack of 8 MiB
//! that ends the process at 26,000 characters. And the other kinds of tokenizer take time with
//! the square of the text.

use crate::EngineError;

/// The characters that one repetition may take: an eighth of what the stack holds, or less.
const LONGEST_RUN: usize = 4_096;

/// The same for white space and line ends, on which an expression that fails takes time with the
/// square of the run.
const LONGEST_GAP: usize = 1_024;

/// The same for the digits of "superbpe", whose expression looks ahead from each of them.
const LONGEST_NUMBER: usize = 64;

/// Bytes for a tokenizer that takes time with the square of the text: half a second.
const SQUARED: usize = 96 << 10;

/// The pre-tokenizers whose expressions llama.cpp splits by hand, in a loop
/// (`unicode_regex_split_custom`), or that match a single character: a mebibyte of anything holds.
const SPLIT_BY_HAND: &[&str] = &[
    "a.x-4.0",
    "chatglm-bpe",
    "codeshell",
    "command-r",
    "dbrx",
    "deepseek-r1-qwen",
    "exaone",
    "exaone4",
    "f2llmv2",
    "falcon-h1",
    "falcon3",
    "gemma4",
    "gigachat",
    "glm4",
    "glm5",
    "gpt-2",
    "granite-docling",
    "granite-embed-multi-311m",
    "grok-2",
    "hunyuan",
    "jais",
    "jina-de",
    "jina-es",
    "jina-v1-en",
    "jina-v2-code",
    "jina-v2-de",
    "jina-v2-es",
    "jina-v5-nano",
    "kimi-k2",
    "kormo",
    "laguna",
    "lfm2",
    "llama-bpe",
    "llama-v3",
    "llama3",
    "megrez",
    "mellum",
    "mellum2",
    "midm-2.0",
    "minerva-7b",
    "mmbert",
    "modern-bert",
    "mpt",
    "olmo",
    "phi-2",
    "pixtral",
    "qwen2",
    "qwen35",
    "refact",
    "roberta-bpe",
    "sarvam-moe",
    "smaug-bpe",
    "smollm",
    "solar-open",
    "stablelm2",
    "starcoder",
    "trillion",
];

/// What bounds a text, besides the bound of the protocol.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Splitting {
    /// Nothing.
    ByHand,
    /// The runs in it: those of [`RUNS`], and one of the pre-tokenizer's own.
    ByExpression(Option<Run>),
    /// Its length.
    Squared,
}

/// Characters of a class, one after the other, that one repetition may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    class: fn(char) -> bool,
    longest: usize,
}

/// What expressions repeat: white space, or anything but white space, or line ends and slashes.
/// Beyond ASCII a character is in every class that it may be in: llama.cpp's tables are not Rust's.
const RUNS: [Run; 3] = [
    Run {
        class: |c| {
            c.is_whitespace() || matches!(c, '\u{180e}' | '\u{2000}'..='\u{206f}' | '\u{feff}')
        },
        longest: LONGEST_GAP,
    },
    Run {
        class: |c| !(c.is_ascii_whitespace() || c == '\u{b}'),
        longest: LONGEST_RUN,
    },
    Run {
        class: |c| matches!(c, '\r' | '\n' | '/'),
        longest: LONGEST_GAP,
    },
];

/// Words and the single spaces between them, which "exaone-moe" repeats.
const WORDS: Run = Run {
    class: |c| c.is_ascii_alphabetic() || c == ' ' || !c.is_ascii(),
    longest: LONGEST_RUN,
};

/// Digits, of which "superbpe" looks ahead over all.
const NUMBER: Run = Run {
    class: |c| c.is_ascii_digit(),
    longest: LONGEST_NUMBER,
};

impl Splitting {
    /// Of a byte-pair vocabulary with the pre-tokenizer `pre`; a name that isn't known to be split
    /// by hand is split by expression. `None` if llama.cpp would abort on common text.
    pub(crate) fn of_pairs(pre: &str) -> Option<Self> {
        if SPLIT_BY_HAND.binary_search(&pre).is_ok() {
            return Some(Self::ByHand);
        }
        match pre {
            // Spaces stay as they are, and llama.cpp asserts that no two symbols of a word have one.
            "whitespace" => None,
            "exaone-moe" => Some(Self::ByExpression(Some(WORDS))),
            "superbpe" => Some(Self::ByExpression(Some(NUMBER))),
            _ => Some(Self::ByExpression(None)),
        }
    }

    /// Refuses a text on which llama.cpp's tokenizer would not come to its end, or not soon.
    ///
    /// # Errors
    /// [`EngineError::TextTooLong`] and [`EngineError::RunTooLong`].
    pub(crate) fn require_bounded(self, text: &str) -> Result<(), EngineError> {
        match self {
            Self::ByExpression(own) => RUNS
                .iter()
                .chain(&own)
                .try_for_each(|run| run.require_bounded(text)),
            Self::Squared if text.len() > SQUARED => Err(EngineError::TextTooLong {
                bytes: text.len(),
                bound: SQUARED,
            }),
            Self::ByHand | Self::Squared => Ok(()),
        }
    }
}

impl Run {
    fn require_bounded(&self, text: &str) -> Result<(), EngineError> {
        let length = self.longest_in(text);
        if length > self.longest {
            return Err(EngineError::RunTooLong {
                length,
                bound: self.longest,
            });
        }
        Ok(())
    }

    fn longest_in(&self, text: &str) -> usize {
        let (mut run, mut longest) = (0, 0);
        for character in text.chars() {
            run = if (self.class)(character) { run + 1 } else { 0 };
            longest = longest.max(run);
        }
        longest
    }
}

#[cfg(test)]
mod tests {
    use super::{NUMBER, RUNS, SPLIT_BY_HAND, Splitting, WORDS};

    #[test]
    fn only_names_that_are_known_are_split_by_hand() {
        assert!(SPLIT_BY_HAND.is_sorted());
        assert!(matches!(
            Splitting::of_pairs("smollm"),
            Some(Splitting::ByHand)
        ));
        for name in ["", "tekken", "default", "superbpe", "not known"] {
            assert!(
                matches!(Splitting::of_pairs(name), Some(Splitting::ByExpression(_))),
                "{name}"
            );
        }
        assert!(Splitting::of_pairs("whitespace").is_none());
    }

    #[test]
    fn runs_are_counted_in_characters_of_a_class() {
        let [gap, solid, ends] = RUNS;
        assert_eq!(solid.longest_in(""), 0);
        assert_eq!(solid.longest_in("ab cde\nf"), 3);
        assert_eq!(solid.longest_in("中文\u{3000}中文"), 5);
        assert_eq!(gap.longest_in("a \t\n b"), 4);
        assert_eq!(gap.longest_in("a \u{200b} \u{200b} b"), 5);
        assert_eq!(gap.longest_in("中文"), 0);
        assert_eq!(ends.longest_in("a/\n/\n/b"), 5);
        assert_eq!(WORDS.longest_in("one two, three"), 7);
        assert_eq!(NUMBER.longest_in("12 345 6"), 3);
    }
}
