//! Two small vocabularies that tokenize any text.

use crate::{draft::Draft, value::Value};

/// The two kinds of tokenizer that nearly all models of the field use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vocabulary {
    /// `SentencePiece` with byte fallback, as in Llama 2, Gemma and Phi-3.
    Spm,
    /// Byte-pair encoding over the 256 characters of GPT-2, as in Llama 3, Qwen and `SmolLM`.
    Bpe,
}

/// How likely a tiny model is to say a token; see [`crate::tiny`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speech {
    Word,
    Byte,
    Silent,
}

const NORMAL: i32 = 1;
const UNKNOWN: i32 = 2;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
const BYTE: i32 = 6;

/// Words that tiny models know whole. Each of their beginnings is a token too: a merge joins two
/// tokens that exist.
const WORDS: [&str; 16] = [
    "the", "and", "of", "to", "in", "is", "it", "that", "sky", "blue", "model", "hello", "because",
    "light", "answer", "question",
];

/// Tokens with their types, and what tokenizing needs besides.
#[derive(Debug)]
pub(crate) struct Tokens {
    texts: Vec<String>,
    types: Vec<i32>,
    scores: Vec<f32>,
    merges: Vec<String>,
    pub(crate) speech: Vec<Speech>,
}

impl Vocabulary {
    pub(crate) fn tokens(self) -> Tokens {
        match self {
            Self::Spm => Tokens::spm(),
            Self::Bpe => Tokens::bpe(),
        }
    }
}

impl Tokens {
    fn spm() -> Self {
        let mut tokens = Self::empty();
        tokens.push("<unk>", UNKNOWN, Speech::Silent);
        tokens.push("<s>", CONTROL, Speech::Silent);
        tokens.push("</s>", CONTROL, Speech::Silent);
        for byte in 0..=255_u8 {
            tokens.push(&format!("<0x{byte:02X}>"), BYTE, Speech::Byte);
        }
        tokens.push("▁", NORMAL, Speech::Word);
        for letter in ' '..='~' {
            if letter != ' ' {
                tokens.push(&letter.to_string(), NORMAL, Speech::Word);
            }
        }
        tokens.words("▁");
        tokens.markers();
        // A merge is the better the earlier its token stands.
        tokens.scores = (0..tokens.texts.len()).map(|rank| -(rank as f32)).collect();
        tokens
    }

    fn bpe() -> Self {
        let mut tokens = Self::empty();
        tokens.push("<|endoftext|>", CONTROL, Speech::Silent);
        for byte in 0..=255_u8 {
            let speech = if byte.is_ascii_graphic() || byte == b' ' {
                Speech::Word
            } else {
                Speech::Byte
            };
            tokens.push(&byte_character(byte).to_string(), NORMAL, speech);
        }
        tokens.words("Ġ");
        tokens.markers();
        tokens
    }

    fn empty() -> Self {
        Self {
            texts: vec![],
            types: vec![],
            scores: vec![],
            merges: vec![],
            speech: vec![],
        }
    }

    fn push(&mut self, text: &str, kind: i32, speech: Speech) {
        self.texts.push(text.to_owned());
        self.types.push(kind);
        self.speech.push(speech);
    }

    /// Every beginning of every word behind `space`, with the merge that makes it.
    fn words(&mut self, space: &str) {
        for word in WORDS {
            let mut whole = space.to_owned();
            for letter in word.chars() {
                let merge = format!("{whole} {letter}");
                whole.push(letter);
                if !self.texts.contains(&whole) {
                    self.push(&whole, NORMAL, Speech::Word);
                    self.merges.push(merge);
                }
            }
        }
    }

    fn markers(&mut self) {
        self.push("<|im_start|>", CONTROL, Speech::Silent);
        self.push("<|im_end|>", CONTROL, Speech::Silent);
        self.push("<table>", USER_DEFINED, Speech::Silent);
    }

    /// The number of tokens.
    pub(crate) fn len(&self) -> usize {
        self.texts.len()
    }

    /// The id of a token that both vocabularies have.
    fn id(&self, text: &str) -> u32 {
        let position = self.texts.iter().position(|token| token == text);
        position.unwrap_or_else(|| panic!("the vocabulary has no token {text}")) as u32
    }

    /// Writes the tokenizer's keys.
    pub(crate) fn describe(&self, vocabulary: Vocabulary, draft: &mut Draft) {
        let texts =
            |texts: &[String]| Value::Texts(texts.iter().map(|t| t.as_bytes().to_vec()).collect());
        draft
            .set("tokenizer.ggml.tokens", texts(&self.texts))
            .set("tokenizer.ggml.token_type", Value::I32s(self.types.clone()));
        match vocabulary {
            Vocabulary::Spm => draft
                .set("tokenizer.ggml.model", "llama")
                .set("tokenizer.ggml.pre", "default")
                .set("tokenizer.ggml.scores", Value::F32s(self.scores.clone()))
                .set("tokenizer.ggml.bos_token_id", self.id("<s>"))
                .set("tokenizer.ggml.eos_token_id", self.id("</s>"))
                .set("tokenizer.ggml.unknown_token_id", self.id("<unk>"))
                .set("tokenizer.ggml.add_bos_token", true)
                .set("tokenizer.ggml.add_eos_token", false),
            Vocabulary::Bpe => draft
                .set("tokenizer.ggml.model", "gpt2")
                .set("tokenizer.ggml.pre", "smollm")
                .set("tokenizer.ggml.merges", texts(&self.merges))
                .set("tokenizer.ggml.bos_token_id", self.id("<|im_start|>"))
                .set("tokenizer.ggml.eos_token_id", self.id("<|endoftext|>"))
                .set("tokenizer.ggml.add_bos_token", false),
        };
        draft.set("tokenizer.ggml.eot_token_id", self.id("<|im_end|>"));
    }
}

/// The character that GPT-2 writes for a byte: itself where it is printable in Latin-1, otherwise
/// the next free one from U+0100 on.
fn byte_character(byte: u8) -> char {
    let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    if printable(byte) {
        char::from(byte)
    } else {
        let rank = (0..byte).filter(|earlier| !printable(*earlier)).count();
        char::from_u32(0x100 + rank as u32).unwrap_or(char::REPLACEMENT_CHARACTER)
    }
}

#[cfg(test)]
mod tests {
    use super::{Vocabulary, byte_character};
    use std::collections::HashSet;

    #[test]
    fn bytes_are_written_as_gpt2_writes_them() {
        let written: Vec<char> = [0, 10, 32, 127, 160, 173, b'A', 255]
            .map(byte_character)
            .to_vec();
        assert_eq!(written, ['Ā', 'Ċ', 'Ġ', 'ġ', 'ł', 'Ń', 'A', 'ÿ']);
    }

    #[test]
    fn tokens_are_unique_and_complete() {
        for vocabulary in [Vocabulary::Spm, Vocabulary::Bpe] {
            let tokens = vocabulary.tokens();
            let unique: HashSet<&String> = tokens.texts.iter().collect();
            assert_eq!(unique.len(), tokens.len());
            assert!(tokens.len() > 300, "{vocabulary:?} has {}", tokens.len());
        }
    }
}
