"""The words of a policy: one spelling each, and nothing that could be meant in two ways."""

from collections.abc import Callable
from typing import Any

import pytest

from strongroom import SettingsError
from strongroom.trust import words

SHA256 = "sha256:" + "ab" * 32


def refused(read: Callable[[str, Any], object], value: object) -> None:
    with pytest.raises(SettingsError, match=r"^option must be ") as caught:
        read("option", value)
    assert caught.value.code == "settings.invalid"
    assert len(str(caught.value)) < 600
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_digests(algorithm: str) -> None:
    digits = "Ab" * (words.HEXADECIMAL[algorithm] // 2)
    assert words.digest_of("option", f"{algorithm}:{digits}") == f"{algorithm}:{digits.lower()}"


@pytest.mark.parametrize(
    "value",
    [
        *("", "sha256", "sha256:", SHA256[:-1], SHA256 + "0", SHA256[7:], SHA256.upper(), f" {SHA256}"),
        *(
            SHA256 + "\n",
            "sha512:" + "0" * 64,
            "sha256:" + "0" * 128,
            "md5:" + "0" * 32,
            "sha256:" + "g" * 64,
        ),
        *("sha256:" + "\u0660" * 64, "sha256:" + "0" * 100_000, None, 5, b"sha256:", [SHA256], True),
    ],
)
def test_what_is_no_digest(value: object) -> None:
    refused(words.digest_of, value)
    refused(words.fingerprint_of, value)


def test_a_fingerprint_is_a_sha256() -> None:
    assert words.fingerprint_of("option", SHA256) == SHA256
    refused(words.fingerprint_of, "sha512:" + "0" * 128)


@pytest.mark.parametrize("path", ["/", "/srv", "/srv/models", "/srv/..models/.hidden", "/srv/möbel"])
def test_paths(path: str) -> None:
    assert words.path_of("option", path) == path


@pytest.mark.parametrize(
    "value",
    [
        *("", "srv", "./srv", "~/models", "/srv/", "//srv", "/srv//models", "/srv/./models", "/srv/models/."),
        *("/srv/../etc", "/..", "/srv/models/..", "/a\0b", "/" + "a" * 5000, "file:///srv", "$HOME", None, 5),
    ],
)
def test_what_is_no_path(value: object) -> None:
    refused(words.path_of, value)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("example.com", "example.com"),
        ("Models.EXAMPLE.com", "models.example.com"),
        ("example.com:443", "example.com"),
        ("example.com:8443", "example.com:8443"),
        ("xn--mnchen-3ya.de", "xn--mnchen-3ya.de"),
        ("localhost", "localhost"),
        ("127.0.0.1:8443", "127.0.0.1:8443"),
        ("[::1]", "[::1]"),
        ("[2001:DB8:0:0::1]:8443", "[2001:db8::1]:8443"),
        ("[::1]:443", "[::1]"),
    ],
)
def test_hosts(written: str, read: str) -> None:
    assert words.host_of("option", written) == read
    assert words.host_of("option", read) == read


@pytest.mark.parametrize(
    "value",
    [
        *("", ".", "example.com.", ".example.com", "exa..mple.com", "*.example.com", "example.com/", "a b"),
        *("https://example.com", "user@example.com", "user:pw@example.com", "example.com:", "example.com:0"),
        *(
            "example.com:080",
            "example.com:65536",
            "example.com:8443:1",
            "example.com:+1",
            "example.com:\u0663",
        ),
        *(
            "münchen.de",
            "ex\u0430mple.com",
            "example。com",
            "example.com\u200b",
            "\uff45xample.com",
            "example.com%2f",
        ),
        *("-a.com", "a-.com", "a_b.com", "a" * 64 + ".com", "a." * 200 + "com", "x" * 5000, "example.com?x"),
        *("127.1", "0177.0.0.1", "1.2.3", "256.1.1.1", "2130706433", "0x7f.1", "::1", "[::1", "[::1]x", "[]"),
        *("[127.0.0.1]", "[fe80::1%eth0]", "[example.com]", "example.com\n", "exa\0mple.com", None, 5),
    ],
)
def test_what_is_no_host(value: object) -> None:
    refused(words.host_of, value)


@pytest.mark.parametrize("read", [words.host_of, words.organisation_of, words.path_of])
def test_a_password_is_not_repeated(read: Callable[[str, object], str]) -> None:
    with pytest.raises(SettingsError) as caught:
        read("option", "https://user:SECRET@example.com/x")
    assert caught.value.code == "settings.invalid"
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("name", ["acme", "Meta-Llama", "a", "a.b_c-d", "0x"])
def test_organisations(name: str) -> None:
    assert words.organisation_of("option", name) == name


@pytest.mark.parametrize(
    "value",
    [
        *(
            "",
            ".",
            "..",
            "a..b",
            "a--b",
            "-a",
            "a-",
            "a.",
            "acme/model",
            "acme/",
            "*",
            "ac*me",
            "acme ",
            "\u0430cme",
        ),
        *("ac*me", "acme%2f", "@acme", "a" * 97, "acme\n", "hf://acme", None, 5),
    ],
)
def test_what_is_no_organisation(value: object) -> None:
    refused(words.organisation_of, value)


@pytest.mark.parametrize(
    ("pattern", "inside", "outside"),
    [
        ("acme", ["acme"], ["Acme", "acme ", "acme2", "", "\u0430cme"]),
        ("*", ["", "acme", "ünï"], []),
        ("acme-*", ["acme-", "acme-7b"], ["acme", "xacme-7b", "Acme-7b"]),
        ("*-instruct", ["-instruct", "a-instruct"], ["a-instruct2"]),
        ("a*a", ["aa", "aba"], ["a", "ab"]),
        ("a.c", ["a.c"], ["abc"]),
        ("org/name", [], []),
    ],
)
def test_patterns(pattern: str, inside: list[str], outside: list[str]) -> None:
    if "/" in pattern:
        refused(words.pattern_of, pattern)
        return
    assert words.pattern_of("option", pattern) == pattern
    assert [name for name in inside if not words.matches(pattern, name)] == []
    assert [name for name in outside if words.matches(pattern, name)] == []


@pytest.mark.parametrize(
    "value",
    [
        "",
        "**",
        "a*b*c",
        "a?",
        "[ab]",
        "{a,b}",
        "a\\*",
        "!a",
        "^a$",
        "a|b",
        "(a)",
        "ü",
        "\u0430",
        " a",
        "a" * 101,
        5,
        None,
    ],
)
def test_what_is_too_clever_for_a_pattern(value: object) -> None:
    refused(words.pattern_of, value)


def test_versions_are_ordered_number_by_number() -> None:
    ordered = ["0", "0.9", "1", "v1.0.1", "1.2", "1.10", "2", "10.0"]
    keys = [words.version_key(words.version_of("option", version)) for version in ordered]
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys)
    assert words.version_key("1") == words.version_key("v1.0.0")


@pytest.mark.parametrize(
    "value",
    [
        "",
        "v",
        "1.",
        ".1",
        "1..2",
        "1.2-beta",
        "1,2",
        "1.2 ",
        "latest",
        "\u0663",
        "1." * 9 + "1",
        "9" * 10,
        1.2,
        1,
    ],
)
def test_what_is_no_version(value: object) -> None:
    refused(words.version_of, value)


@pytest.mark.parametrize("value", ["", " a", "a ", "a\nb", "\x1b[31m", "a\u202eb", "a" * 1025, None, 5])
def test_what_is_no_line_of_text(value: object) -> None:
    with pytest.raises(SettingsError):
        words.text_of("option", value, "a line")


def test_what_is_there_twice() -> None:
    words.unique("option", ["a", "b"])
    with pytest.raises(SettingsError, match="'a' is there twice"):
        words.unique("option", ["a", "b", "a"])
