//! From a conversation to tokens.
//!
//! The conversation is rendered plainly and with its content [marked](crate::mark). If both say
//! the same, every byte of the plain text is known to be the scaffold's or content's, and control
//! tokens are accepted where no content is. No character of content but white space is then part
//! of a control token, because every one of them went into the template as a mark.
//!
//! Some templates look at content: they cut an assistant's reasoning away, quote JSON, change
//! case. Marks hide from them what they look for, and the two renderings differ. For those, less
//! is marked, by one rule after the other, until the renderings agree; but then the control tokens
//! must be the very sequence of the rendering in which everything was marked. So whatever the rule,
//! what content says neither adds a control token, nor removes one, nor puts another in its place.

use std::collections::BTreeSet;

use strongroom_protocol::Role;

use crate::environment::{Clock, Parsed, Turn};
use crate::error::TemplateError;
use crate::mark::{Marking, Marks};
use crate::partition::{Marked, Protected, Segment, occurrences, partition};
use crate::vocabulary::{ControlTokens, Kind, Untokenizable, Vocabulary};

pub(crate) fn encode(
    template: &Parsed,
    turns: &[Turn],
    vocabulary: &dyn Vocabulary,
    clock: Clock,
) -> Result<Vec<u32>, TemplateError> {
    let conversation = Conversation {
        template,
        turns,
        vocabulary,
        tokens: vocabulary.control_tokens(),
        clock,
    };
    let plain = template.render(turns, clock)?;
    let parts = conversation.attribute(&plain)?;

    let mut ids: Vec<u32> = vocabulary.leading().into_iter().collect();
    let speller = Speller::new(vocabulary, &parts.protected);
    for segment in &parts.segments {
        clock.check()?;
        match segment {
            Segment::Token(at) => ids.push(vocabulary.control_tokens().get(*at).id),
            Segment::Text(range) => speller.spell(&plain[range.clone()], &mut ids)?,
        }
    }
    ids.extend(vocabulary.trailing());
    Ok(ids)
}

/// The plain rendering, cut.
struct Parts {
    segments: Vec<Segment>,
    protected: Protected,
}

struct Conversation<'a> {
    template: &'a Parsed,
    turns: &'a [Turn],
    vocabulary: &'a dyn Vocabulary,
    tokens: &'a ControlTokens,
    clock: Clock,
}

impl Conversation<'_> {
    /// Finds out which of `plain` is content, and cuts it at the scaffold's control tokens.
    fn attribute(&self, plain: &str) -> Result<Parts, TemplateError> {
        let scaffold = self.template.scaffold();
        let marks = Marks::new(self.turns, &scaffold)
            .ok_or(TemplateError::Limit("distinct characters in the messages"))?;

        let spaced = self
            .tokens
            .iter()
            .any(|token| token.kind == Kind::Control && token.text.contains(char::is_whitespace));
        if spaced
            && let Some((text, marked)) = self.marked(&marks, Marking::WholeAndSpaces)?
            && text == plain
        {
            let text = Marked {
                text: plain,
                content: &marked,
                spaces: true,
            };
            let protected = Protected::new(self.tokens, text, &scaffold);
            let segments = self.cut(text, &protected)?;
            return Ok(Parts {
                segments,
                protected,
            });
        }

        let (text, marked) = self
            .marked(&marks, Marking::Whole)?
            .ok_or(TemplateError::HidesContent)?;
        let whole = Marked {
            text: &text,
            content: &marked,
            spaces: !spaced,
        };
        let protected = Protected::new(self.tokens, whole, &scaffold);
        let segments = self.cut(whole, &protected)?;
        if text == plain {
            return Ok(Parts {
                segments,
                protected,
            });
        }
        let sequence = accepted(&segments, &protected);

        let alphabet = alphabet(self.tokens, &protected);
        let literals = self.spared();
        let rules = [
            alphabet.as_ref().map(Marking::Spelling),
            Some(Marking::Sparing(&literals, &[Role::Assistant])),
            Some(Marking::Sparing(&literals, &Role::ALL)),
        ];
        for rule in rules.into_iter().flatten() {
            let Some((text, marked)) = self.marked(&marks, rule)? else {
                continue;
            };
            if text != plain {
                continue;
            }
            let text = Marked {
                text: plain,
                content: &marked,
                spaces: !spaced,
            };
            let segments = self.cut(text, &protected)?;
            if accepted(&segments, &protected) == sequence {
                return Ok(Parts {
                    segments,
                    protected,
                });
            }
        }
        Err(TemplateError::HidesContent)
    }

    /// The conversation rendered with marks: its text without them, and what they covered. `None`
    /// if the template fails on the marks, which it didn't on what they stand for.
    fn marked(
        &self,
        marks: &Marks,
        rule: Marking,
    ) -> Result<Option<(String, Vec<bool>)>, TemplateError> {
        let turns = marks.apply(self.turns, rule);
        match self.template.render(&turns, self.clock) {
            Ok(rendered) => Ok(Some(marks.remove(&rendered))),
            Err(TemplateError::Failed(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The segments, without the BOS and EOS that the scaffold wrote though the vocabulary adds
    /// them: llama.cpp's chat code takes those off too.
    fn cut(&self, text: Marked, protected: &Protected) -> Result<Vec<Segment>, TemplateError> {
        let (bos, eos) = (self.template.bos(), self.template.eos());
        let mut range = 0..text.text.len();
        if self.vocabulary.leading().is_some()
            && text.text.starts_with(bos)
            && !text.content[..bos.len()].contains(&true)
        {
            range.start = bos.len();
        }
        if self.vocabulary.trailing().is_some()
            && text.text[range.start..].ends_with(eos)
            && !text.content[range.end - eos.len()..].contains(&true)
        {
            range.end -= eos.len();
        }
        let inner = Marked {
            text: &text.text[range.clone()],
            content: &text.content[range.clone()],
            spaces: text.spaces,
        };
        let segments = partition(inner, self.tokens, protected, self.clock)?;
        Ok(segments
            .into_iter()
            .map(|segment| match segment {
                Segment::Text(part) => {
                    Segment::Text(part.start + range.start..part.end + range.start)
                }
                token @ Segment::Token(_) => token,
            })
            .collect())
    }

    /// The strings that the template may look for in content, as far as content has them. None of
    /// them can be a part of a control token, whatever stands beside it.
    fn spared(&self) -> Vec<String> {
        self.template
            .literals()
            .filter(|literal| {
                self.turns
                    .iter()
                    .any(|turn| turn.content.contains(*literal))
                    && self
                        .tokens
                        .iter()
                        .filter(|token| token.kind == Kind::Control)
                        .all(|token| !touch(&token.text, literal))
            })
            .map(str::to_owned)
            .collect()
    }
}

/// The protected tokens among the segments.
fn accepted(segments: &[Segment], protected: &Protected) -> Vec<usize> {
    segments
        .iter()
        .filter_map(|segment| match segment {
            Segment::Token(at) if protected.contains(*at) => Some(*at),
            _ => None,
        })
        .collect()
}

/// The punctuation of the protected tokens; `None` if one of them has none, so that marking
/// punctuation wouldn't show it.
fn alphabet(tokens: &ControlTokens, protected: &Protected) -> Option<BTreeSet<char>> {
    let punctuation = |c: &char| !c.is_alphanumeric() && !c.is_whitespace();
    let mut alphabet = BTreeSet::new();
    for (at, token) in tokens.iter().enumerate() {
        if protected.contains(at) {
            if !token.text.contains(|c| punctuation(&c)) {
                return None;
            }
            alphabet.extend(token.text.chars().filter(punctuation));
        }
    }
    Some(alphabet)
}

/// Whether an occurrence of one text can share a character with an occurrence of the other.
fn touch(a: &str, b: &str) -> bool {
    let joined = |left: &str, right: &str| {
        left.char_indices()
            .any(|(at, _)| right.starts_with(&left[at..]))
    };
    a.contains(b) || b.contains(a) || joined(a, b) || joined(b, a)
}

/// Tokenizes plain text, and makes sure that plain is what comes of it.
struct Speller<'a> {
    vocabulary: &'a dyn Vocabulary,
    protected: &'a Protected,
    /// The ids that must not come of it.
    forbidden: BTreeSet<u32>,
}

impl<'a> Speller<'a> {
    fn new(vocabulary: &'a dyn Vocabulary, protected: &'a Protected) -> Self {
        let forbidden = vocabulary
            .control_tokens()
            .iter()
            .enumerate()
            // Characters that a vocabulary doesn't know become its unknown token.
            .filter(|(at, token)| protected.contains(*at) && token.kind != Kind::Unknown)
            .map(|(_, token)| token.id)
            .collect();
        Self {
            vocabulary,
            protected,
            forbidden,
        }
    }

    /// Appends the ids of `text`, none of which is forbidden.
    fn spell(&self, text: &str, ids: &mut Vec<u32>) -> Result<(), Untokenizable> {
        let start = ids.len();
        let tokens = self.vocabulary.control_tokens();
        let mut apart = tokens.spelled_in(text);
        apart.retain(|at| self.protected.contains(*at));
        // llama.cpp parses user-defined tokens even here.
        let (parsed, others): (Vec<usize>, Vec<usize>) = apart
            .iter()
            .partition(|at| tokens.get(**at).kind == Kind::UserDefined);
        self.pieces(text, &parsed, ids)?;
        if self.is_plain(&ids[start..]) {
            return Ok(());
        }
        if others.is_empty() {
            return Err(Untokenizable);
        }
        // Some tokenizers merge letters until they are a control token.
        ids.truncate(start);
        self.pieces(text, &apart, ids)?;
        if self.is_plain(&ids[start..]) {
            Ok(())
        } else {
            Err(Untokenizable)
        }
    }

    /// Tokenizes `text` in pieces, cut so that none holds all of an occurrence of the tokens at
    /// these positions.
    fn pieces(&self, text: &str, apart: &[usize], ids: &mut Vec<u32>) -> Result<(), Untokenizable> {
        let tokens = self.vocabulary.control_tokens();
        let mut found: Vec<_> = apart
            .iter()
            .flat_map(|at| occurrences(text, &tokens.get(*at).text, 0))
            .collect();
        found.sort_by_key(|found| found.end);
        let mut start = 0;
        for found in found {
            let last = text[found.clone()].char_indices().next_back();
            // The last cut that still splits it splits most of those that overlap it too.
            let cut = found.start + last.map_or(0, |(at, _)| at);
            if found.start >= start && cut > start {
                ids.extend(self.vocabulary.tokenize(&text[start..cut])?);
                start = cut;
            }
        }
        if start < text.len() {
            ids.extend(self.vocabulary.tokenize(&text[start..])?);
        }
        Ok(())
    }

    fn is_plain(&self, ids: &[u32]) -> bool {
        ids.iter().all(|id| !self.forbidden.contains(id))
    }
}
