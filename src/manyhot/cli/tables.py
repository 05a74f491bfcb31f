"""Tables of plain text that stay in line, also with names in wide letters."""

import unicodedata
from collections.abc import Sequence

WIDEST_NAME = 30


def format_table(rows: Sequence[Sequence[str]], *, left: int = 1) -> list[str]:
    """Return the rows as lines with aligned columns, two blanks apart.

    Args:
        rows: Texts, the same number in each row.
        left: So many columns are aligned left, the others right.

    >>> format_table([["label", "positives"], ["dog", "12"]])
    ['label  positives', 'dog           12']
    """
    widths = [max(width_of(text) for text in column) for column in zip(*rows, strict=True)]
    return ["  ".join(_pad(text, widths[i], to_left=i < left) for i, text in enumerate(row)).rstrip() for row in rows]


def width_of(text: str) -> int:
    """Return the number of terminal columns that a text takes.

    >>> width_of("dog"), width_of("犬"), width_of("e\u0301")
    (3, 2, 1)
    """
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def shorten(text: str, width: int = WIDEST_NAME) -> str:
    """Return a text of at most so many columns; what is too long ends in an ellipsis.

    >>> shorten("one two three", 8)
    'one two…'
    """
    if width_of(text) <= width:
        return text
    while width_of(text) > width - 1:
        text = text[:-1]
    return text + "…"


def format_size(size_bytes: int) -> str:
    """Return a size with the unit that suits it.

    >>> format_size(999), format_size(67_400), format_size(327_000_000)
    ('999 bytes', '67 kB', '327 MB')
    """
    if size_bytes < 1000:
        return f"{size_bytes} bytes"
    size, unit = next(
        ((size_bytes / scale, unit) for scale, unit in ((1e9, "GB"), (1e6, "MB")) if size_bytes >= scale),
        (size_bytes / 1e3, "kB"),
    )
    return f"{size:.1f} {unit}" if size < 10 else f"{size:,.0f} {unit}"


def _pad(text: str, width: int, *, to_left: bool) -> str:
    blanks = " " * (width - width_of(text))
    return text + blanks if to_left else blanks + text
