//! Marks: stand-ins for the characters of content, so that what a template writes of it can be
//! told from what the template writes itself.
//!
//! Every distinct character of the conversation gets a private-use character of planes 15 and 16
//! that occurs neither in the conversation nor in the template. The mapping is one to one, so what
//! was rendered with marks can be read back, and nothing that a template can do to a mark (case,
//! escapes, slices, joins) makes the original character of it.

use std::collections::{BTreeMap, BTreeSet};

use strongroom_protocol::Role;

use crate::environment::Turn;

/// The private-use planes without their two noncharacters each.
const PRIVATE: [std::ops::RangeInclusive<char>; 2] =
    ['\u{F0000}'..='\u{FFFFD}', '\u{10_0000}'..='\u{10_FFFD}'];

/// White space that templates trim as any other and compare with none.
const SPACES: &str = "\u{2000}\u{2001}\u{2002}\u{2003}\u{2004}\u{2005}\u{2006}\u{2008}\u{2009}\
                      \u{200A}\u{205F}\u{3000}\u{1680}\u{2028}\u{2029}";

/// Which characters of content are marked.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Marking<'a> {
    /// All of them, white space included.
    WholeAndSpaces,
    /// All but white space.
    Whole,
    /// Only these characters: punctuation that control tokens are spelled with.
    Spelling(&'a BTreeSet<char>),
    /// As `Whole`, without the strings that the template itself looks for; in assistants' messages
    /// only, or in all.
    Sparing(&'a [String], &'a [Role]),
}

/// A one-to-one mapping of a conversation's characters to marks.
#[derive(Debug)]
pub(crate) struct Marks {
    marks: BTreeMap<char, char>,
    origins: BTreeMap<char, char>,
}

impl Marks {
    /// Marks for every character of `turns`, none of which occurs in them or in `scaffold`;
    /// `None` if there are more distinct characters than marks. White space has marks only as far
    /// as they reach.
    pub(crate) fn new(turns: &[Turn], scaffold: &[&str]) -> Option<Self> {
        let characters: BTreeSet<char> = turns
            .iter()
            .flat_map(|turn| {
                turn.content
                    .chars()
                    .chain(turn.name.iter().flat_map(|n| n.chars()))
            })
            .collect();
        let taken: BTreeSet<char> = scaffold
            .iter()
            .flat_map(|text| text.chars())
            .chain(characters.iter().copied())
            .filter(|c| PRIVATE.iter().any(|plane| plane.contains(c)) || SPACES.contains(*c))
            .collect();
        let mut free = PRIVATE.into_iter().flatten().filter(|c| !taken.contains(c));
        let mut free_spaces = SPACES.chars().filter(|c| !taken.contains(c));
        let mut marks = BTreeMap::new();
        for c in characters {
            if c.is_whitespace() {
                if let Some(mark) = free_spaces.next() {
                    marks.insert(c, mark);
                }
            } else {
                marks.insert(c, free.next()?);
            }
        }
        let origins = marks.iter().map(|(c, mark)| (*mark, *c)).collect();
        Some(Self { marks, origins })
    }

    /// The conversation, marked.
    pub(crate) fn apply(&self, turns: &[Turn], marking: Marking) -> Vec<Turn> {
        turns
            .iter()
            .map(|turn| Turn {
                role: turn.role,
                content: self.mark(&turn.content, turn.role, marking),
                name: turn
                    .name
                    .as_ref()
                    .map(|name| self.mark(name, turn.role, marking)),
            })
            .collect()
    }

    fn mark(&self, text: &str, role: Role, marking: Marking) -> String {
        let one = |c: char| self.marks.get(&c).copied().unwrap_or(c);
        let visible = |c: char| if c.is_whitespace() { c } else { one(c) };
        match marking {
            Marking::WholeAndSpaces => text.chars().map(one).collect(),
            Marking::Whole => text.chars().map(visible).collect(),
            Marking::Spelling(alphabet) => text
                .chars()
                .map(|c| if alphabet.contains(&c) { one(c) } else { c })
                .collect(),
            Marking::Sparing(_, roles) if !roles.contains(&role) => {
                text.chars().map(visible).collect()
            }
            Marking::Sparing(literals, _) => {
                let mut spared = vec![false; text.len()];
                for literal in literals {
                    for (at, found) in text.match_indices(literal.as_str()) {
                        spared[at..at + found.len()].fill(true);
                    }
                }
                text.char_indices()
                    .map(|(at, c)| if spared[at] { c } else { visible(c) })
                    .collect()
            }
        }
    }

    /// What was rendered with marks, without them, and which of its bytes were marked.
    pub(crate) fn remove(&self, rendered: &str) -> (String, Vec<bool>) {
        let mut text = String::with_capacity(rendered.len());
        let mut marked = Vec::with_capacity(rendered.len());
        for c in rendered.chars() {
            let origin = self.origins.get(&c).copied();
            text.push(origin.unwrap_or(c));
            marked.resize(text.len(), origin.is_some());
        }
        (text, marked)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn turn(content: &str) -> Turn {
        Turn {
            role: Role::User,
            content: content.to_owned(),
            name: Some("Zoë".to_owned()),
        }
    }

    #[test]
    fn every_marking_can_be_read_back() {
        let content = "a <b>\u{F0000}\u{10FFFD}\n\u{2003}𝄞 b";
        let turns = [turn(content)];
        let marks = Marks::new(&turns, &["\u{F0001}"]).unwrap();
        let alphabet = BTreeSet::from(['<', '>']);
        let literals = ["<b>".to_owned()];
        for (marking, visible) in [
            (Marking::WholeAndSpaces, ""),
            (Marking::Whole, " \n\u{2003} "),
            (
                Marking::Spelling(&alphabet),
                "a b\u{F0000}\u{10FFFD}\n\u{2003}𝄞 b",
            ),
            (Marking::Sparing(&literals, &Role::ALL), " <b>\n\u{2003} "),
            (Marking::Sparing(&literals, &[Role::Tool]), " \n\u{2003} "),
        ] {
            let rendered = &marks.apply(&turns, marking)[0].content;
            let (text, marked) = marks.remove(rendered);
            assert_eq!(text, content, "{marking:?}");
            let unmarked: String = text
                .char_indices()
                .filter_map(|(at, c)| (!marked[at]).then_some(c))
                .collect();
            assert_eq!(unmarked, visible, "{marking:?}");
        }
    }

    #[test]
    fn no_mark_occurs_in_the_conversation_or_the_scaffold() {
        let taken = "\u{F0000}\u{F0001}x\u{F0003}";
        let turns = [turn(taken)];
        let marks = Marks::new(&turns, &["\u{F0002}"]).unwrap();
        for mark in marks.origins.keys() {
            assert!(!taken.contains(*mark) && *mark != '\u{F0002}');
        }
    }

    #[test]
    fn more_characters_than_marks_are_refused() {
        let all: String = ('\u{0}'..='\u{10FFFF}').take(140_000).collect();
        assert!(Marks::new(&[turn(&all)], &[]).is_none());
        let enough: String = all.chars().take(100_000).collect();
        assert!(Marks::new(&[turn(&enough)], &[]).is_some());
    }
}
