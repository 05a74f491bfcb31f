"""Labels that are not the same in every split: absent from train, or of another prevalence by more than chance."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Int64

from manyhot.data.checking_labels import finding_about
from manyhot.data.sample_codes import NO_SPLIT, group_ids, split_ids
from manyhot.errors import quote
from manyhot.labels.imbalance import LabelShift, label_shift
from manyhot.sources.finding import Finding
from manyhot.sources.manifest import SPLITS, Manifest

SHIFT_ODDS = 1.5
"""From this ratio of a label's odds in one split to those in the others on, a shift is worth a line."""

SHIFT_CHANCE = 0.01
"""So likely may it be that chance alone makes any label of the data shift as far."""


def check_shift(manifest: Manifest) -> list[Finding]:
    """Return which labels differ between splits by more than chance, and which cannot be learnt for lack of positives.

    Samples of one group (one patient, one film) do not fall into a split independently, so that larger differences are
    chance where groups are large.

    >>> from pathlib import Path
    >>> from manyhot.labels import LabelSets
    >>> labels = LabelSets.from_names([["cat"]] * 20 + [[]] * 20 + [["cat", "dog"]] * 20)
    >>> splits = ["train"] * 40 + ["test"] * 20
    >>> for finding in check_shift(Manifest.from_lists(Path(), [str(row) for row in range(60)], labels, splits=splits)):
    ...     print(finding.name, finding.examples)
    untrained-label ("'dog': 0 in train, 20 in test",)
    label-shift ("'cat': 50 % in train, 100 % in test",)
    """
    splits = split_ids(manifest)
    rows = np.flatnonzero(splits != NO_SPLIT)
    present = np.unique(splits[rows])
    if len(present) < 2:
        return []
    names = [SPLITS[part] for part in present.tolist()]
    shift = label_shift(manifest.labels.take(rows), np.searchsorted(present, splits[rows]))
    untrained = np.flatnonzero((names[0] == "train") & (shift.positives[0] == 0) & (shift.positives.sum(axis=0) > 0))
    shifted = _shifted(shift, _cluster_size(group_ids(manifest)[rows]), leaving=untrained)
    found = [
        finding_about(
            "untrained-label", "warning",
            "a label is positive in val or test, but never in train: it cannot be learnt; split anew",
            _positives_in(shift, names, untrained), len(untrained),
        ),
        finding_about(
            "label-shift", "warning",
            f"a label's odds in one split are {SHIFT_ODDS} times those in the others or more, or as much less, and not by "
            "chance; what is measured on one split says little of another: split anew, or report each",
            _prevalence_in(shift, names, shifted), len(shifted),
        ),
    ]  # fmt: skip
    return [finding for finding in found if finding is not None]


def _shifted(shift: LabelShift, cluster_size: float, *, leaving: Int64[np.ndarray, " k"]) -> Int64[np.ndarray, " s"]:
    """Return the labels that shift far and by more than chance, the furthest first."""
    distance = np.abs(np.log(shift.odds_ratio))
    # Bonferroni: as many tests are made as there are labels with both states, in each split.
    positives, known = shift.positives.sum(axis=0), shift.known.sum(axis=0)
    num_tests = max(1, int(((positives > 0) & (positives < known)).sum()) * len(distance))
    certain = shift.chance(cluster_size=cluster_size) * num_tests < SHIFT_CHANCE
    furthest = np.where(certain & (distance >= np.log(SHIFT_ODDS)), distance, 0.0).max(axis=0, initial=0.0)
    furthest[leaving] = 0.0
    order = np.argsort(-furthest, kind="stable")
    return order[: np.count_nonzero(furthest)]


def _cluster_size(groups: Int64[np.ndarray, " n"]) -> float:
    """Return how many samples a sample's group has on average: samples of one group do not fall independently."""
    sizes = np.bincount(groups[groups >= 0])
    return float(((groups < 0).sum() + (sizes**2).sum()) / len(groups))


def _prevalence_in(shift: LabelShift, names: list[str], labels: Int64[np.ndarray, " k"]) -> Iterator[str]:
    prevalence = shift.prevalence
    for label in labels.tolist():
        shares = (
            f"unknown in {name}" if np.isnan(share) else f"{100 * share:.3g} % in {name}"
            for share, name in zip(prevalence[:, label].tolist(), names, strict=True)
        )
        yield f"{quote(shift.space.names[label])}: {', '.join(shares)}"


def _positives_in(shift: LabelShift, names: list[str], labels: Int64[np.ndarray, " k"]) -> Iterator[str]:
    for label in labels.tolist():
        counts = (f"{count:,} in {name}" for count, name in zip(shift.positives[:, label], names, strict=True))
        yield f"{quote(shift.space.names[label])}: {', '.join(counts)}"
