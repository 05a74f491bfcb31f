"""From a path to a manifest: which format it is, where its pictures are, and all that is wrong with it."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from manyhot.errors import SourceError, did_you_mean
from manyhot.sources.expanding import expand_manifest
from manyhot.sources.finding import Finding, FindingLog
from manyhot.sources.folder_names import read_folder_names
from manyhot.sources.formats import find_format
from manyhot.sources.listing import Listing
from manyhot.sources.manifest import Manifest
from manyhot.sources.options import SourceOptions
from manyhot.sources.pictures import match_pictures, match_rows
from manyhot.sources.scanning import FolderScan, scan_folder
from manyhot.sources.table_files import TABLE_FILES
from manyhot.sources.unpacking import limit_unpacking

LABEL_FILES = tuple(f"labels{suffix}" for suffix in (".json", *TABLE_FILES))
"""The label files that a folder is searched for."""

IMAGE_FOLDER = "images"
MAX_SHOWN = 3

_DEFAULTS = SourceOptions()
_LEVELS = {"error": logging.ERROR, "warning": logging.WARNING, "info": logging.INFO}

log = logging.getLogger("manyhot")


@dataclass(frozen=True, kw_only=True, eq=False)
class Reading:
    """What was read, and what was found on the way.

    Args:
        manifest: The samples that are sound; None where there are none. Beside an error it serves further checks only.
        findings: Errors first, then warnings, then infos.
    """

    manifest: Manifest | None
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that make the source unfit for training."""
        return tuple(finding for finding in self.findings if finding.severity == "error")


def read_source(path: Path, options: SourceOptions = _DEFAULTS) -> Reading:
    """Return what a folder or label file holds, with everything that is wrong with it.

    A folder holds `labels.json`, or else `labels.csv` (`.tsv`, `.parquet`, `.jsonl`), or else one of the `FORMATS`, or
    else folders whose names are the labels. Pictures lie in `images` beside the label file where there is such a
    folder, else beside the file.

    >>> [finding.name for finding in read_source(Path("nowhere")).findings]
    ['no-source']
    """
    findings = FindingLog()
    with limit_unpacking(options.max_unpacked_gb):
        found = _read_format(path, options, findings)
    manifest = _manifest_of(found, path, options, findings) if isinstance(found, Listing) else found
    if manifest is not None and options.expand == "ancestors":
        manifest = expand_manifest(manifest, str(path), findings)
    return Reading(manifest=manifest, findings=findings.findings())


def open_source(path: Path, options: SourceOptions = _DEFAULTS) -> Manifest:
    """Return the samples and labels of a folder or label file. What is only risky is logged, a line each.

    Raises:
        SourceError: If anything is wrong with it; the message names the first kinds of fault, with counts and examples.

    >>> open_source(Path("nowhere"))
    Traceback (most recent call last):
    manyhot.errors.SourceError: nowhere: there is no such file or folder; check the path
    """
    reading = read_source(path, options)
    settle(reading.findings)
    assert reading.manifest is not None
    return reading.manifest


def settle(findings: Sequence[Finding]) -> None:
    """Log what is only risky, a line each.

    Raises:
        SourceError: If there is an error; the message names the first kinds of fault, with counts and examples.

    >>> settle([Finding(name="empty-data", severity="error", message="a.csv: the file is empty; write it again")])
    Traceback (most recent call last):
    manyhot.errors.SourceError: a.csv: the file is empty; write it again
    """
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors:
        shown = "; and ".join(finding.line for finding in errors[:MAX_SHOWN])
        more = len(errors) - MAX_SHOWN
        raise SourceError(
            shown if more <= 0 else f"{shown}; and {more} more kinds of error: `manyhot check` lists them"
        )
    for finding in findings:
        log.log(_LEVELS[finding.severity], "%s: %s", finding.severity, finding.line)


def _read_format(path: Path, options: SourceOptions, findings: FindingLog) -> Listing | Manifest | None:
    file = find_label_file(path, options, findings)
    if findings.has_errors:
        return None
    known = find_format(file or path, options.format, findings)
    if findings.has_errors:
        return None
    return read_folder_names(path, options, findings) if known is None else known.read(file or path, options, findings)


def find_label_file(path: Path, options: SourceOptions, findings: FindingLog) -> Path | None:
    """Return the label file, or None for a folder of another format.

    >>> find_label_file(Path("nowhere.csv"), SourceOptions(), FindingLog()) is None
    True
    """
    if options.labels is not None:
        if not options.labels.is_file():
            findings.error("no-source", f"{options.labels}: there is no such label file; check the path")
        return options.labels
    if path.is_file():
        return path
    if not path.is_dir():
        siblings = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
        nearest = did_you_mean(path.name, siblings)
        findings.error("no-source", f"{path}: there is no such file or folder; check the path{nearest}")
        return None
    found = [path / name for name in LABEL_FILES if (path / name).is_file()]
    if len(found) > 1:
        names = ", ".join(file.name for file in found)
        findings.error(
            "two-label-files",
            f"{path}: there are several label files ({names}); name the one to read, as in {found[0]}",
        )
    return found[0] if found else None


def _scan_of(listing: Listing, path: Path, options: SourceOptions, findings: FindingLog) -> FolderScan | None:
    if listing.scan is not None:
        return listing.scan
    if options.images is not None or listing.root is not None:
        root = options.images or listing.root or path
    else:
        # Names may start from the label file itself: images/a.jpg.
        start_there = all(name.startswith(f"{IMAGE_FOLDER}/") for name in listing.references)
        root = find_images(path, options.labels or Path(listing.file), start_there=start_there)
    if not root.is_dir():
        findings.error("no-image-folder", f"{root}: there is no such image folder; check the path")
        return None
    return scan_folder(root)


def find_images(path: Path, file: Path, *, start_there: bool) -> Path:
    """Return the folder that references start from: `images` beside the label file, or the folder of both.

    Args:
        path: The source: a folder, or the file itself.
        file: The label file.
        start_there: Whether all references start with `images/` themselves.
    """
    beside = path if path.is_dir() else file.parent
    images = beside / IMAGE_FOLDER
    return images if images.is_dir() and not start_there else beside


def _manifest_of(listing: Listing, path: Path, options: SourceOptions, findings: FindingLog) -> Manifest | None:
    embedded = listing.embedded if options.pictures else None
    has_pictures = listing.has_pictures and options.pictures
    if has_pictures and embedded is None:
        scan = _scan_of(listing, path, options, findings)
        if scan is None:
            return None
        root, rows = scan.root, match_pictures(listing, scan, findings)
    else:
        root = options.images or listing.root or (path if path.is_dir() else path.parent)
        rows = match_rows(listing, findings)
    if not listing.labels.num_labels and not findings.has_errors:
        findings.error("empty-data", f"{listing.file}: no sample has a label; list the labels of at least one")
    if not rows or not listing.labels.num_labels:
        return None
    kept = np.array(list(rows), dtype=np.int64)
    every = len(kept) == len(listing.references)
    return Manifest.from_lists(
        root,
        list(rows.values()),
        listing.labels if every else listing.labels.take(kept),
        splits=None if listing.splits is None else [listing.splits[row] for row in rows],
        groups=None if listing.groups is None else [listing.groups[row] for row in rows],
        description=f"{len(kept):,} samples with {listing.labels.num_labels:,} labels from {listing.file}",
        has_pictures=has_pictures,
        features=listing.features if every or listing.features is None else listing.features.take(kept),
        embedded=embedded if every or embedded is None else embedded.take(kept),
    )
