//! A worker's words, made fit for an error message or a terminal.

use strongroom_protocol::{Fault, Report};

/// Longest detail of a layer, in bytes, as the protocol says.
const MAX_LAYER_DETAIL: usize = 200;

/// At most `bound` bytes of `text`, with everything escaped that doesn't print as itself: control
/// characters, and those that reorder or hide others.
pub(crate) fn printable(text: &str, bound: usize) -> String {
    let mut out = String::with_capacity(text.len().min(bound));
    for character in text.chars() {
        let before = out.len();
        match character {
            '"' | '\'' => out.push(character),
            _ => out.extend(character.escape_debug()),
        }
        if out.len() > bound {
            out.truncate(before);
            break;
        }
    }
    out
}

/// The same fault with a printable detail.
pub(crate) fn fault(fault: &Fault) -> Fault {
    Fault::new(fault.code, printable(&fault.detail, Fault::MAX_DETAIL))
}

/// The same report with printable details.
pub(crate) fn report(mut report: Report) -> Report {
    for layer in &mut report.layers {
        layer.detail = printable(&layer.detail, MAX_LAYER_DETAIL);
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_prints_stays() {
        assert_eq!(printable("it's \"4\" μs", 100), "it's \"4\" μs");
    }

    #[test]
    fn what_could_steer_a_terminal_or_hide_text_is_escaped() {
        assert_eq!(printable("a\x1b[2J\r\n", 100), "a\\u{1b}[2J\\r\\n");
        assert_eq!(printable("a\u{202e}b\u{200b}", 100), "a\\u{202e}b\\u{200b}");
    }

    #[test]
    fn the_bound_counts_bytes_and_cuts_between_characters() {
        assert_eq!(printable("ééé", 5), "éé");
        assert_eq!(printable("aaaa\n", 5), "aaaa");
        assert_eq!(printable("", 0), "");
    }
}
