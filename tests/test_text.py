import unicodedata

import pytest

from strongroom.text import printable, utf8_size


def test_sizes_are_of_utf8() -> None:
    assert utf8_size("") == 0
    assert utf8_size("aü€🔒") == 1 + 2 + 3 + 4
    assert utf8_size("\ud800") is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ünïcode 🔒\n\ttext", "plain ünïcode 🔒\n\ttext"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\rb", "a\\rb"),
        ("\x9b2J", "\\x9b2J"),
        ("\x00\x07\x08\x7f", "\\x00\\x07\\x08\\x7f"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\u2028\udc80", "\\u2028\\udc80"),
    ],
)
def test_what_a_terminal_would_obey_is_shown_instead(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_nothing_but_what_is_kept_passes() -> None:
    everything = "".join(map(chr, range(0x3000)))
    passed = printable(everything, keep="")
    assert not [c for c in passed if unicodedata.category(c) in {"Cc", "Zl", "Zp", "Cs"}]
    assert "\u202e" not in passed
