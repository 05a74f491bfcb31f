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
        SourceError: If the folder embeds pictures, but not those of all samples.

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
    return found.embedded.take(rows.to_numpy())


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
