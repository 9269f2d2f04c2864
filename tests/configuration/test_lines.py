"""On which line a key is."""

from strongroom.configuration.lines import BUDGET, lines_of


def test_keys_tables_and_arrays_of_tables() -> None:
    lines = lines_of(
        "\n".join(
            [
                "# [a] is no table",
                "top = 1",
                "[a]",
                '  b = """',
                "[c]",
                'd = 1"""',
                "e.f = { g = 1 }",
                "list = [",
                "  1,",
                "  [2, 3], # ]",
                "]",
                "['q u'.r]",
                '"s.t" = 5',
                "[[x.y]]",
                "z = 1",
                "[[x.y]]",
                "z = 2",
            ]
        )
    )
    assert lines == {
        ("top",): 2,
        ("a",): 3,
        ("a", "b"): 4,
        ("a", "e"): 7,
        ("a", "e", "f"): 7,
        ("a", "e", "f", "g"): 7,
        ("a", "list"): 8,
        ("q u", "r"): 12,
        ("q u", "r", "s.t"): 13,
        ("x", "y"): 14,
        ("x", "y", "z"): 15,
    }


def test_what_would_take_long_has_no_lines() -> None:
    text = "a = 1\nb = [\n" + "1\n" * 100_000
    assert len(text) ** 2 > BUDGET
    assert lines_of(text) == {("a",): 1}
