"""Risks that show when labels are counted: labels that teach nothing, imbalance, names nearly the same, contradictions."""

import unicodedata
from collections.abc import Iterable
from itertools import islice

import numpy as np

from manyhot.errors import LabelError, quote
from manyhot.labels import Hierarchy, LabelSets, LabelSpace
from manyhot.labels.cells import rows_that_list, states_of
from manyhot.labels.expansion import count_violations
from manyhot.labels.similar_names import similar_names
from manyhot.labels.statistics import LabelCounts, count_cells
from manyhot.sources.finding import MAX_EXAMPLES, Finding, Severity
from manyhot.sources.manifest import Manifest

RARE_POSITIVES = 5
"""Below this many positives a label can be neither split nor learnt reliably."""

IMBALANCE = 10
"""From this ratio of the most frequent label to the rarest on, it is worth a line."""


def check_labels(manifest: Manifest) -> list[Finding]:
    """Return what the labels say: labels that teach nothing, rare ones, imbalance, similar names, a hierarchy not kept.

    >>> from pathlib import Path
    >>> labels = LabelSets.from_names([["cat", "dog"], ["cat"]] * 5)
    >>> for finding in check_labels(Manifest.from_lists(Path(), list("abcdefghij"), labels)):
    ...     print(finding.name, finding.examples)
    constant-label ("'cat': 10 of 10",)
    """
    labels, space = manifest.labels, manifest.labels.space
    counts = count_cells(labels)
    positives = counts.positives
    constant = np.flatnonzero((positives == counts.known) & (counts.known > 0))
    unseen = np.flatnonzero(counts.known == 0)
    empty = np.flatnonzero((positives == 0) & (counts.known > 0))
    rare = np.flatnonzero((positives > 0) & (positives < RARE_POSITIVES))
    found = [
        finding_about(
            "constant-label", "warning",
            "a label is positive in every sample where it is known: nothing can be learnt; drop it, or say where it is not",
            (f"{quote(space.names[label])}: {positives[label]:,} of {counts.known[label]:,}" for label in constant),
            len(constant),
        ),
        finding_about(
            "unknown-label", "warning", "a label is unknown in every sample: it cannot be learnt, and no figure is defined; drop it",
            (quote(space.names[label]) for label in unseen), len(unseen),
        ),
        finding_about(
            "empty-label", "warning",
            "a label is never positive: it cannot be learnt, and its figures are undefined; collect some, or drop it",
            (quote(space.names[label]) for label in empty), len(empty),
        ),
        finding_about(
            "rare-label", "warning", f"a label is positive in fewer than {RARE_POSITIVES} samples: collect more, or drop it",
            (f"{quote(space.names[label])}: {positives[label]}" for label in rare), len(rare),
        ),
    ]  # fmt: skip
    found += [
        _similar_names(counts, space),
        _check_hierarchy(manifest),
        _unlabelled(labels),
        _imbalance(counts, space),
    ]
    return [finding for finding in found if finding is not None]


def finding_about(name: str, severity: Severity, message: str, examples: Iterable[str], count: int) -> Finding | None:
    """Return a finding with the first few of its examples; None where there is nothing.

    >>> finding_about("rare-label", "warning", "a label is rare; drop it", iter("abcdefg"), 7).examples
    ('a', 'b', 'c', 'd', 'e')
    """
    if not count:
        return None
    shown = tuple(islice(examples, MAX_EXAMPLES))
    return Finding(name=name, severity=severity, message=message, count=count, examples=shown)


def _similar_names(counts: LabelCounts, space: LabelSpace) -> Finding | None:
    similar = similar_names(space)
    return finding_about(
        "near-duplicate-label", "warning",
        "labels differ in case, blanks, dashes, underscores or Unicode form only; give them one name if they are one label",
        (_told_apart(labels, counts, space) for labels in similar), len(similar),
    )  # fmt: skip


def _told_apart(labels: tuple[int, ...], counts: LabelCounts, space: LabelSpace) -> str:
    """Return the names with their positives, spelt out in ASCII where they look the same."""
    names = [space.names[label] for label in labels]
    looks = {unicodedata.normalize("NFKC", name) for name in names}
    alike = len(looks) < len(names) or any(unicodedata.category(c) == "Cf" for name in names for c in name)
    written = map(ascii, names) if alike else map(quote, names)
    return " and ".join(f"{name} ({counts.positives[label]:,})" for name, label in zip(written, labels, strict=True))


def _check_hierarchy(manifest: Manifest) -> Finding | None:
    labels, space = manifest.labels, manifest.labels.space
    if not any(space.parents or ()):
        return None
    try:
        hierarchy = Hierarchy.of(space)
    except LabelError as error:
        return Finding(name="hierarchy-cycle", severity="error", message=str(error))
    violations = count_violations(hierarchy, labels)
    worst = np.argsort(-violations, kind="stable")[: np.count_nonzero(violations)]
    links, children = hierarchy.ancestors, hierarchy.ancestors.row_ids()
    return finding_about(
        "hierarchy-violation", "warning",
        f"a label is positive where one that it implies is negative ({int(violations.sum()):,} cells in all); list both, "
        "or add what is implied (expand, --data.expand ancestors)",
        (_violation(manifest, int(children[link]), int(links.ids[link]), int(violations[link])) for link in worst),
        len(worst),
    )  # fmt: skip


def _violation(manifest: Manifest, child: int, ancestor: int, count: int) -> str:
    labels, names = manifest.labels, manifest.labels.space.names
    rows = rows_that_list(labels.positives, child)
    row = int(rows[np.flatnonzero(states_of(labels, rows, np.full(len(rows), ancestor)) == 0)[0]])
    reference = quote(manifest.samples["reference"][row].as_py())
    return f"{quote(names[child])} without {quote(names[ancestor])}: {_counted(count)}, such as {reference}"


def _counted(samples: int) -> str:
    return "1 sample" if samples == 1 else f"{samples:,} samples"


def _unlabelled(labels: LabelSets) -> Finding | None:
    count = int((labels.positives.lengths() == 0).sum())
    if not count:
        return None
    share = f"{count:,} of {_counted(labels.num_samples)}"
    # Where unlisted cells are unknown somewhere, such a row holds unknown cells too.
    stay = "as samples of negatives" if labels.is_complete else "with what is known of them"
    message = f"{share} {'has' if count == 1 else 'have'} no positive label; they stay, {stay}"
    return Finding(name="unlabelled-samples", severity="info", message=message)


def _imbalance(counts: LabelCounts, space: LabelSpace) -> Finding | None:
    occurring = np.flatnonzero(counts.positives)
    if len(occurring) < 2:
        return None
    prevalence = counts.prevalence
    most, least = (int(occurring[pick(prevalence[occurring])]) for pick in (np.argmax, np.argmin))
    ratio = prevalence[most] / prevalence[least]
    if ratio < IMBALANCE:
        return None
    words = [f"{quote(space.names[label])} ({prevalence[label]:.2%})" for label in (most, least)]
    message = f"the most frequent label, {words[0]}, is {ratio:,.0f} times as frequent as "
    return Finding(name="imbalance", severity="info", message=f"{message}the rarest, {words[1]}")
