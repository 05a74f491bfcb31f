"""What happens to a picture that cannot be read in training: it stops the training, or is set apart and counted."""

import threading
from typing import Literal

from manyhot.errors import ImageError, TrainingError, UsageError

BadFiles = Literal["fail", "skip"]
"""`fail`: the first picture that cannot be read ends the training. `skip`: it is set apart, up to a share of all."""

MAX_SKIPPED_SHARE = 0.001


class Quarantine:
    """The samples of a training whose pictures could not be read, each once, however many epochs meet it.

    A row that is set apart leaves its batch: it has no pixels, so that none of its cells may count, as a negative least
    of all. Any number of threads may hand over rows.

    Args:
        num_samples: Samples of the training, over all ranks.
        bad_files: What is done with a picture that cannot be read.
        max_share: The share of samples that may be set apart, from 0 to 1; the next one ends the training.

    Raises:
        UsageError: If the share is none.

    >>> quarantine = Quarantine(2000, bad_files="skip")
    >>> quarantine.handle(ImageError("a.jpg: is empty"), 7)
    >>> quarantine.handle(ImageError("a.jpg: is empty"), 7)
    >>> quarantine.failures
    ((7, 'a.jpg: is empty'),)
    >>> quarantine.summary()
    '1 of 2,000 samples was left out, for its picture cannot be read: a.jpg: is empty'
    """

    def __init__(self, num_samples: int, *, bad_files: BadFiles = "fail", max_share: float = MAX_SKIPPED_SHARE) -> None:
        if not 0 <= max_share <= 1:
            raise UsageError(f"{max_share} is no share of samples; give a number from 0 to 1")
        self._num_samples = num_samples
        self._bad_files: BadFiles = bad_files
        self._max_share = max_share
        self._reasons: dict[int, str] = {}
        self._lock = threading.Lock()

    def handle(self, error: ImageError, row: int) -> None:
        """Set a row apart, or end the training.

        Args:
            error: Why its picture cannot be read, naming the file.
            row: The sample.

        Raises:
            ImageError: The error itself, unless such rows are skipped.
            TrainingError: If more rows were set apart than may be.
        """
        if self._bad_files == "fail":
            raise error
        with self._lock:
            self._reasons.setdefault(row, str(error))
            count = len(self._reasons)
        if count > self._max_share * self._num_samples:
            raise TrainingError(
                f"{count:,} of {self._num_samples:,} pictures cannot be read, more than the share of "
                f"{self._max_share:g} that may be left out; the last is {error}"
            ) from error

    @property
    def failures(self) -> tuple[tuple[int, str], ...]:
        """Row and reason of each sample that was set apart, by row; the reason names the file."""
        with self._lock:
            return tuple(sorted(self._reasons.items()))

    def summary(self) -> str:
        """Return one line for the log, with the first file; empty if all could be read."""
        failures = self.failures
        if not failures:
            return ""
        verb, whose = ("was", "its picture") if len(failures) == 1 else ("were", "their pictures")
        count = f"{len(failures):,} of {self._num_samples:,} samples {verb} left out"
        first = failures[0][1] if len(failures) == 1 else f"first {failures[0][1]}"
        return f"{count}, for {whose} cannot be read: {first}"
