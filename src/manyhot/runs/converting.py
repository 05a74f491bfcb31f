"""Convert: any data, or several, to one label store."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from manyhot.errors import UsageError
from manyhot.labels.building import StorePart, check_replaceable, write_parts, write_store
from manyhot.labels.storage import LabelStore, open_store
from manyhot.runs.data_sets import DataSet, open_data_sets
from manyhot.sources import SourceOptions
from manyhot.sources.streaming import stream_source

log = logging.getLogger("manyhot")

_DEFAULTS = SourceOptions()


@dataclass(frozen=True, kw_only=True, eq=False)
class Conversion:
    """What was written.

    Args:
        store: The new store, opened.
        labels_bytes: Size of all its files but the samples.
        samples_bytes: Size of the samples' names, splits and groups.
    """

    store: LabelStore
    labels_bytes: int
    samples_bytes: int


def convert(
    data: Sequence[Path],
    out: Path,
    options: SourceOptions = _DEFAULTS,
    *,
    mapping: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> Conversion:
    """Return the store that data were written to; several data are put one after the other.

    Labels of several data are matched by name. A label that one of them does not know was not annotated there: its
    cells are unknown, never negative. The pictures stay where they are.

    Args:
        data: Folders, label files or stores.
        out: The store to write; its parent must exist.
        options: How to read the data.
        mapping: Of several data, files of links between their labels: `open_data_sets`.
        overwrite: Replace `out` if it is a store already.

    Raises:
        SourceError: If data cannot be read, or `out` is there already.

    >>> convert([Path("nowhere")], Path("store"))
    Traceback (most recent call last):
    manyhot.errors.SourceError: nowhere: there is no such file or folder; check the path
    """
    if not data:
        raise UsageError("nothing to convert; name a folder, a label file or a label store")
    check_replaceable(out, overwrite=overwrite)
    if len(data) == 1 and not mapping and _stream(data[0], out, options, overwrite=overwrite):
        return _conversion_of(out)
    data_sets = open_data_sets(data, options, mapping or {})
    for one in data_sets:
        for line in one.to_lines():
            log.info("%s", line)
    parts = [_part_of(one) for one in data_sets]
    total = sum(part.labels.num_samples for part in parts)
    with tqdm(total=total, desc="writing", unit=" samples", disable=None) as bar:
        space = None if parts[0].mapping is None else parts[0].mapping.coarse
        write_parts(out, parts, space=space, overwrite=overwrite, progress=bar.update)
    return _conversion_of(out)


def _part_of(one: DataSet) -> StorePart:
    manifest = one.manifest
    if manifest.features is not None:
        count = manifest.features.num_features
        log.info("%s: a label store holds no features; %d a sample are left out", one.path, count)
    return StorePart(
        labels=manifest.labels,
        samples=manifest.samples,
        images=manifest.root if manifest.has_pictures else None,
        description=str(one.path),
        mapping=one.mapping,
    )


def _stream(path: Path, out: Path, options: SourceOptions, *, overwrite: bool) -> bool:
    """Write the store in flat memory, and return whether the data could be read so."""
    with (
        tqdm(desc="reading", unit=" samples", disable=None) as bar,
        stream_source(path, options, bar.update) as source,
    ):
        if source is None:
            return False
        log.info("%d samples with %d labels from %s", source.num_samples, len(source.space), source.file)
        bar.set_description("writing")
        bar.reset(source.num_samples)
        write_store(
            out,
            source.space,
            source.batches(),
            images=source.images,
            description=str(path),
            overwrite=overwrite,
            progress=bar.update,
        )
    return True


def _conversion_of(out: Path) -> Conversion:
    store = open_store(out)
    sizes = {path.name: path.stat().st_size for path in store.folder.iterdir()}
    samples_bytes = sizes.pop("samples.arrow")
    return Conversion(store=store, labels_bytes=sum(sizes.values()), samples_bytes=samples_bytes)
