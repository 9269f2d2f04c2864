//! A template's source before it is parsed: its size, the depth that its expressions may have, the
//! tags that only trainers need, and its string literals.

use std::collections::BTreeSet;
use std::ops::Range;

use minijinja::machinery::{Token, tokenize};
use minijinja::syntax::SyntaxConfig;

use crate::error::TemplateError;

/// Most tokens between the braces of one tag. minijinja's parser follows chains of operators
/// without a bound of its own, and its tree is as deep as the chain is long.
const TAG: usize = 1_000;

/// Most `elif` in one template: each is a level of that tree too.
const BRANCHES: usize = 200;

/// The filter that what a template keeps in a namespace goes through. Namespaces are the one place
/// where values can grow into each other from one turn of a loop to the next; held values can't.
pub(crate) const HELD: &str = "strongroom_held";

/// A source that is safe to parse.
#[derive(Debug, Default)]
pub(crate) struct Source {
    /// The source, in what minijinja has of Jinja.
    pub(crate) text: String,
    /// Its quoted strings that are longer than one character: those that a template may look for
    /// in content, to cut it there.
    pub(crate) literals: BTreeSet<String>,
    /// How much of the original is in `text`.
    copied: usize,
}

/// The tag that is being read.
#[derive(Default)]
struct Tag {
    /// Tokens so far.
    length: usize,
    /// Whether it is a statement.
    statement: bool,
    set: Set,
}

/// Where in a `{% set namespace.attribute = value %}` the reading is.
#[derive(Default)]
enum Set {
    /// In something else.
    #[default]
    No,
    /// In the target; whether it is an attribute.
    Target(bool),
    /// In the value, this many parentheses deep.
    Value(usize),
}

impl Source {
    /// Reads `text`. What stands between transformers' `{% generation %}` and
    /// `{% endgeneration %}` is always written.
    pub(crate) fn read(
        text: &str,
        limit: usize,
        syntax: SyntaxConfig,
    ) -> Result<Self, TemplateError> {
        if text.len() > limit {
            return Err(TemplateError::Limit("size of the source"));
        }
        let mut source = Self::default();
        let (mut tag, mut branches) = (Tag::default(), 0);
        for token in tokenize(text, false, syntax) {
            let (token, span) = token.map_err(|error| TemplateError::syntax(&error))?;
            let (start, end) = (span.start_offset as usize, span.end_offset as usize);
            let first = tag.statement && tag.length == 1;
            match (&token, first) {
                (Token::Ident("generation"), true) => source.replace(text, start..end, "if true"),
                (Token::Ident("endgeneration"), true) => source.replace(text, start..end, "endif"),
                (Token::Ident("elif"), true) => branches += 1,
                (Token::Str(literal), _) => source.keep(literal),
                (Token::String(literal), _) => source.keep(literal),
                _ => {}
            }
            tag.set = match (tag.set, &token) {
                (Set::No, Token::Ident("set")) if first => Set::Target(false),
                (Set::Target(_), Token::Dot) => Set::Target(true),
                (Set::Target(true), Token::Assign) => {
                    source.replace(text, end..end, "(");
                    Set::Value(0)
                }
                (Set::Target(true), Token::Pipe) => {
                    return Err(TemplateError::Syntax(
                        "no filter can be set on a namespace's attribute".to_owned(),
                    ));
                }
                (Set::Target(false), Token::Assign) => Set::No,
                (Set::Value(depth), Token::ParenOpen) => Set::Value(depth + 1),
                (Set::Value(depth), Token::ParenClose) => {
                    let depth = depth.checked_sub(1);
                    Set::Value(depth.ok_or_else(|| {
                        TemplateError::Syntax("unbalanced parentheses".to_owned())
                    })?)
                }
                (Set::Value(_), Token::BlockEnd) => {
                    source.replace(text, start..start, &format!(") | {HELD} "));
                    Set::No
                }
                (set, _) => set,
            };
            match token {
                Token::VariableStart | Token::BlockStart => {
                    tag = Tag {
                        length: 1,
                        statement: matches!(token, Token::BlockStart),
                        set: Set::No,
                    };
                }
                Token::TemplateData(_) | Token::VariableEnd | Token::BlockEnd => {
                    tag = Tag::default();
                }
                _ => tag.length += 1,
            }
            if tag.length > TAG || branches > BRANCHES {
                return Err(TemplateError::Limit("length of an expression"));
            }
        }
        source.replace(text, text.len()..text.len(), "");
        Ok(source)
    }

    /// Copies the original up to `range`, and `new` instead of that.
    fn replace(&mut self, text: &str, range: Range<usize>, new: &str) {
        self.text.push_str(&text[self.copied..range.start]);
        self.text.push_str(new);
        self.copied = range.end;
    }

    fn keep(&mut self, literal: &str) {
        if literal.trim().chars().nth(1).is_some() {
            self.literals.insert(literal.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &str, limit: usize) -> Result<Source, TemplateError> {
        Source::read(text, limit, SyntaxConfig::default())
    }

    #[test]
    fn generation_tags_keep_their_white_space_control() {
        let text = "a{%- generation -%}b{% endgeneration +%}c{% if x %}{{ generation }}ü";
        assert_eq!(
            read(text, 100).unwrap().text,
            "a{%- if true -%}b{% endif +%}c{% if x %}{{ generation }}ü"
        );
        let quoted =
            "{# {% generation %} #}{% raw %}{% generation %}{% endraw %}{{ '{% generation %}' }}";
        assert_eq!(read(quoted, 100).unwrap().text, quoted);
    }

    #[test]
    fn what_a_namespace_keeps_is_held() {
        assert_eq!(
            read(
                "{% set ns.x = (1), 2 -%}{% set x = ns.y == 1 %}{% set ns.z %}a{% endset %}",
                200
            )
            .unwrap()
            .text,
            "{% set ns.x =( (1), 2 ) | strongroom_held -%}{% set x = ns.y == 1 %}{% set ns.z %}a{% endset %}"
        );
        for refused in [
            "{% set ns.x = 1) + (2 %}",
            "{% set ns.x | default([1]) %}{% endset %}",
        ] {
            assert!(
                matches!(read(refused, 200), Err(TemplateError::Syntax(_))),
                "{refused}"
            );
        }
    }

    #[test]
    fn a_source_over_the_limit_is_refused() {
        assert_eq!(read("12345", 5).unwrap().text, "12345");
        let error = read("123456", 5).unwrap_err();
        assert_eq!(error, TemplateError::Limit("size of the source"));
    }

    #[test]
    fn literals_are_found_in_either_quotes_with_escapes() {
        let text = r#"{{ x.split('</a>\n')[0] ~ "it's" }} don't {% if "b\"c" in 'y' %}"#;
        let found: Vec<_> = read(text, 100).unwrap().literals.into_iter().collect();
        assert_eq!(found, ["</a>\n", "b\"c", "it's"]);
    }
}
