"""Convert: any data, or several, to one label store."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from manyhot.errors import UsageError
from manyhot.labels.aligning import union_of
from manyhot.labels.building import StorePart, check_replaceable, write_parts, write_store
from manyhot.labels.storage import LabelStore, open_store
from manyhot.sources import Manifest, SourceOptions, open_source
from manyhot.sources.streaming import stream_source

log = logging.getLogger("manyhot")

_UNNAMED = "data"
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
    data: Sequence[Path], out: Path, options: SourceOptions = _DEFAULTS, *, overwrite: bool = False
) -> Conversion:
    """Return the store that data were written to; several data are put one after the other.

    Labels of several data are matched by name. A label that one of them does not know was not annotated there: its
    cells are unknown, never negative. The pictures stay where they are.

    Args:
        data: Folders, label files or stores.
        out: The store to write; its parent must exist.
        options: How to read the data.
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
    if len(data) == 1 and _stream(data[0], out, options, overwrite=overwrite):
        return _conversion_of(out)
    manifests = [open_source(path, options) for path in data]
    if len(data) > 1:
        manifests = [_with_named_sources(one, name) for one, name in zip(manifests, _names_of(data), strict=True)]
    for one, path in zip(manifests, data, strict=True):
        log.info("%s", one.description)
        if one.features is not None:
            log.info("%s: a label store holds no features; %d a sample are left out", path, one.features.num_features)
    space = union_of([one.labels.space for one in manifests])
    for one, path in zip(manifests, data, strict=True):
        if one.labels.num_labels < len(space):
            unknown = len(space) - one.labels.num_labels
            log.info("%s: %d labels of the other data are unknown in its samples", path, unknown)
    parts = [
        StorePart(
            labels=one.labels,
            samples=one.samples,
            images=one.root if one.has_pictures else None,
            description=str(path),
        )
        for one, path in zip(manifests, data, strict=True)
    ]
    total = sum(one.num_samples for one in manifests)
    with tqdm(total=total, desc="writing", unit=" samples", disable=None) as bar:
        write_parts(out, parts, space=space, overwrite=overwrite, progress=bar.update)
    return _conversion_of(out)


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


def _names_of(data: Sequence[Path]) -> list[str]:
    """Return a name for each path: its last parts, as many as it takes to tell them apart; a path given twice is counted.

    >>> _names_of([Path("/a/train"), Path("/b/train")]), _names_of([Path("/a/b"), Path("/c"), Path("/c")])
    (['a/train', 'b/train'], ['b', 'c', 'c (2)'])
    """
    different = list(dict.fromkeys(path.absolute() for path in data))
    longest = max(len(path.parts) for path in different)
    tails = ([Path(*path.parts[-length:]).as_posix() for path in different] for length in range(1, longest + 1))
    name_of = dict(zip(different, next(names for names in tails if len(set(names)) == len(names)), strict=True))
    found: list[str] = []
    for number, path in enumerate(data):
        before = sum(path.absolute() == other.absolute() for other in data[:number])
        found.append(f"{name_of[path.absolute()]} ({before + 1})" if before else name_of[path.absolute()])
    return found


def _with_named_sources(manifest: Manifest, name: str) -> Manifest:
    """Name sources that have no name of their own after their data, so that they can be told apart."""
    sources = tuple(
        replace(source, name=name) if source.name == _UNNAMED else source for source in manifest.labels.sources
    )
    return replace(manifest, labels=replace(manifest.labels, sources=sources))


def _conversion_of(out: Path) -> Conversion:
    store = open_store(out)
    sizes = {path.name: path.stat().st_size for path in store.folder.iterdir()}
    samples_bytes = sizes.pop("samples.arrow")
    return Conversion(store=store, labels_bytes=sum(sizes.values()), samples_bytes=samples_bytes)
