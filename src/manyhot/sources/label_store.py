"""Label stores as data: opened at once, without a look at every picture; `check_label_store` takes its time."""

import os
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from manyhot.errors import SourceError, StoreError, quote
from manyhot.labels.progress import Advance
from manyhot.labels.storage import LabelStore, check_store, open_store
from manyhot.labels.store_files import SAMPLES, is_store
from manyhot.sources.embedded_source import find_embedded
from manyhot.sources.finding import Finding, FindingLog
from manyhot.sources.manifest import SAMPLES_SCHEMA, Manifest
from manyhot.sources.options import SourceOptions

# At the start of a reference, or as one of its folders.
_LEADS_OUT = r"^/|^[A-Za-z]:[\\/]|^\\\\|(^|/)\.\.(/|$)"


def is_label_store(path: Path) -> bool:
    """Return whether a path is a label store, or what is left of one.

    >>> is_label_store(Path("nowhere"))
    False
    """
    return path.is_dir() and is_store(path)


def read_label_store(path: Path, options: SourceOptions, findings: FindingLog) -> Manifest | None:
    """Return the samples of a store, or None where it cannot be opened; faults go to the findings.

    Pictures lie where they lay when the store was written, as seen from the store or else in full, unless the options
    name another folder. Whether each of them is there is seen when it is loaded, or by `manyhot check`.
    """
    try:
        store = open_store(path)
        found = store.find_images()
    except StoreError as error:
        findings.error("damaged-store", str(error))
        return None
    if not store.num_samples:
        findings.error("empty-data", f"{path}: the label store holds no samples; it needs at least one")
        return None
    # As seen from the store it starts with the store and leads up again: messages show where it is.
    images = options.images or (None if found is None else Path(os.path.realpath(found)))
    if images is not None and options.pictures and not images.is_dir():
        told = "there is no such image folder"
        if options.images is None:
            told = f"the pictures of the label store {path} are no longer there; put them back, or name their folder"
        findings.error("no-image-folder", f"{images}: {told} (images, --data.images FOLDER)")
    try:
        return Manifest(
            root=images or path,
            samples=store.samples.select(SAMPLES_SCHEMA.names),
            labels=store.labels,
            description=_described(store, path),
            has_pictures=images is not None and options.pictures,
            embedded=None
            if images is None or not options.pictures
            else find_embedded(images, store.samples["reference"]),
        )
    except SourceError as error:
        findings.error("damaged-store", f"{path / SAMPLES}: {error}")
        return None


def _described(store: LabelStore, path: Path) -> str:
    return f"{store.num_samples:,} samples with {store.labels.num_labels:,} labels from the label store {path}"


def check_label_store(path: Path, *, progress: Advance | None = None) -> tuple[Finding, ...]:
    """Return what is wrong with the files of a store; reads all of them. Nothing for any other kind of data.

    Args:
        path: The store.
        progress: Called with the number of rows checked since the last call.

    >>> check_label_store(Path("nowhere"))
    ()
    """
    if not is_label_store(path):
        return ()
    findings = FindingLog()
    for fault in check_store(path, progress=progress):
        findings.error("damaged-store", fault)
    if not findings.has_errors:
        _check_references(path, findings)
    return findings.findings()


def _check_references(path: Path, findings: FindingLog) -> None:
    references = open_store(path).samples["reference"]
    message = f"{path / SAMPLES}: a sample names a file outside of the image folder; write paths that start from it"
    start = 0
    for chunk in references.chunks:
        leads_out = pc.call_function("match_substring_regex", [chunk], pc.MatchSubstringOptions(_LEADS_OUT))
        for row in np.flatnonzero(leads_out.to_numpy(zero_copy_only=False)).tolist():
            findings.error("outside-root", message, f"row {start + row:,}: {quote(chunk[row].as_py())}")
        start += len(chunk)
