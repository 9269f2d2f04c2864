"""Text that strangers wrote: measured without keeping it, shown without obeying it."""

__all__ = ["printable", "utf8_size"]

BIDIRECTIONAL = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Marks that reorder the text around them."""


def utf8_size(text: str) -> int | None:
    """Return the length in bytes of UTF-8; None for text with lone surrogates, which has no encoding."""
    try:
        return len(text.encode())
    except UnicodeEncodeError:  # holds the text: it must not travel further
        return None


def is_control(character: str) -> bool:
    """Whether a terminal, or a reader's eye, would obey a character instead of showing it."""
    code = ord(character)
    return (
        code < 0x20
        or 0x7F <= code <= 0x9F
        or 0xD800 <= code <= 0xDFFF
        or code in {0x2028, 0x2029}
        or character in BIDIRECTIONAL
    )


def printable(text: str, keep: str = "\n\t") -> str:
    r"""Return `text` with every control character, but for those in `keep`, as `\x1b` or `\u202e`."""
    if text.isprintable():
        return text
    return "".join(
        character if character in keep or not is_control(character) else ascii(character)[1:-1]
        for character in text
    )
