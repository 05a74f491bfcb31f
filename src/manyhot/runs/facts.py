"""What data are like, in a handful of numbers that a person can check against what they expect."""

from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from manyhot.labels import LabelSets
from manyhot.labels.statistics import cardinality, count_cells
from manyhot.sources.manifest import SPLITS, Manifest


@dataclass(frozen=True, kw_only=True)
class LabelShare:
    """A label and how often it is positive."""

    name: str
    positives: int
    known: int

    def __str__(self) -> str:
        share = f" ({_percent(self.positives / self.known)} of {self.known:,})" if self.known else ", no known cell"
        return f"{self.name!r}, positives: {self.positives:,}{share}"


def _percent(share: float) -> str:
    """Return a share with as many decimals as it needs: what is rare is not shown as nothing."""
    return f"{share:.1%}" if share == 0 or share >= 0.01 else f"{share:.2%}" if share >= 0.0001 else "<0.01%"


@dataclass(frozen=True, kw_only=True)
class DataFacts:
    """The size and the shape of data.

    Args:
        num_samples: Samples, with and without labels.
        num_labels: Labels of the space.
        labels_per_sample: Mean number of positives a sample.
        most_labels: Most positives of one sample.
        num_unlabelled: Samples without any positive.
        num_unknown: Cells that are neither positive nor negative.
        most_frequent: The label with the most positives; the first of several. None without labels.
        least_frequent: The label with the fewest.
        num_never_positive: Labels without any positive.
        splits: Samples of each split that the data state.
        num_groups: Groups that no split may part.
        largest_group: Samples of the largest group.
    """

    num_samples: int
    num_labels: int
    labels_per_sample: float
    most_labels: int
    num_unlabelled: int
    num_unknown: int
    most_frequent: LabelShare | None
    least_frequent: LabelShare | None
    num_never_positive: int
    splits: dict[str, int] = field(default_factory=dict[str, int])
    num_groups: int = 0
    largest_group: int = 0

    def to_lines(self) -> list[str]:
        """Return the facts as plain lines of text: a name and a value each."""
        spread = f"{self.labels_per_sample:.2f} a sample, at most {self.most_labels:,}"
        facts = {"samples": f"{self.num_samples:,}", "labels": f"{self.num_labels:,} ({spread})"}
        if self.most_frequent is not None and self.least_frequent is not None:
            facts |= {"most frequent": str(self.most_frequent), "least frequent": str(self.least_frequent)}
        if self.num_never_positive:
            facts["never positive"] = f"{self.num_never_positive:,} (no figure is defined for them)"
        if self.num_unlabelled:
            # Where cells are unknown, a row without positives need not hold negatives.
            stay = "they stay" if self.num_unknown else "they stay, as samples of negatives"
            facts["without a label"] = f"{self.num_unlabelled:,} ({stay})"
        if self.splits:
            facts["splits"] = ", ".join(f"{name} {count:,}" for name, count in self.splits.items())
        if self.num_groups:
            facts["groups"] = f"{self.num_groups:,}, the largest of {self.largest_group:,} samples (never parted)"
        facts["unknown cells"] = f"{self.num_unknown:,} of {self.num_samples * self.num_labels:,}"
        return [f"{name:<17}{value}" for name, value in facts.items()]


def describe_data(manifest: Manifest) -> DataFacts:
    """Return the facts about samples: those about their labels, and the splits and groups that their source states.

    >>> from pathlib import Path
    >>> manifest = Manifest.from_lists(Path(), ["a", "b"], LabelSets.from_names([["cat"], []]), splits=["train", "test"])
    >>> describe_data(manifest).splits
    {'train': 1, 'test': 1}
    """
    splits, groups = (_counts_of(manifest.samples[name]) for name in ("split", "group"))
    return replace(
        describe_labels(manifest.labels),
        splits={name: splits[name] for name in SPLITS if name in splits},
        num_groups=len(groups),
        largest_group=max(groups.values(), default=0),
    )


def _counts_of(column: pa.ChunkedArray) -> dict[str, int]:  # pyright: ignore[reportUnknownParameterType] - pyarrow has no types
    counted = column.drop_null().value_counts()
    return dict(zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True))


def describe_labels(sets: LabelSets) -> DataFacts:
    """Return the facts about label sets.

    >>> for line in describe_labels(LabelSets.from_names([["cat", "dog"], [], ["dog"]])).to_lines():
    ...     print(line)
    samples          3
    labels           2 (1.00 a sample, at most 2)
    most frequent    'dog', positives: 2 (66.7% of 3)
    least frequent   'cat', positives: 1 (33.3% of 3)
    without a label  1 (they stay, as samples of negatives)
    unknown cells    0 of 6
    """
    counts = count_cells(sets)
    lengths = sets.positives.lengths()

    def share(label: int) -> LabelShare:
        return LabelShare(
            name=sets.space.names[label], positives=int(counts.positives[label]), known=int(counts.known[label])
        )

    return DataFacts(
        num_samples=sets.num_samples,
        num_labels=sets.num_labels,
        labels_per_sample=cardinality(sets),
        most_labels=int(lengths.max(initial=0)),
        num_unlabelled=int((lengths == 0).sum()),
        num_unknown=sets.num_samples * sets.num_labels - int(counts.known.sum()),
        most_frequent=share(int(np.argmax(counts.positives))) if sets.num_labels else None,
        least_frequent=share(int(np.argmin(counts.positives))) if sets.num_labels else None,
        num_never_positive=int((counts.positives == 0).sum()),
    )
