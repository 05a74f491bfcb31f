"""Risks that only show once files are looked at: pictures that cannot be opened, and pictures that nobody listed."""

import os
import posixpath
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from manyhot.errors import ImageError, quote
from manyhot.labels.progress import Progress
from manyhot.sources.finding import Finding, FindingLog
from manyhot.sources.manifest import Manifest
from manyhot.sources.scanning import PICTURE_SUFFIXES

_BLOCK = 256

_Done = TypeVar("_Done")


def blocks_done(done: Iterable[_Done], total: int, progress: Progress | None) -> Iterator[_Done]:
    """Yield what is done, and say after each block how much that was.

    >>> list(blocks_done("ab", 2, print))
    2 2
    ['a', 'b']
    """
    for number, one in enumerate(done, 1):
        yield one
        if progress is not None and (number % _BLOCK == 0 or number == total):
            progress(number, total)


def check_images(manifest: Manifest, *, progress: Progress | None = None, threads: int | None = None) -> list[Finding]:
    """Return what names the pictures that cannot be opened, or are not there; opens every picture whole.

    Args:
        manifest: The samples.
        progress: Called after each block of pictures.
        threads: Pictures opened at once; as many as there are cores by default.

    >>> from manyhot.labels import LabelSets
    >>> [finding.name for finding in check_images(Manifest.from_lists(Path("no"), ["a.jpg"], LabelSets.from_names([[]])))]
    ['missing-file']
    """
    # OpenCV and the decoders are loaded only once there is something to open.
    from manyhot.data.decoding import BYTES_NAME, decode_image

    pictures = manifest.pictures

    def fault_of(row: int) -> str | None:
        try:
            decode_image(pictures.read(row))
        except (ImageError, OSError) as error:
            return str(error).removeprefix(f"{BYTES_NAME}: ")
        return None

    findings = FindingLog()
    references = manifest.references()
    damaged = f"{manifest.root}: a picture cannot be opened; replace it, or delete its row"
    missing = f"{manifest.root}: a picture is not there; put it back, delete its row, or name another folder (images)"
    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        for start in range(0, len(references), _BLOCK):
            block = references[start : start + _BLOCK]
            faults = pool.map(fault_of, range(start, start + len(block)))
            for reference, fault in zip(block, faults, strict=True):
                if fault is not None and manifest.embedded is None and not os.path.lexists(manifest.root / reference):
                    findings.error("missing-file", missing, quote(reference))
                elif fault is not None:
                    findings.error("unreadable-image", damaged, f"{quote(reference)}: {fault}")
            if progress is not None:
                progress(start + len(block), len(references))
    return list(findings.findings())


def check_unlisted(manifest: Manifest) -> list[Finding]:
    """Return a finding that names the pictures that lie beside those of the samples and belong to none.

    For label stores, which are opened without a look at their pictures; other data are searched when they are read.

    >>> from tempfile import TemporaryDirectory
    >>> from manyhot.labels import LabelSets
    >>> with TemporaryDirectory() as folder:
    ...     _ = Path(folder, "a.jpg").write_bytes(b""), Path(folder, "b.jpg").write_bytes(b"")
    ...     [one.examples for one in check_unlisted(Manifest.from_lists(Path(folder), ["a.jpg"], LabelSets.from_names([[]])))]
    [("'b.jpg'",)]
    """
    findings = FindingLog()
    listed = set(manifest.references())
    message = f"{manifest.root}: a picture has no labels in the store; it takes no part; convert the data anew"
    for folder in sorted({posixpath.dirname(reference) for reference in listed}):
        for name in sorted(_pictures_in(manifest.root / folder)):
            reference = posixpath.join(folder, name)
            if reference not in listed:
                findings.warning("unlisted-file", message, quote(reference))
    return list(findings.findings())


def _pictures_in(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [
                entry.name
                for entry in entries
                if posixpath.splitext(entry.name)[1].lower() in PICTURE_SUFFIXES and not entry.name.startswith(".")
            ]
    except OSError:
        # A folder that is gone: check_images names its pictures.
        return []
