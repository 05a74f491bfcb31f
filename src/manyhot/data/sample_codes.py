"""Splits and groups of samples as numbers, so that millions of them are compared at once."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int64

from manyhot.sources.manifest import SPLITS, Manifest

NO_SPLIT = len(SPLITS)


def split_ids(manifest: Manifest) -> Int64[np.ndarray, " n"]:
    """Return for each sample the place of its split in `SPLITS`, and 3 where the source states none.

    >>> from pathlib import Path
    >>> from manyhot.labels import LabelSets
    >>> split_ids(Manifest.from_lists(Path(), ["a", "b"], LabelSets.from_names([[], []]), splits=["test", None]))
    array([2, 3])
    """
    return _codes(manifest.samples["split"], [*SPLITS], absent=NO_SPLIT)


def group_ids(manifest: Manifest) -> Int64[np.ndarray, " n"]:
    """Return a number for each sample's group; -1 where there is none.

    >>> from pathlib import Path
    >>> from manyhot.labels import LabelSets
    >>> group_ids(Manifest.from_lists(Path(), ["a", "b"], LabelSets.from_names([[], []]), groups=["p", None]))
    array([ 0, -1])
    """
    groups = manifest.samples["group"]
    return _codes(groups, groups.unique().drop_null().to_pylist(), absent=-1)


def _codes(column: pa.ChunkedArray, values: list[str], *, absent: int) -> Int64[np.ndarray, " n"]:  # pyright: ignore[reportUnknownParameterType] - pyarrow has no types
    found = pc.call_function("index_in", [column], pc.SetLookupOptions(pa.array(values, pa.string())))
    return pc.fill_null(found, absent).to_numpy().astype(np.int64)
