"""What leaks from one split into another: samples, pictures and groups that stand in both."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain

import numpy as np
from jaxtyping import Bool, Int64, Integer

from manyhot.data.checking_labels import finding_about
from manyhot.data.checking_pictures import blocks_done
from manyhot.data.sample_codes import NO_SPLIT, group_ids, split_ids
from manyhot.errors import ImageError, quote
from manyhot.labels.cells import states_of
from manyhot.labels.progress import Progress
from manyhot.sources.finding import Finding, FindingLog
from manyhot.sources.manifest import SPLITS, Manifest
from manyhot.sources.picture_store import PictureStore

_SHOWN_FILES = 3


def check_leaks(
    manifest: Manifest, *, splits: Integer[np.ndarray, " n"] | None = None, progress: Progress | None = None
) -> list[Finding]:
    """Return what leaks from one split to another.

    Samples, byte-identical files and groups in several splits leak. Where a split is not stated, identical files are a
    warning, since a split may part them, unless they share a group. Identical files whose labels contradict each other
    are named too. Files are read only where another one has the same size, and only of data that have pictures. A
    sample may stand once for each source of labels in one split: it is what several people say of it.

    Args:
        manifest: The samples.
        splits: For each sample the place of its split in `SPLITS`; what the source states if None.
        progress: Called after each block of files that is read.

    >>> from pathlib import Path
    >>> from manyhot.labels import LabelSets
    >>> labels, splits, groups = LabelSets.from_names([["cat"], []]), ["train", "test"], ["film 1", "film 1"]
    >>> manifest = Manifest.from_lists(Path(), ["a", "b"], labels, splits=splits, groups=groups, has_pictures=False)
    >>> [(finding.name, finding.examples) for finding in check_leaks(manifest)]
    [('leaked-group', ("'film 1': train, test",))]
    """
    splits = split_ids(manifest) if splits is None else splits.astype(np.int64)
    groups = group_ids(manifest)
    findings = FindingLog()
    if manifest.has_pictures:
        _check_files(manifest, splits, groups, findings, progress)
    found = [*_check_repeated(manifest, splits), _check_groups(manifest, splits, groups)]
    return [*findings.findings(), *(finding for finding in found if finding is not None)]


def _name_of(split: int) -> str:
    return SPLITS[split] if split < len(SPLITS) else "no split"


def _names_of(splits: Int64[np.ndarray, " k"]) -> str:
    return ", ".join(map(_name_of, np.unique(splits).tolist()))


@dataclass(frozen=True, eq=False)
class _Repeats:
    """Numbers that stand several times: the place of each one's first, how often, and whether their known values differ."""

    first: Int64[np.ndarray, " r"]
    times: Int64[np.ndarray, " r"]
    differ: Bool[np.ndarray, " r"]


def _repeats(
    numbers: Integer[np.ndarray, " n"], values: Integer[np.ndarray, " n"], *, unknown: int | None = None
) -> _Repeats:
    """Return the numbers that stand several times; a value of `unknown`, above all others, differs from none."""
    order = np.argsort(numbers, kind="stable")
    starts = np.flatnonzero(np.diff(numbers[order], prepend=-1))
    if not starts.size:
        return _Repeats(starts, starts, np.zeros(0, dtype=bool))
    first, times = order[starts], np.diff(starts, append=len(numbers))
    known = values if unknown is None else np.where(values == unknown, -1, values)
    differ = np.minimum.reduceat(values[order], starts) < np.maximum.reduceat(known[order], starts)
    several = np.flatnonzero(times > 1)
    several = several[np.argsort(first[several])]
    return _Repeats(first[several], times[several], differ[several])


def _check_repeated(manifest: Manifest, splits: Int64[np.ndarray, " n"]) -> Iterator[Finding | None]:
    """Name references that stand several times, which only several data together can hold."""
    references = manifest.samples["reference"]
    # By chunks, which share one dictionary: texts of more than 2 GB do not fit into one.
    chunks = references.dictionary_encode().chunks
    numbers = np.concatenate([np.zeros(0, dtype=np.int32), *(chunk.indices.to_numpy() for chunk in chunks)])
    repeats = _repeats(numbers, splits, unknown=NO_SPLIT)
    # Without pictures a reference may be the number of a row, in each of several data.
    leaked = repeats.differ & manifest.has_pictures
    by_several = np.zeros(len(leaked), dtype=bool)
    if manifest.labels.source_ids is not None:
        by_several = _repeats(numbers, manifest.labels.source_ids).differ & (splits[repeats.first] != NO_SPLIT)
    repeated = ~leaked & ~by_several
    yield finding_about(
        "leaked-sample", "error", "a sample stands in several splits, so figures flatter; keep it in one",
        (
            f"{quote(references[int(row)].as_py())}: {_names_of(splits[numbers == numbers[row]])}"
            for row in repeats.first[leaked]
        ),
        int(leaked.sum()),
    )  # fmt: skip
    yield finding_about(
        "repeated-sample", "warning", "a sample stands several times, and a split may part it; keep one of its rows",
        (
            f"{quote(references[int(row)].as_py())}: {times:,} rows"
            for row, times in zip(repeats.first[repeated], repeats.times[repeated], strict=True)
        ),
        int(repeated.sum()),
    )  # fmt: skip


def _check_files(
    manifest: Manifest,
    splits: Int64[np.ndarray, " n"],
    groups: Int64[np.ndarray, " n"],
    findings: FindingLog,
    progress: Progress | None,
) -> None:
    references = manifest.references()
    leaked = f"{manifest.root}: a picture stands in several splits, so figures flatter; keep it in one"
    identical = f"{manifest.root}: files are the same to the byte, and a split may part them; keep one, or name one group or split"
    differing = f"{manifest.root}: files are the same to the byte, and their labels are not; mend the labels"
    for rows in _identical_files(manifest.pictures, references, progress):
        shown = rows[:_SHOWN_FILES]
        more = f" and {len(rows) - len(shown):,} more" if len(rows) > len(shown) else ""
        where = {int(splits[row]) for row in rows}
        parts = {int(groups[row]) for row in rows}
        if len(where - {NO_SPLIT}) > 1:
            places = [f"{quote(references[row])} ({_name_of(int(splits[row]))})" for row in shown]
            findings.error("leaked-file", leaked, " = ".join(places) + more)
        elif NO_SPLIT in where and (-1 in parts or len(parts) > 1):
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


def _identical_files(pictures: PictureStore, references: list[str], progress: Progress | None) -> list[list[int]]:
    """Return the rows of each set of files that are the same to the byte, in the order of their first row."""

    def digest_of(row: int) -> str | None:
        try:
            return hashlib.sha256(pictures.read(row)).hexdigest()
        except ImageError:
            return None

    # A reference that stands twice is one file; a file that is gone or closed to us is a finding of check_images.
    first = {reference: row for row, reference in reversed(list(enumerate(references)))}
    by_size: dict[int, list[int]] = {}
    for row in first.values():
        size = pictures.size_of(row)
        if size != -1:
            by_size.setdefault(size, []).append(row)
    candidates = sorted(chain.from_iterable(rows for rows in by_size.values() if len(rows) > 1))
    same: dict[str, list[int]] = {}
    with ThreadPoolExecutor() as pool:
        digests = pool.map(digest_of, candidates)
        for row, digest in zip(candidates, blocks_done(digests, len(candidates), progress), strict=True):
            if digest is not None:
                same.setdefault(digest, []).append(row)
    return [rows for rows in same.values() if len(rows) > 1]


def _check_groups(
    manifest: Manifest, splits: Int64[np.ndarray, " n"], groups: Int64[np.ndarray, " n"]
) -> Finding | None:
    grouped = np.flatnonzero(groups >= 0)
    repeats = _repeats(groups[grouped], splits[grouped], unknown=NO_SPLIT)
    leaked = grouped[repeats.first[repeats.differ]]
    names = manifest.samples["group"]
    return finding_about(
        "leaked-group", "error", "a group stands in several splits, so figures flatter; keep each group in one",
        (f"{quote(names[int(row)].as_py())}: {_names_of(splits[groups == groups[row]])}" for row in leaked),
        len(leaked),
    )  # fmt: skip
