"""The pictures of a label store that was converted from data which embed them: found again by what samples are called."""

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

_Read = Callable[[Path, SourceOptions, FindingLog], Listing | Manifest | None]

_EMBEDDING: tuple[tuple[Callable[[Path], bool], _Read], ...] = (
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
    read = next((read for matches, read in _EMBEDDING if matches(root)), None)
    found = None if read is None else read(root, SourceOptions(), FindingLog())
    if found is None or found.embedded is None:
        return None
    names = found.samples["reference"] if isinstance(found, Manifest) else pa.array(found.references, pa.string())
    rows = pc.call_function("index_in", [references], pc.SetLookupOptions(names))
    if rows.null_count:
        missing = references.filter(rows.is_null())[0].as_py()
        raise SourceError(f"{root}: holds no picture of the sample {missing!r}; convert the data anew")
    return found.embedded.take(rows.to_numpy())
