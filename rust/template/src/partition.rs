//! Cutting a rendered conversation at its control tokens, as llama.cpp's `tokenizer_st_partition`
//! does with `parse_special`, except where content would be one.

use std::ops::Range;

use crate::environment::Clock;
use crate::error::TemplateError;
use crate::vocabulary::{ControlToken, ControlTokens, Kind};

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Segment {
    /// The control token at this position of [`ControlTokens::iter`].
    Token(usize),
    /// Bytes to tokenize as plain text.
    Text(Range<usize>),
}

/// A text and whose it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Marked<'a> {
    pub(crate) text: &'a str,
    /// For each byte, whether it is content.
    pub(crate) content: &'a [bool],
    /// Whether white space that isn't marked is the scaffold's.
    pub(crate) spaces: bool,
}

/// For each control token, whether content must not become it.
#[derive(Debug)]
pub(crate) struct Protected(Vec<bool>);

impl Protected {
    /// All but the user-defined tokens that the scaffold doesn't use: neither in `rendered`, where
    /// no content is, nor in the texts that the `scaffold` is known to be made of.
    ///
    /// llama.cpp parses user-defined tokens even out of plain text. Where the scaffold doesn't use
    /// them they carry no structure, and content keeps the ids that llama.cpp gives it: runs of
    /// white space, digits, HTML tags. The same holds for those that look like no marker at all.
    pub(crate) fn new(tokens: &ControlTokens, rendered: Marked, scaffold: &[&str]) -> Self {
        let mut protected: Vec<bool> = tokens
            .iter()
            .map(|token| token.kind != Kind::UserDefined)
            .collect();
        for text in scaffold {
            for at in tokens.spelled_in(text) {
                protected[at] |= is_marker(&tokens.get(at).text);
            }
        }
        for at in tokens.spelled_in(rendered.text) {
            let text = &tokens.get(at).text;
            protected[at] |= is_marker(text)
                && occurrences(rendered.text, text, 0)
                    .any(|found| !rendered.content[found].contains(&true));
        }
        Self(protected)
    }

    pub(crate) fn contains(&self, at: usize) -> bool {
        self.0[at]
    }
}

/// More than one character, and not only letters, digits and white space.
fn is_marker(text: &str) -> bool {
    text.chars().nth(1).is_some()
        && !text
            .chars()
            .all(|c| c.is_alphanumeric() || c.is_whitespace())
}

/// Where `what` stands in `text` from a byte on, overlapping ones included.
pub(crate) fn occurrences<'a>(
    text: &'a str,
    what: &'a str,
    from: usize,
) -> impl Iterator<Item = Range<usize>> + 'a {
    let step = what.chars().next().map_or(1, char::len_utf8);
    let mut from = from;
    std::iter::from_fn(move || {
        let start = from + text.get(from..)?.find(what)?;
        from = start + step;
        Some(start..start + what.len())
    })
}

/// The segments of `text`, whose pieces of plain text spell no control token but refused ones.
///
/// # Errors
/// [`TemplateError::HidesContent`] if white space of unknown origin would be part of a control
/// token, [`TemplateError::Limit`] at the deadline.
pub(crate) fn partition(
    text: Marked,
    tokens: &ControlTokens,
    protected: &Protected,
    clock: Clock,
) -> Result<Vec<Segment>, TemplateError> {
    let spelled = tokens.spelled_in(text.text);
    let judge = Judge {
        text,
        reserved: reserved(text, tokens, protected, &spelled),
    };
    let mut segments = Vec::new();
    if !text.text.is_empty() {
        segments.push(Segment::Text(0..text.text.len()));
    }
    for at in spelled {
        clock.check()?;
        let token = tokens.get(at);
        let mut next = Vec::with_capacity(segments.len());
        for segment in segments {
            let Segment::Text(mut range) = segment else {
                next.push(segment);
                continue;
            };
            let mut from = range.start;
            while let Some(found) = occurrences(&text.text[..range.end], &token.text, from).next() {
                if !judge.accepts(token, protected.contains(at), &found)? {
                    from = found.start
                        + text.text[found.start..]
                            .chars()
                            .next()
                            .map_or(1, char::len_utf8);
                    continue;
                }
                let left = range.start..stripped_end(text.text, range.start..found.start, token);
                if !left.is_empty() {
                    next.push(Segment::Text(left));
                }
                next.push(Segment::Token(at));
                range.start = stripped_start(text.text, found.end..range.end, token);
                from = range.start;
            }
            if !range.is_empty() {
                next.push(Segment::Text(range));
            }
        }
        segments = next;
    }
    Ok(segments)
}

/// Decides whether a token's text, found somewhere, is the token.
struct Judge<'a> {
    text: Marked<'a>,
    /// Bytes of control tokens that the scaffold wrote.
    reserved: Vec<bool>,
}

impl Judge<'_> {
    fn accepts(
        &self,
        token: &ControlToken,
        protected: bool,
        found: &Range<usize>,
    ) -> Result<bool, TemplateError> {
        let content = self.text.content[found.clone()].contains(&true);
        if !protected {
            // Content may be this one, but not at the price of one that the scaffold wrote.
            return Ok(!content || !self.reserved[found.clone()].contains(&true));
        }
        if content {
            return Ok(false);
        }
        if token.kind == Kind::Control
            && !self.text.spaces
            && token.text.contains(char::is_whitespace)
        {
            return Err(TemplateError::HidesContent);
        }
        Ok(true)
    }
}

fn reserved(
    text: Marked,
    tokens: &ControlTokens,
    protected: &Protected,
    spelled: &[usize],
) -> Vec<bool> {
    let mut reserved = vec![false; text.text.len()];
    for at in spelled.iter().filter(|at| protected.contains(**at)) {
        for found in occurrences(text.text, &tokens.get(*at).text, 0) {
            if !text.content[found.clone()].contains(&true) {
                reserved[found].fill(true);
            }
        }
    }
    reserved
}

/// C's `isspace` in the C locale.
const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

fn stripped_end(text: &str, left: Range<usize>, token: &ControlToken) -> usize {
    let spaces = text.as_bytes()[left.clone()]
        .iter()
        .rev()
        .take_while(|byte| token.lstrip && is_space(**byte))
        .count();
    left.end - spaces
}

fn stripped_start(text: &str, right: Range<usize>, token: &ControlToken) -> usize {
    let spaces = text.as_bytes()[right.clone()]
        .iter()
        .take_while(|byte| token.rstrip && is_space(**byte))
        .count();
    right.start + spaces
}
