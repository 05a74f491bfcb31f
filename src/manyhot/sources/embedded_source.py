"""Pictures that data embed: all of them, or those of a label store, found again by what its samples are called."""

# pyarrow has no types:
# pyright: reportUnknownParameterType=false

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from manyhot.errors import SourceError
from manyhot.sources.finding import FindingLog
from manyhot.sources.hugging_face_shards import has_shards, read_shards
from manyhot.sources.listing import Listing
from manyhot.sources.manifest import Manifest
from manyhot.sources.options import SourceOptions
from manyhot.sources.pack_files import is_pack
from manyhot.sources.packs import read_pack
from manyhot.sources.picture_store import PictureStore
from manyhot.sources.webdataset import is_webdataset, read_webdataset

_ReadSource = Callable[[Path, SourceOptions, FindingLog], Listing | Manifest | None]

_EMBEDDING: tuple[tuple[Callable[[Path], bool], _ReadSource], ...] = (
    (is_pack, read_pack),
    (has_shards, read_shards),
    (is_webdataset, read_webdataset),
)
"""The formats that embed pictures, in the order in which a path is tried against them."""


def find_embedded(root: Path, references: pa.ChunkedArray) -> PictureStore | None:
    """Return the pictures that samples have in a folder; None where they are files of their own, or not there at all.

    Raises:
        SourceError: If the folder embeds pictures, but not those of all samples, or several that are called alike.

    >>> find_embedded(Path("nowhere"), pa.chunked_array([["a.jpg"]])) is None
    True
    """
    if not len(references) or (root / references[0].as_py()).is_file():
        return None
    found = _read(root, FindingLog())
    if found is None or found.embedded is None:
        return None
    names = found.samples["reference"] if isinstance(found, Manifest) else pa.array(found.references, pa.string())
    rows = pc.call_function("index_in", [references], pc.SetLookupOptions(names))
    if rows.null_count:
        missing = references.filter(rows.is_null())[0].as_py()
        raise SourceError(f"{root}: holds no picture of the sample {missing!r}; convert the data anew")
    _refuse_shared(root, references, names)
    return found.embedded.take(rows.to_numpy())


def _refuse_shared(root: Path, references: pa.ChunkedArray, names: pa.Array | pa.ChunkedArray) -> None:
    """Refuse references that several pictures have: which of them a sample means, nobody can say."""
    if pc.call_function("count_distinct", [names]).as_py() == len(names):
        return
    counts = pc.call_function("value_counts", [names])
    shared = counts.field("values").filter(pc.call_function("greater", [counts.field("counts"), 1]))
    wanted = references.filter(pc.call_function("is_in", [references], pc.SetLookupOptions(shared)))
    if len(wanted):
        raise SourceError(
            f"{root}: several of its pictures are called {wanted[0].as_py()!r}; train on the tars themselves, "
            "without a label store"
        )


def open_embedded(path: Path) -> PictureStore | None:
    """Return all pictures that a pack, a tar, or shards of a data set embed, labelled or not; None for anything else.

    Raises:
        SourceError: If it is of such a kind, but cannot be read or has no pictures.

    >>> open_embedded(Path("nowhere")) is None
    True
    """
    if not any(matches(path) for matches, _ in _EMBEDDING):
        return None
    findings = FindingLog()
    found = _read(path, findings)
    if found is None or found.embedded is None:
        reasons = [finding.line for finding in findings.findings() if finding.severity != "warning"]
        raise SourceError("; and ".join(reasons) or f"{path}: embeds no pictures; name a folder of pictures")
    return found.embedded


def _read(path: Path, findings: FindingLog) -> Listing | Manifest | None:
    read = next((read for matches, read in _EMBEDDING if matches(path)), None)
    return None if read is None else read(path, SourceOptions(), findings)
