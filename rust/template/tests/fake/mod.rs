//! Vocabularies small enough to read, and a second implementation of llama.cpp's partition.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::struct_excessive_bools,
    clippy::unwrap_used
)]

use std::collections::BTreeMap;
use std::ops::Range;

use strongroom_template::corpus::Style;
use strongroom_template::{ControlToken, ControlTokens, Kind, Untokenizable, Vocabulary};

/// Letters that ordinary tokens are made of; many are parts of control tokens.
const PIECES: &[&str] = &[
    " ",
    "  ",
    "\n",
    "\n\n",
    "the",
    " the",
    "and",
    " and",
    "is",
    " is",
    "sky",
    " blue",
    "ing",
    "<",
    "</",
    "<|",
    "|>",
    "im",
    "_",
    "_start",
    "_end",
    "start",
    "end",
    "eot",
    "_id",
    "s",
    "s>",
    "/s",
    "<s",
    "INST",
    "[",
    "]",
    "[/",
    "user",
    "system",
    "assistant",
    "model",
    "think",
    "of",
    "turn",
    "bos",
    "eos",
    "unk",
    ">",
    "tool",
    "response",
    "header",
    "｜",
    "▁",
    "table",
    "1",
    "2",
];

/// A vocabulary of bytes and pieces, taken greedily.
pub struct Fake {
    pub name: &'static str,
    tokens: ControlTokens,
    pieces: BTreeMap<String, u32>,
    longest: usize,
    space_prefix: bool,
    leading: Option<u32>,
    trailing: Option<u32>,
}

/// The first number of a token that is parsed out of text.
pub const SPECIAL: u32 = 10_000;

/// How a fake differs from the plainest.
#[derive(Default, Clone, Copy)]
pub struct Traits {
    /// Puts a space before every piece of plain text, as SPM does.
    pub space_prefix: bool,
    /// Its ordinary letters can merge into control tokens.
    pub merging: bool,
    /// Adds BOS.
    pub bos: bool,
    /// Adds EOS.
    pub eos: bool,
    /// All its tokens strip white space on this side: left, right.
    pub strip: (bool, bool),
}

impl Fake {
    /// A vocabulary with the tokens of `style` and some of its own.
    pub fn new(name: &'static str, style: &Style, traits: Traits) -> Self {
        let mut special: Vec<(&str, Kind)> = vec![
            ("<unk>", Kind::Unknown),
            ("<|pad|>", Kind::Control),
            ("<pad><eos>", Kind::Control),
            ("<eos>", Kind::Control),
            ("[PAD]", Kind::Control),
            ("<table>", Kind::UserDefined),
            ("</table>", Kind::UserDefined),
            ("\n\n\n", Kind::UserDefined),
            ("    ", Kind::UserDefined),
            ("3", Kind::UserDefined),
            ("<z>", Kind::UserDefined),
        ];
        special.extend(style.tokens.iter().map(|text| (*text, Kind::Control)));
        special.extend(style.markers.iter().map(|text| (*text, Kind::UserDefined)));
        let tokens: Vec<ControlToken> = special
            .into_iter()
            .zip(SPECIAL..)
            .map(|((text, kind), id)| ControlToken {
                id,
                text: text.to_owned(),
                kind,
                lstrip: traits.strip.0,
                rstrip: traits.strip.1,
            })
            .collect();
        let id_of = |text: &str| tokens.iter().find(|t| t.text == text).map(|t| t.id);
        let mut pieces: BTreeMap<String, u32> = PIECES
            .iter()
            .map(|piece| (*piece).to_owned())
            .zip(300..)
            .collect();
        if traits.merging {
            for token in &tokens {
                pieces.insert(token.text.clone(), token.id);
            }
        }
        Self {
            name,
            leading: id_of(style.bos).filter(|_| traits.bos),
            trailing: id_of(style.eos).filter(|_| traits.eos),
            longest: pieces.keys().map(String::len).max().unwrap(),
            pieces,
            tokens: ControlTokens::new(tokens),
            space_prefix: traits.space_prefix,
        }
    }

    fn spell(&self, text: &str, ids: &mut Vec<u32>) {
        let text = if self.space_prefix {
            format!(" {text}")
        } else {
            text.to_owned()
        };
        let mut at = 0;
        while at < text.len() {
            let found = (at + 1..=text.len().min(at + self.longest))
                .rev()
                .find_map(|end| Some((end, *self.pieces.get(text.get(at..end)?)?)));
            if let Some((end, id)) = found {
                ids.push(id);
                at = end;
            } else {
                ids.push(u32::from(text.as_bytes()[at]));
                at += 1;
                while !text.is_char_boundary(at) {
                    ids.push(u32::from(text.as_bytes()[at]));
                    at += 1;
                }
            }
        }
    }

    /// What llama.cpp gives for a text, with `add_special` false.
    pub fn llama(&self, text: &str, parse_special: bool) -> Vec<u32> {
        let mut ids = Vec::new();
        for fragment in st_partition(text, &self.tokens, parse_special) {
            match fragment {
                Fragment::Token(id) => ids.push(id),
                Fragment::Raw(range) => self.spell(&text[range], &mut ids),
            }
        }
        ids
    }

    /// What llama.cpp's chat code gives for a rendered prompt.
    pub fn reference(&self, rendered: &str, style: &Style) -> Vec<u32> {
        let mut text = rendered;
        if self.leading.is_some() {
            text = text.strip_prefix(style.bos).unwrap_or(text);
        }
        if self.trailing.is_some() {
            text = text.strip_suffix(style.eos).unwrap_or(text);
        }
        let mut ids: Vec<u32> = self.leading.into_iter().collect();
        ids.extend(self.llama(text, true));
        ids.extend(self.trailing);
        ids
    }

    /// The ids that stand for structure: control tokens and the markers of the style.
    pub fn structure(&self, ids: &[u32], style: &Style) -> Vec<u32> {
        let structural: Vec<u32> = self
            .tokens
            .iter()
            .filter(|token| {
                token.kind == Kind::Control || style.markers.contains(&token.text.as_str())
            })
            .map(|token| token.id)
            .collect();
        ids.iter()
            .copied()
            .filter(|id| structural.contains(id))
            .collect()
    }
}

impl Vocabulary for Fake {
    fn tokenize(&self, text: &str) -> Result<Vec<u32>, Untokenizable> {
        Ok(self.llama(text, false))
    }

    fn control_tokens(&self) -> &ControlTokens {
        &self.tokens
    }

    fn leading(&self) -> Option<u32> {
        self.leading
    }

    fn trailing(&self) -> Option<u32> {
        self.trailing
    }
}

/// Every kind of vocabulary, with the tokens of `style`.
pub fn fakes(style: &Style) -> Vec<Fake> {
    let plain = Traits::default();
    [
        ("bytes", plain),
        (
            "space prefix",
            Traits {
                space_prefix: true,
                bos: true,
                ..plain
            },
        ),
        (
            "merging",
            Traits {
                merging: true,
                space_prefix: true,
                ..plain
            },
        ),
        (
            "adds both",
            Traits {
                bos: true,
                eos: true,
                ..plain
            },
        ),
        (
            "strips right",
            Traits {
                strip: (false, true),
                bos: true,
                ..plain
            },
        ),
        (
            "strips both",
            Traits {
                strip: (true, true),
                space_prefix: true,
                ..plain
            },
        ),
    ]
    .into_iter()
    .map(|(name, traits)| Fake::new(name, style, traits))
    .collect()
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Fragment {
    Token(u32),
    Raw(Range<usize>),
}

/// `tokenizer_st_partition`, written after llama.cpp's loop over a list of fragments.
fn st_partition(text: &str, tokens: &ControlTokens, parse_special: bool) -> Vec<Fragment> {
    let mut fragments = Vec::new();
    if !text.is_empty() {
        fragments.push(Fragment::Raw(0..text.len()));
    }
    let space = |at: usize| b" \t\n\x0b\x0c\r".contains(&text.as_bytes()[at]);
    for token in tokens {
        if !parse_special && token.kind != Kind::UserDefined {
            continue;
        }
        let mut at = 0;
        while at < fragments.len() {
            let Fragment::Raw(Range { start, end }) = fragments[at] else {
                at += 1;
                continue;
            };
            let Some(found) = text[start..end].find(&token.text) else {
                at += 1;
                continue;
            };
            let found = start + found;
            let mut parts = Vec::new();
            let mut left = found;
            while token.lstrip && left > start && space(left - 1) {
                left -= 1;
            }
            if left > start {
                parts.push(Fragment::Raw(start..left));
            }
            parts.push(Fragment::Token(token.id));
            let mut right = found + token.text.len();
            while token.rstrip && right < end && space(right) {
                right += 1;
            }
            let next = at + parts.len();
            if right < end {
                parts.push(Fragment::Raw(right..end));
            }
            fragments.splice(at..=at, parts);
            at = next;
        }
    }
    fragments
}
