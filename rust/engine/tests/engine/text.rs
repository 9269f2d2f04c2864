//! From bytes to text: characters are whole, stop strings are held back.

use strongroom_engine::Text;

fn all(pieces: &[&[u8]], stops: &[&str]) -> (Vec<String>, bool) {
    let mut text = Text::new(stops.iter().map(|&stop| stop.to_owned()).collect());
    let mut sent: Vec<String> = pieces.iter().map(|piece| text.push(piece)).collect();
    let stopped = text.stopped();
    sent.push(text.finish());
    (sent, stopped)
}

#[test]
fn a_character_is_never_split() {
    let whole = "a¢€😀z";
    for size in 1..=whole.len() {
        let pieces: Vec<&[u8]> = whole.as_bytes().chunks(size).collect();
        let (sent, _) = all(&pieces, &[]);
        assert_eq!(sent.concat(), whole, "chunks of {size}");
        assert_eq!(sent.last().map(String::as_str), Some(""));
    }
}

#[test]
fn bytes_that_are_no_character_are_replaced_as_the_standard_says() {
    // Unicode, table 3-8: one U+FFFD per maximal subpart, which is what `from_utf8_lossy` does.
    let cases: &[&[u8]] = &[
        b"\xff",
        b"a\xc3(b",
        b"\xe2\x82",
        b"\xf0\x9f\x98",
        b"\xed\xa0\x80",
        b"\xc0\x80\xf4\x91\x92\x93\xff\x41\x80\xbf\x42",
        b"\xe2\x28\xa1ok",
    ];
    for bytes in cases {
        let expected = String::from_utf8_lossy(bytes).into_owned();
        for size in 1..=bytes.len() {
            let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
            assert_eq!(
                all(&pieces, &[]).0.concat(),
                expected,
                "{bytes:?} by {size}"
            );
        }
    }
}

#[test]
fn only_what_may_become_a_stop_string_is_held_back() {
    let (sent, stopped) = all(&[b"one E", b"N", b"t", b"wo END", b"more"], &["END"]);
    assert_eq!(sent, ["one ", "", "ENt", "wo ", "", ""]);
    assert!(stopped);
    let (sent, stopped) = all(&[b"ab", b"ab", b"c"], &["ababc", "abd"]);
    assert_eq!(sent, ["", "", "", ""]);
    assert!(stopped);
    let (sent, stopped) = all(&[b"abab", b"ab"], &["ababc"]);
    assert_eq!(sent, ["", "ab", "abab"]);
    assert!(!stopped);
}

#[test]
fn the_earliest_stop_string_counts() {
    let (sent, _) = all(&[b"xxbyycz"], &["c", "b"]);
    assert_eq!(sent.concat(), "xx");
    let (sent, _) = all(
        "ein Maß, halb"
            .as_bytes()
            .chunks(1)
            .collect::<Vec<_>>()
            .as_slice(),
        &["ß,"],
    );
    assert_eq!(sent.concat(), "ein Ma");
}
