"""Risks that only show once pictures are opened, labels are counted and files are compared."""

import contextlib
import hashlib
import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from manyhot.errors import ImageError
from manyhot.labels import LabelSets, LabelSpace
from manyhot.labels.statistics import LabelCounts, count_cells
from manyhot.sources.finding import MAX_EXAMPLES, Finding, FindingLog, Severity, quote
from manyhot.sources.manifest import Manifest

RARE_POSITIVES = 5
"""Below this many positives a label can be neither split nor learnt reliably."""

IMBALANCE = 10
"""From this ratio of the most frequent label to the rarest on, it is worth a line."""

_BLOCK = 1024
_SHOWN_FILES = 3

Progress = Callable[[int, int], None]
"""Called with the number of samples done and of all."""


def check_images(manifest: Manifest, *, progress: Progress | None = None, threads: int | None = None) -> list[Finding]:
    """Return a finding that names the pictures that cannot be opened; opens every picture whole.

    Args:
        manifest: The samples.
        progress: Called after each block of pictures.
        threads: Pictures opened at once; as many as there are cores by default.
    """
    # OpenCV and the decoders are loaded only once there is something to open.
    from manyhot.data.decoding import decode_image

    def fault_of(path: Path) -> str | None:
        try:
            decode_image(path)
        except (ImageError, OSError) as error:
            return str(error).removeprefix(f"{path}: ")
        return None

    findings = FindingLog()
    references = manifest.references()
    message = f"{manifest.root}: a picture cannot be opened; replace it, or delete its row"
    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        for start in range(0, len(references), _BLOCK):
            block = references[start : start + _BLOCK]
            faults = pool.map(fault_of, [manifest.root / reference for reference in block])
            for reference, fault in zip(block, faults, strict=True):
                if fault is not None:
                    findings.error("unreadable-image", message, f"{quote(reference)}: {fault}")
            if progress is not None:
                progress(start + len(block), len(references))
    return list(findings.findings())


def check_labels(manifest: Manifest) -> list[Finding]:
    """Return what the labels' counts say: labels that teach nothing, rare labels, imbalance, names nearly the same."""
    labels, space = manifest.labels, manifest.labels.space
    counts = count_cells(labels)
    positives = counts.positives
    constant = np.flatnonzero((positives == counts.known) & (counts.known > 0))
    rare = np.flatnonzero((positives > 0) & (positives < RARE_POSITIVES))
    found = [
        _of_labels(
            "constant-label", "warning", "positive in every sample where it is known: nothing can be learnt; drop it",
            (quote(space.names[label]) for label in constant), len(constant),
        ),
        _of_labels(
            "empty-label", "warning", "never positive: it cannot be learnt, and its figures are undefined",
            (quote(space.names[label]) for label in np.flatnonzero(positives == 0)), int((positives == 0).sum()),
        ),
        _of_labels(
            "rare-label", "warning", f"positive in fewer than {RARE_POSITIVES} samples: collect more, or drop it",
            (f"{quote(space.names[label])}: {positives[label]}" for label in rare), len(rare),
        ),
    ]  # fmt: skip
    found += [*_near_duplicates(space), _unlabelled(labels), _imbalance(counts, space)]
    return [finding for finding in found if finding is not None]


def _of_labels(name: str, severity: Severity, claim: str, examples: Iterable[str], count: int) -> Finding | None:
    if not count:
        return None
    shown = tuple(example for _, example in zip(range(MAX_EXAMPLES), examples, strict=False))
    return Finding(name=name, severity=severity, message=f"a label is {claim}", count=count, examples=shown)


def _near_duplicates(space: LabelSpace) -> Iterator[Finding]:
    same: dict[str, list[str]] = {}
    for name in space.names:
        same.setdefault(" ".join(unicodedata.normalize("NFKC", name).casefold().split()), []).append(name)
    pairs = [" and ".join(map(ascii, names)) for names in same.values() if len(names) > 1]
    if pairs:
        yield Finding(
            name="near-duplicate-label",
            severity="warning",
            message="labels differ in case, blanks or Unicode form only; write them the same way if they are the same",
            count=len(pairs),
            examples=tuple(pairs[:MAX_EXAMPLES]),
        )


def _unlabelled(labels: LabelSets) -> Finding | None:
    count = int((labels.positives.lengths() == 0).sum())
    if not count:
        return None
    share = f"{count:,} of {labels.num_samples:,} samples have"
    message = f"{share} no positive label; they stay, as samples of negatives"
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


def check_splits(manifest: Manifest) -> list[Finding]:
    """Return what leaks from one split to another: byte-identical files, and groups that are parted.

    Where the source states no splits, identical files are a warning, since a split may part them, unless they share a
    group. Files are read only where another one has the same size.
    """
    findings = FindingLog()
    _check_files(manifest, findings)
    _check_groups(manifest, findings)
    return list(findings.findings())


def _check_files(manifest: Manifest, findings: FindingLog) -> None:
    references, splits, groups = manifest.references(), manifest.splits(), manifest.groups()
    leaked = f"{manifest.root}: a picture stands in several splits, so figures flatter; keep it in one"
    identical = f"{manifest.root}: files are the same to the byte, and a split may part them; keep one, or group them"
    for rows in _identical_files(manifest.root, references):
        shown = rows[:_SHOWN_FILES]
        if len({splits[row] for row in rows}) > 1:
            places = [f"{quote(references[row])} ({splits[row] or 'no split'})" for row in shown]
            findings.error("leaked-file", leaked, " = ".join(places))
        elif not manifest.has_splits and (None in (parts := {groups[row] for row in rows}) or len(parts) > 1):
            findings.warning("identical-files", identical, " = ".join(quote(references[row]) for row in shown))


def _identical_files(root: Path, references: list[str]) -> list[list[int]]:
    """Return the rows of each set of files that are the same to the byte, in the order of their first row."""
    by_size: dict[int, list[int]] = {}
    same: dict[str, list[int]] = {}
    for row, reference in enumerate(references):
        # A file that is gone or closed to us is a finding of check_images.
        with contextlib.suppress(OSError):
            by_size.setdefault((root / reference).stat().st_size, []).append(row)
    for rows in by_size.values():
        for row in rows if len(rows) > 1 else ():
            with contextlib.suppress(OSError), (root / references[row]).open("rb") as file:
                same.setdefault(hashlib.file_digest(file, "sha256").hexdigest(), []).append(row)
    return sorted(rows for rows in same.values() if len(rows) > 1)


def _check_groups(manifest: Manifest, findings: FindingLog) -> None:
    message = "a group stands in several splits, so figures flatter; keep each group in one"
    parted: dict[str, set[str]] = {}
    for group, split in zip(manifest.groups(), manifest.splits(), strict=True):
        if group is not None:
            parted.setdefault(group, set()).add(split or "no split")
    for group, parts in parted.items():
        if len(parts) > 1:
            findings.error("leaked-group", message, f"{quote(group)}: {', '.join(sorted(parts))}")
