//! Text of strangers, as messages show it.

/// Characters of it that a message shows.
const SHOWN: usize = 120;

/// One line of printable characters, cut where it is long.
pub(crate) fn shown(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(SHOWN)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_long_text_is_cut() {
        assert_eq!(shown("a\n\u{1b}[2J"), "a\\n\\u{1b}[2J");
        assert_eq!(shown(&"é".repeat(500)).chars().count(), SHOWN + 1);
        assert_eq!(shown("plain"), "plain");
    }
}
