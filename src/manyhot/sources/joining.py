"""The samples of several data sets as one manifest, one after the other."""

# pyarrow has no types:
# pyright: reportUnknownParameterType=false

import os
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from manyhot.errors import SourceError
from manyhot.labels.concatenating import concatenate_sets
from manyhot.sources.manifest import SAMPLES_SCHEMA, Manifest
from manyhot.sources.picture_store import ChainedPictures


def join_manifests(parts: Sequence[Manifest]) -> Manifest:
    """Return the samples of several manifests of one label space, one after the other; features are left out.

    References start from the folder that all roots lie in. Pictures are read where they are.

    Raises:
        LabelError: If label spaces differ.
        SourceError: If some have pictures and others have none.

    >>> from manyhot.labels import LabelSets
    >>> cats = LabelSets.from_names([["cat"]])
    >>> both = join_manifests([Manifest.from_lists(Path(root), ["1.jpg"], cats) for root in ("data/a", "data/b")])
    >>> both.references(), both.path_of(1) == Path("data/b/1.jpg").resolve()
    (['a/1.jpg', 'b/1.jpg'], True)
    """
    bare = [part for part in parts if not part.has_pictures]
    if bare and len(bare) < len(parts):
        raise SourceError(f"{bare[0].root}: its samples name no pictures, and those of other data sets do")
    root, prefixes = _common_root([part.root for part in parts])
    return Manifest(
        root=root,
        samples=pa.concat_tables([_below(prefix, part.samples) for prefix, part in zip(prefixes, parts, strict=True)]),
        labels=concatenate_sets([part.labels for part in parts]),
        description=" and ".join(part.description for part in parts),
        has_pictures=not bare,
        embedded=ChainedPictures([part.pictures for part in parts])
        if any(part.embedded is not None for part in parts)
        else None,
    )


def _common_root(roots: Sequence[Path]) -> tuple[Path, list[str]]:
    # Resolved: the same references, and so the same fingerprint, from whatever folder the command is typed in.
    resolved = [root.resolve() for root in roots]
    try:
        common = Path(os.path.commonpath(resolved))
    except ValueError:
        # Windows: on different drives. A reference in full is taken as it is.
        return Path(), [root.as_posix() for root in resolved]
    return common, [root.relative_to(common).as_posix() for root in resolved]


def _below(prefix: str, samples: pa.Table) -> pa.Table:
    """Return samples whose references start from a folder higher up."""
    if prefix == ".":
        return samples
    parts = [pa.scalar(prefix), samples["reference"], pa.scalar("/")]
    references = pc.call_function("binary_join_element_wise", parts)
    return pa.table([references, samples["split"], samples["group"]], schema=SAMPLES_SCHEMA)
