"""Label stores are built from batches, in one pass and in constant memory, and appear whole or not at all."""

import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from manyhot.errors import LabelError, StoreError
from manyhot.files import current_folder, write_folder_atomically, write_json
from manyhot.labels import store_files as files
from manyhot.labels.aligning import align_sets
from manyhot.labels.mapping import LabelMapping
from manyhot.labels.progress import Advance
from manyhot.labels.sets import LabelSets
from manyhot.labels.space import LabelSpace
from manyhot.labels.storage import StoreBatch, batches_of, open_store
from manyhot.labels.store_files import StoreManifest
from manyhot.labels.store_writer import StoreWriter


def write_store(
    folder: Path,
    space: LabelSpace,
    batches: Iterable[StoreBatch],
    *,
    images: Path | None = None,
    description: str = "data",
    overwrite: bool = False,
    progress: Advance | None = None,
) -> None:
    """Write a store from batches of samples, none of which is kept.

    Each batch keeps its own sources: what an unlisted cell means is stored for each row. Batches may differ in having
    exceptions or confidence; a positive without confidence is certain.

    Args:
        folder: Absent or empty; its parent must exist.
        space: The labels of all batches.
        batches: Samples and labels, in order.
        images: The folder that references start from, kept as a path from the store and as an absolute one.
        description: Where the data came from, in words.
        overwrite: Whether `folder` may be a store already; it is replaced once the new one is complete.
        progress: Called after each batch.

    Raises:
        StoreError: If the folder holds anything that is not to be replaced.
        LabelError: If a batch is of another label space, or its samples are not one a row of labels.

    >>> from tempfile import TemporaryDirectory
    >>> sets = LabelSets.from_names([["cat"], []])
    >>> with TemporaryDirectory() as folder:
    ...     write_store(Path(folder, "store"), sets.space, [StoreBatch(labels=sets)] * 3)
    ...     open_store(Path(folder, "store")).num_samples
    6
    """
    folder = Path(folder)
    check_replaceable(folder, overwrite=overwrite)

    def write(new: Path) -> None:
        with ExitStack() as stack:
            writer = StoreWriter(new, space, stack)
            for batch in batches:
                writer.append(batch)
                if progress is not None:
                    progress(batch.labels.num_samples)
        sources = [{"name": s.name, "unlisted": s.unlisted, "annotated": s.annotated} for s in writer.sources]
        write_json(new / files.SOURCES, {"sources": sources})
        write_json(new / files.SPACE, space.to_dict())
        manifest = StoreManifest(
            num_samples=writer.num_samples,
            num_labels=len(space),
            num_positives=writer.num_positives,
            num_exceptions=writer.num_exceptions,
            description=description,
            image_roots=() if images is None else _image_roots(folder, images),
            files=files.entries_of(new),
        )
        files.write_manifest(new, manifest)

    try:
        write_folder_atomically(folder, files.FILE_NAMES, write, overwrite=overwrite)
    except FileExistsError as error:
        raise StoreError(str(error)) from None


@dataclass(frozen=True, kw_only=True, eq=False)
class StorePart:
    """Samples that become one part of a store.

    Args:
        labels: Their labels.
        samples: `reference`, `split` and `group` of each.
        images: The folder that references start from; None where they name no pictures.
        description: Where they came from, in words.
        mapping: Brings the labels into the space of the store, as its coarse ones; None matches them by name.
    """

    labels: LabelSets
    samples: pa.Table
    images: Path | None
    description: str
    mapping: LabelMapping | None = None


def concatenate_stores(
    folder: Path,
    stores: Sequence[Path],
    *,
    space: LabelSpace | None = None,
    overwrite: bool = False,
    progress: Advance | None = None,
) -> None:
    """Write a store that holds the samples of several, one after the other; each row keeps its source.

    The arguments are those of `write_parts`.

    >>> from tempfile import TemporaryDirectory
    >>> sets = LabelSets.from_names([["cat"], []])
    >>> with TemporaryDirectory() as parent:
    ...     first, both = Path(parent, "first"), Path(parent, "both")
    ...     write_store(first, sets.space, [StoreBatch(labels=sets)])
    ...     concatenate_stores(both, [first, first])
    ...     open_store(both).num_samples
    4
    """
    opened = [open_store(store) for store in stores]
    parts = [
        StorePart(labels=s.labels, samples=s.samples, images=s.find_images(), description=s.description) for s in opened
    ]
    write_parts(folder, parts, space=space, overwrite=overwrite, progress=progress)


def write_parts(
    folder: Path,
    parts: Sequence[StorePart],
    *,
    space: LabelSpace | None = None,
    overwrite: bool = False,
    progress: Advance | None = None,
) -> None:
    """Write a store that holds the samples of several parts, one after the other; each row keeps its source.

    Their label spaces must be the same, unless `space` is given: then labels are matched by name, or by the mapping that
    a part has, and a label of which a part says nothing was not annotated there, so that its cells are unknown. References
    start from the folder that all image folders lie in.

    Args:
        folder: Absent or empty; its parent must exist.
        parts: The parts, in order.
        space: The labels of the result.
        overwrite: Whether `folder` may be a store already.
        progress: Called after each block.

    Raises:
        LabelError: If label spaces differ, a part has a label that `space` lacks, or only some parts have pictures.
        StoreError: If the folder is not to be replaced.

    >>> from tempfile import TemporaryDirectory
    >>> sets = LabelSets.from_names([["cat"], []])
    >>> samples = pa.table({"reference": ["a", "b"], "split": [None] * 2, "group": [None] * 2})
    >>> with TemporaryDirectory() as parent:
    ...     write_parts(Path(parent, "s"), [StorePart(labels=sets, samples=samples, images=None, description="two")])
    ...     open_store(Path(parent, "s")).samples["reference"].to_pylist()
    ['a', 'b']
    """
    if not parts:
        raise LabelError("there is nothing to put into the store; name at least one part")
    target = parts[0].labels.space if space is None else space
    for part in parts if space is None else ():
        if part.labels.space != target:
            raise LabelError(
                f"the label space of {part.description!r} is not that of {parts[0].description!r}; give space= to match "
                "labels by name, or map them"
            )
    roots = [part.images.resolve() for part in parts if part.images is not None]
    if roots and len(roots) < len(parts):
        bare = next(part.description for part in parts if part.images is None)
        raise LabelError(f"{bare!r} names no pictures and other parts do; write them into stores of their own")
    common = Path(os.path.commonpath(roots)) if roots else None
    prefixes = ["" if common is None else root.relative_to(common).as_posix() for root in roots] or [""] * len(parts)
    write_store(
        folder,
        target,
        (
            StoreBatch(labels=_in_space(batch.labels, target, part.mapping), samples=_below(prefix, batch.samples))
            for part, prefix in zip(parts, prefixes, strict=True)
            for batch in batches_of(part.labels, part.samples)
        ),
        images=common,
        description=" and ".join(part.description for part in parts),
        overwrite=overwrite,
        progress=progress,
    )


def _in_space(sets: LabelSets, space: LabelSpace, mapping: LabelMapping | None) -> LabelSets:
    return align_sets(sets, space) if mapping is None or sets.space == space else mapping.to_coarse(sets)


def _below(prefix: str, samples: "pa.Table | None") -> "pa.Table | None":  # pyright: ignore[reportUnknownParameterType] - pyarrow has no types
    """Return samples whose references start one or more folders higher."""
    if samples is None or prefix in {"", "."}:
        return samples
    parts = [pa.scalar(prefix), samples["reference"], pa.scalar("/")]
    return samples.set_column(0, "reference", pc.call_function("binary_join_element_wise", parts))


def _image_roots(folder: Path, images: Path) -> tuple[str, ...]:
    """Return where pictures are as seen from the store, for both to be moved together, and in full, for the store alone."""
    images = images.resolve()
    try:
        relative = Path(os.path.relpath(images, folder.resolve())).as_posix()
    except ValueError:
        # Windows: the two are on different drives.
        return (str(images),)
    return (relative, str(images))


def check_replaceable(folder: Path, *, overwrite: bool) -> None:
    """Check that a store may be written to a folder, before long work is done for it.

    Raises:
        StoreError: If the folder holds anything that is not to be replaced, or its parent does not exist.

    >>> check_replaceable(Path("nowhere/store"), overwrite=False)
    Traceback (most recent call last):
    manyhot.errors.StoreError: nowhere: there is no such folder to write the store into; make it first
    """
    place = current_folder(folder)
    if not place.parent.is_dir():
        raise StoreError(f"{folder.parent}: there is no such folder to write the store into; make it first")
    if not place.exists() or (place.is_dir() and not any(place.iterdir())):
        return
    if not files.is_store(place):
        raise StoreError(f"{folder}: holds something else than a label store; choose another name, nothing is deleted")
    if not overwrite:
        raise StoreError(
            f"{folder}: is a label store already; choose another name, or replace it (overwrite, --overwrite)"
        )
