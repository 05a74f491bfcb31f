"""Every error that manyhot raises on purpose.

ManyhotError
├── UsageError            a command line or an argument that makes no sense (exit code 2)
│   └── ConfigError       a recipe or an override that cannot be read
├── LabelError            label names, label spaces, label sets
├── SourceError           a file, folder or table that cannot be read as asked
│   ├── ImageError        an image that is damaged, refused or too large
│   └── StoreError        a label store that is incomplete, changed or of another format
├── TargetError           targets that do not match the logits beside them
├── ScoreError            scores that cannot be ranked or judged (NaN, wrong shape)
├── ModelError            an encoder, a head or weights that cannot be built or loaded
├── TrainingError         a training that cannot start or cannot go on
├── BundleError           a bundle that is incomplete, changed or of another format
├── RunError              a run folder that lacks what was asked of it
├── MissingExtraError     an optional dependency that is not installed
└── StoppedError          a signal asked us to stop, and a checkpoint was written (exit code 3)

Each message is one line: what was found, what was expected, what to do. The command prints it and nothing else.
"""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import ClassVar

MAX_QUOTED = 120
"""Letters of a name that a message shows."""


class ManyhotError(Exception):
    """The root of all errors that manyhot raises on purpose."""

    exit_code: ClassVar[int] = 1


class UsageError(ManyhotError):
    """A command line or an argument that makes no sense."""

    exit_code: ClassVar[int] = 2


class ConfigError(UsageError):
    """A recipe or an override that cannot be read."""


class LabelError(ManyhotError):
    """A label name, label space or label set that is not what it should be."""


class SourceError(ManyhotError):
    """A file, folder or table that cannot be read as asked."""


class ImageError(SourceError):
    """An image that is damaged, refused or too large."""


class StoreError(SourceError):
    """A label store that is incomplete, changed or of another format."""


class TargetError(ManyhotError):
    """Targets that do not match the logits beside them."""


class ScoreError(ManyhotError):
    """Scores that cannot be ranked or judged."""


class ModelError(ManyhotError):
    """An encoder, a head or weights that cannot be built or loaded."""


class TrainingError(ManyhotError):
    """A training that cannot start or cannot go on."""


class BundleError(ManyhotError):
    """A bundle that is incomplete, changed or of another format."""


class RunError(ManyhotError):
    """A run folder that lacks what was asked of it."""


class MissingExtraError(ManyhotError):
    """An optional dependency that is not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs {package}, which is not installed; run: pip install 'manyhot[{extra}]'")


class StoppedError(ManyhotError):
    """A signal asked us to stop, and a checkpoint was written before we did."""

    exit_code: ClassVar[int] = 3


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """Return "; did you mean 'x'?" for the nearest known name, whatever its case, or an empty string.

    >>> did_you_mean("comdy", ["comedy", "drama"])
    "; did you mean 'comedy'?"
    >>> did_you_mean("zebra", ["comedy", "drama"])
    ''
    """
    folded = {candidate.casefold(): candidate for candidate in known}
    nearest = get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    return f"; did you mean {quote(folded[nearest[0]])}?" if nearest else ""


def quote(value: object) -> str:
    """Return a name in quotes for a message: on one line, control characters escaped, long names cut.

    What is no text is written as Python does.

    >>> print(quote("N/A"), quote("a" * 500).count("a"), quote(None))
    'N/A' 120 None
    """
    if isinstance(value, str):
        return repr(value if len(value) <= MAX_QUOTED else f"{value[:MAX_QUOTED]}…")
    shown = repr(value)
    return shown if len(shown) <= MAX_QUOTED else f"{shown[:MAX_QUOTED]}…"
