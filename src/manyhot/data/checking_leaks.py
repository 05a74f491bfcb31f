"""What leaks from one split into another: samples, pictures and groups that stand in both."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import numpy as np
from jaxtyping import Int64, Integer

from manyhot.data.checking_pictures import Progress, blocks_done
from manyhot.data.sample_codes import NO_SPLIT, group_ids, split_ids
from manyhot.labels.cells import states_of
from manyhot.sources.finding import Finding, FindingLog, quote
from manyhot.sources.manifest import SPLITS, Manifest

_SHOWN_FILES = 3


def check_leaks(manifest: Manifest, *, progress: Progress | None = None) -> list[Finding]:
    """Return what leaks from one split to another.

    Samples, byte-identical files and groups in several splits leak. Where the source states no splits, identical files
    are a warning, since a split may part them, unless they share a group. Identical files whose labels contradict each
    other are named too. Files are read only where another one has the same size, and only of data that have pictures.

    Args:
        manifest: The samples.
        progress: Called after each block of files that is read.
    """
    findings = FindingLog()
    splits, groups = split_ids(manifest), group_ids(manifest)
    _check_repeated(manifest, splits, findings)
    if manifest.has_pictures:
        _check_files(manifest, splits, groups, findings, progress)
    _check_groups(manifest, splits, groups, findings)
    return list(findings.findings())


def _name_of(split: int) -> str:
    return SPLITS[split] if split < len(SPLITS) else "no split"


def _check_repeated(manifest: Manifest, splits: Int64[np.ndarray, " n"], findings: FindingLog) -> None:
    """Name references that stand several times, which only stores of several data can hold."""
    references = manifest.samples["reference"]
    numbers = references.combine_chunks().dictionary_encode().indices.to_numpy()
    leaked = "a sample stands in several splits, so figures flatter; keep it in one"
    repeated = "a sample stands several times, and a split may part it; keep one of its rows"
    for rows in _shared(numbers):
        where = sorted(set(splits[rows].tolist()))
        name = quote(references[int(rows[0])].as_py())
        if len(where) > 1 and manifest.has_pictures:
            findings.error("leaked-sample", leaked, f"{name}: {', '.join(map(_name_of, where))}")
        else:
            findings.warning("repeated-sample", repeated, f"{name}: {len(rows):,} rows")


def _shared(numbers: Integer[np.ndarray, " n"]) -> Iterator[Int64[np.ndarray, " k"]]:
    """Yield the places of each number that stands several times, in the order of their first."""
    order = np.argsort(numbers, kind="stable")
    cuts = np.flatnonzero(np.diff(numbers[order])) + 1
    starts, ends = np.append(0, cuts), np.append(cuts, len(numbers))
    several = np.flatnonzero(ends - starts > 1)
    for index in several[np.argsort(order[starts[several]])].tolist() if len(numbers) else ():
        yield order[starts[index] : ends[index]]


def _check_files(
    manifest: Manifest,
    splits: Int64[np.ndarray, " n"],
    groups: Int64[np.ndarray, " n"],
    findings: FindingLog,
    progress: Progress | None,
) -> None:
    references = manifest.references()
    leaked = f"{manifest.root}: a picture stands in several splits, so figures flatter; keep it in one"
    identical = f"{manifest.root}: files are the same to the byte, and a split may part them; keep one, or group them"
    differing = f"{manifest.root}: files are the same to the byte, and their labels are not; mend the labels"
    for rows in _identical_files(manifest.root, references, progress):
        shown = rows[:_SHOWN_FILES]
        more = f" and {len(rows) - len(shown):,} more" if len(rows) > len(shown) else ""
        where = {int(splits[row]) for row in rows}
        parts = {int(groups[row]) for row in rows}
        if len(where) > 1:
            places = [f"{quote(references[row])} ({_name_of(int(splits[row]))})" for row in shown]
            findings.error("leaked-file", leaked, " = ".join(places) + more)
        elif where == {NO_SPLIT} and (-1 in parts or len(parts) > 1):
            findings.warning("identical-files", identical, " = ".join(quote(references[row]) for row in shown) + more)
        contradicted = _contradicted(manifest, rows)
        if contradicted is not None:
            places = " = ".join(quote(references[row]) for row in shown) + more
            findings.warning("contradictory-labels", differing, f"{places}: {quote(contradicted)}")


def _contradicted(manifest: Manifest, rows: list[int]) -> str | None:
    """Return a label that is positive in one of the rows and negative in another, or None."""
    ids = np.unique(manifest.labels.take(rows).positives.ids)
    states = states_of(manifest.labels, np.repeat(rows, len(ids)), np.tile(ids, len(rows))).reshape(len(rows), -1)
    both = np.flatnonzero((states == 1).any(axis=0) & (states == 0).any(axis=0))
    return manifest.labels.space.names[int(ids[both[0]])] if both.size else None


def _identical_files(root: Path, references: list[str], progress: Progress | None) -> list[list[int]]:
    """Return the rows of each set of files that are the same to the byte, in the order of their first row."""
    # A reference that stands twice is one file; a file that is gone or closed to us is a finding of check_images.
    first = {reference: row for row, reference in reversed(list(enumerate(references)))}
    by_size: dict[int, list[int]] = {}
    for reference, row in first.items():
        size = _size_of(root / reference)
        if size is not None:
            by_size.setdefault(size, []).append(row)
    candidates = sorted(chain.from_iterable(rows for rows in by_size.values() if len(rows) > 1))
    same: dict[str, list[int]] = {}
    with ThreadPoolExecutor() as pool:
        digests = pool.map(_digest_of, (root / references[row] for row in candidates))
        for row, digest in zip(candidates, blocks_done(digests, len(candidates), progress), strict=True):
            if digest is not None:
                same.setdefault(digest, []).append(row)
    return [rows for rows in same.values() if len(rows) > 1]


def _size_of(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _digest_of(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _check_groups(
    manifest: Manifest, splits: Int64[np.ndarray, " n"], groups: Int64[np.ndarray, " n"], findings: FindingLog
) -> None:
    message = "a group stands in several splits, so figures flatter; keep each group in one"
    grouped = np.flatnonzero(groups >= 0)
    places, first = np.unique(groups[grouped] * (NO_SPLIT + 1) + splits[grouped], return_index=True)
    for entries in _shared(places // (NO_SPLIT + 1)):
        row = int(grouped[first[entries[0]]])
        names = sorted(_name_of(int(place)) for place in places[entries] % (NO_SPLIT + 1))
        findings.error("leaked-group", message, f"{quote(manifest.samples['group'][row].as_py())}: {', '.join(names)}")
