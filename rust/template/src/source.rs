//! A template's source: its size, the tags that only trainers need, and its string literals.

use std::collections::BTreeSet;

use crate::error::TemplateError;

/// Rewrites the tags that transformers adds to Jinja and minijinja doesn't have: what stands
/// between `{% generation %}` and `{% endgeneration %}` is always written.
pub(crate) fn prepare(source: &str, limit: usize) -> Result<String, TemplateError> {
    if source.len() > limit {
        return Err(TemplateError::Limit("size of the source"));
    }
    let mut prepared = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let (before, tag) = rest.split_at(start);
        prepared.push_str(before);
        let end = tag.find("%}").map_or(tag.len(), |end| end + 2);
        let (tag, after) = tag.split_at(end);
        let name = tag
            .trim_start_matches("{%")
            .trim_end_matches("%}")
            .trim_matches(|c: char| c.is_whitespace() || c == '-' || c == '+');
        match name {
            "generation" => prepared.push_str(&tag.replacen(name, "if true", 1)),
            "endgeneration" => prepared.push_str(&tag.replacen(name, "endif", 1)),
            _ => prepared.push_str(tag),
        }
        rest = after;
    }
    prepared.push_str(rest);
    Ok(prepared)
}

/// The quoted strings of a template, simple escapes resolved; longer than one character, because
/// a template looks for those in content to cut it there.
///
/// Quotes in the text between tags make some of them wrong; a wrong one is merely a string that
/// nobody looks for.
pub(crate) fn literals(source: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for quote in ['\'', '"'] {
        for tag in source.split(['{', '}']).filter(|tag| tag.contains(quote)) {
            let mut literal: Option<String> = None;
            let mut chars = tag.chars();
            while let Some(c) = chars.next() {
                match (&mut literal, c) {
                    (None, c) if c == quote => literal = Some(String::new()),
                    (None, _) => {}
                    (Some(text), c) if c == quote => {
                        if text.trim().chars().count() > 1 {
                            found.insert(std::mem::take(text));
                        }
                        literal = None;
                    }
                    (Some(text), '\\') => match chars.next() {
                        Some('n') => text.push('\n'),
                        Some('t') => text.push('\t'),
                        Some('r') => text.push('\r'),
                        Some(c) => text.push(c),
                        None => {}
                    },
                    (Some(text), c) => text.push(c),
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn generation_tags_keep_their_white_space_control() {
        assert_eq!(
            prepare("a{%- generation -%}b{% endgeneration +%}c{% if x %}", 100).unwrap(),
            "a{%- if true -%}b{% endif +%}c{% if x %}"
        );
        assert_eq!(prepare("open {% generation", 100).unwrap(), "open {% if true");
    }

    #[test]
    fn a_source_over_the_limit_is_refused() {
        assert_eq!(prepare("12345", 5).unwrap(), "12345");
        assert_eq!(
            prepare("123456", 5),
            Err(TemplateError::Limit("size of the source"))
        );
    }

    #[test]
    fn literals_are_found_in_either_quotes_with_escapes() {
        let found = literals(r#"{{ x.split('</a>\n')[0] ~ "it's" }} don't {% if "b\"c" in y %}"#);
        for literal in ["</a>\n", "it's", "b\"c"] {
            assert!(found.contains(literal), "{literal:?} in {found:?}");
        }
    }
}
