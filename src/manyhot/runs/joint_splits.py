"""The splits of several data sets: each decided for itself, and no picture or group of two of them in two splits."""

# pyarrow has no types:
# pyright: reportUnknownParameterType=false

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Int64, Integer, UInt8

from manyhot.config import SplitConfig
from manyhot.errors import SourceError
from manyhot.runs.splits import SPLITS, Splits, codes_of, decide_splits
from manyhot.sources import Manifest


def decide_joint_splits(parts: Mapping[str, Manifest], whole: Manifest, shares: SplitConfig, *, seed: int) -> Splits:
    """Return the splits of several data sets, each decided for itself: `decide_splits`.

    A data set that brings splits, none of them train, keeps them: it only measures.

    Args:
        parts: The data sets by their names, in order.
        whole: All of their samples.
        shares: As of `decide_splits`.
        seed: As of `decide_splits`.

    Raises:
        SourceError: As of `decide_splits`, naming the data set; if none of them has train; if a picture or a group of
            several data sets would be in several splits.
    """
    found: dict[str, Splits] = {}
    for name, part in parts.items():
        try:
            found[name] = _only_measured(part) or decide_splits(part, shares, seed=seed)
        except SourceError as error:
            raise SourceError(f"{name}: {error}") from None
    codes = np.concatenate([splits.codes for splits in found.values()])
    for code, split in enumerate(SPLITS):
        if not (codes == code).any():
            raise SourceError(
                f"no data set brings a sample of {split}; add data that have some, or that bring no splits"
            )
    numbers = np.repeat(np.arange(len(parts)), [part.num_samples for part in parts.values()])
    _refuse_parted(whole, codes, numbers)
    origins = {splits.origin for splits in found.values()}
    each = "; ".join(f"{name}: {splits.origin}" for name, splits in found.items())
    return Splits(
        codes=codes,
        fingerprint=whole.fingerprint,
        origin=f"each data set: {origins.pop()}" if len(origins) == 1 else each,
    )


def _only_measured(manifest: Manifest) -> Splits | None:
    codes = codes_of(manifest.samples["split"])
    if not manifest.has_splits or (codes == SPLITS.index("train")).any():
        return None
    return Splits(codes=codes, fingerprint=manifest.fingerprint, origin="the data's own splits, without train")


def _refuse_parted(manifest: Manifest, codes: UInt8[np.ndarray, " n"], numbers: Integer[np.ndarray, " n"]) -> None:
    """Refuse one picture or group in several splits: data sets may share them, as several people's labels of the same do."""
    for column, what, mend in (
        ("reference", "pictures", ""),
        ("group", "samples of groups", ", or call groups differently that are not the same"),
    ):
        names = manifest.samples[column]
        parted = _parted(names, codes, numbers)
        if len(parted):
            raise SourceError(
                f"{len(parted):,} {what} of several data sets would be in several splits, the first is "
                f"{names[int(parted[0])].as_py()!r}; give all of these data sets a column 'split'{mend}"
            )


def _parted(
    names: pa.ChunkedArray, codes: UInt8[np.ndarray, " n"], numbers: Integer[np.ndarray, " n"]
) -> Int64[np.ndarray, " k"]:
    """Return the rows whose name stands in several data sets and in several splits; rows without one are alone."""
    rows = np.flatnonzero(names.is_valid().to_numpy())
    encoded = names.drop_null().combine_chunks().dictionary_encode()
    ids = encoded.indices.to_numpy()
    return rows[(_varies(codes[rows], ids) & _varies(numbers[rows], ids))[ids]]


def _varies(values: Integer[np.ndarray, " n"], ids: Integer[np.ndarray, " n"]) -> Bool[np.ndarray, " m"]:
    """Return for each id whether it has several values."""
    some = np.zeros(ids.max(initial=-1) + 1, dtype=values.dtype)
    some[ids] = values
    varies = np.zeros(len(some), dtype=np.bool_)
    varies[ids[values != some[ids]]] = True
    return varies
