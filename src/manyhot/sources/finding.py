"""What is wrong, risky or worth knowing about a source: one value a kind of fault, with its count and examples."""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "info"]

CUTTING = frozenset({"unreadable-file", "unpacked-size", "encoding", "csv-syntax"})
"""Faults after which the rest of a file is not read."""

MAX_EXAMPLES = 5


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One kind of fault, however often it occurs.

    Args:
        name: The kind, in kebab-case: `duplicate-row`, `missing-file`.
        severity: An error stops training, a warning is a risk, an info is a fact worth knowing.
        message: One line: the file, what was found, and the mend. It holds for every example.
        count: How often it occurs.
        examples: The first few places, as line or key with the value found there.

    >>> print(Finding(name="missing-file", severity="error", message="a.csv: no such picture; add it",
    ...               count=7, examples=("line 2 'x.jpg'", "line 5 'y.jpg'")).line)
    a.csv: no such picture; add it (7 times: line 2 'x.jpg', line 5 'y.jpg', …)
    """

    name: str
    severity: Severity
    message: str
    count: int = 1
    examples: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """The message with count and examples, on one line."""
        if not self.examples:
            return self.message if self.count == 1 else f"{self.message} ({self.count:,} times)"
        examples = ", ".join(self.examples) + (", …" if self.count > len(self.examples) else "")
        times = "" if self.count == 1 else f"{self.count:,} times: "
        return f"{self.message} ({times}{examples})"


class FindingLog:
    """Collects findings while a source is read: the same fault again only adds to its count.

    >>> log = FindingLog()
    >>> log.error("ragged-row", "a.csv: a row is too long; quote its commas", "line 2")
    >>> log.error("ragged-row", "a.csv: a row is too long; quote its commas", "line 9")
    >>> [(finding.name, finding.count, finding.examples) for finding in log.findings()]
    [('ragged-row', 2, ('line 2', 'line 9'))]
    """

    def __init__(self) -> None:
        self._counts: dict[tuple[Severity, str, str], int] = {}
        self._examples: dict[tuple[Severity, str, str], list[str]] = {}

    def error(self, name: str, message: str, example: str | None = None) -> None:
        """Add a fault that makes the source unfit for training."""
        self._add("error", name, message, example)

    def warning(self, name: str, message: str, example: str | None = None) -> None:
        """Add a risk."""
        self._add("warning", name, message, example)

    def info(self, name: str, message: str, example: str | None = None) -> None:
        """Add a fact worth knowing."""
        self._add("info", name, message, example)

    @property
    def has_errors(self) -> bool:
        """Whether an error was added."""
        return any(severity == "error" for severity, _, _ in self._counts)

    @property
    def is_cut_short(self) -> bool:
        """Whether a file was not read to its end."""
        return any(name in CUTTING for _, name, _ in self._counts)

    def findings(self) -> tuple[Finding, ...]:
        """Return what was added: errors, then warnings, then infos, each in the order of their first occurrence."""
        order = ("error", "warning", "info")
        return tuple(
            Finding(
                name=key[1],
                severity=key[0],
                message=key[2],
                count=self._counts[key],
                examples=tuple(self._examples[key]),
            )
            for key in sorted(self._counts, key=lambda key: order.index(key[0]))
        )

    def _add(self, severity: Severity, name: str, message: str, example: str | None) -> None:
        key = (severity, name, _on_one_line(message))
        self._counts[key] = self._counts.get(key, 0) + 1
        examples = self._examples.setdefault(key, [])
        if example is not None and len(examples) < MAX_EXAMPLES and _on_one_line(example) not in examples:
            examples.append(_on_one_line(example))


def _on_one_line(text: str) -> str:
    """Return the text with line ends and other unprintable characters escaped: paths and types may hold any."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
