"""One data set or several: opened, named, and brought into one label space."""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from manyhot.config import DataConfig
from manyhot.errors import ConfigError, LabelError, SourceError, did_you_mean
from manyhot.labels import LabelMapping, LabelSpace
from manyhot.labels.joint_spaces import is_renaming, join_spaces, main_space
from manyhot.labels.link_files import read_mapping
from manyhot.runs.options import source_options
from manyhot.sources import Manifest, SourceOptions, open_source
from manyhot.sources.joining import join_manifests

_UNNAMED = "data"


@dataclass(frozen=True, kw_only=True, eq=False)
class DataSet:
    """One of the data sets that belong together.

    Args:
        name: What settings and messages call it.
        path: Where it was read.
        manifest: Its samples, with labels in its own space.
        mapping: Brings them into the space of all data sets, as its coarse labels; None where there is no other.
        notes: What its links are and which labels are unknown in its samples, a line each.
    """

    name: str
    path: Path
    manifest: Manifest
    mapping: LabelMapping | None
    notes: tuple[str, ...] = ()

    def to_lines(self) -> list[str]:
        """Return what it is and what is unknown in it, in words."""
        return [self.manifest.description, *self.notes]

    def aligned(self) -> Manifest:
        """Return its samples with labels in the space of all data sets, and with references that no other data set has.

        What a tar calls its pictures may stand in the next tar as well: there references start from the file.
        """
        if self.mapping is None:
            return self.manifest
        labels = self.manifest.labels
        if labels.space != self.mapping.coarse:
            labels = self.mapping.to_coarse(labels)
        return replace(self.manifest, labels=labels, root=self._root())

    def _root(self) -> Path:
        is_in_file = self.manifest.embedded is not None and self.path.is_file()
        # Rows of shards are called FILE/1, FILE/2 and so on: by their file already.
        is_named = is_in_file and self.manifest.samples["reference"][0].as_py().startswith(f"{self.path.name}/")
        return self.path if is_in_file and not is_named else self.manifest.root


def open_data(config: DataConfig) -> list[DataSet]:
    """Return the data sets that a recipe names: `open_data_sets`.

    >>> open_data(DataConfig(path=("nowhere", "elsewhere")))
    Traceback (most recent call last):
    manyhot.errors.SourceError: nowhere: there is no such file or folder; check the path
    """
    return open_data_sets([Path(path) for path in config.paths], source_options(config), config.mapping or {})


def open_data_sets(paths: Sequence[Path], options: SourceOptions, mapping: Mapping[str, str]) -> list[DataSet]:
    """Return data sets in one label space.

    A label that a data set does not know was not annotated there: its cells are unknown, never negative. See `join_spaces`.

    Args:
        paths: Folders, label files or stores.
        options: How to read them.
        mapping: By the names of data sets, files of links between their labels and those of the data sets without links.

    Raises:
        SourceError: If data or links cannot be read, or label spaces do not fit together.
        ConfigError: If a mapping is for no data set.
    """
    if len(paths) == 1:
        if mapping:
            raise ConfigError("data.mapping links the labels of several data sets, and there is one; leave it out")
        (path,) = paths
        manifest = open_source(path, options)
        return [DataSet(name=path.name, path=path, manifest=manifest, mapping=None)]
    return align_data_sets(paths, (open_source(path, options) for path in paths), mapping)


def align_data_sets(paths: Sequence[Path], read: Iterable[Manifest], mapping: Mapping[str, str]) -> list[DataSet]:
    """Return several data sets in one label space: see `open_data_sets`.

    Args:
        paths: Where they were read.
        read: What was read, in that order; asked for once the names in `mapping` are known to be right.
        mapping: As of `open_data_sets`.

    Raises:
        SourceError: As of `open_data_sets`.
        ConfigError: As of `open_data_sets`.

    >>> from manyhot.labels import LabelSets
    >>> manifests = [Manifest.from_lists(Path(), ["1.jpg"], LabelSets.from_names([[name]])) for name in ("cat", "dog")]
    >>> [one.notes for one in align_data_sets([Path("a"), Path("b")], manifests, {})]
    [('a: 1 of all 2 labels are unknown in its samples',), ('b: 1 of all 2 labels are unknown in its samples',)]
    """
    names = names_of(paths)
    for name in mapping:
        if name not in names:
            near = did_you_mean(name, names) or f"; there are: {', '.join(names)}"
            raise ConfigError(f"data.mapping.{name}: there is no such data set{near}")
    manifests = [
        with_named_sources(manifest, name, others={*names} - {name}) for manifest, name in zip(read, names, strict=True)
    ]
    spaces = {name: manifest.labels.space for name, manifest in zip(names, manifests, strict=True)}
    try:
        main = main_space(list(spaces.values()), [mapping.get(name) for name in names])
        links = {name: _read_links(Path(path), name, spaces[name], main) for name, path in mapping.items()}
        joint = join_spaces(list(spaces.values()), [links.get(name) for name in names])
    except LabelError as error:
        raise SourceError(f"the labels of {', '.join(names)} do not go together: {error}") from None
    return [
        DataSet(
            name=name,
            path=path,
            manifest=manifest,
            mapping=decides,
            notes=(
                *(_describe_links(mapping[name], name, links[name]) if name in links else ()),
                *_describe_unknown(name, decides),
            ),
        )
        for name, path, manifest, decides in zip(names, paths, manifests, joint.mappings, strict=True)
    ]


def joined(aligned: Sequence[Manifest]) -> Manifest:
    """Return the samples of aligned data sets as one manifest.

    >>> from manyhot.labels import LabelSets
    >>> manifest = Manifest.from_lists(Path(), ["a.jpg"], LabelSets.from_names([["cat"]]))
    >>> joined([manifest]) is manifest, joined([manifest, manifest]).num_samples
    (True, 2)
    """
    return aligned[0] if len(aligned) == 1 else join_manifests(aligned)


def names_of(paths: Sequence[Path]) -> list[str]:
    """Return a name for each path: its last parts, as many as it takes to tell them apart; a path given twice is counted.

    >>> names_of([Path("/a/train"), Path("/b/train")]), names_of([Path("/a/b"), Path("/c"), Path("/c")])
    (['a/train', 'b/train'], ['b', 'c', 'c (2)'])
    """
    # As a run keeps its paths, so that it calls them the same later on.
    full = [Path(os.path.abspath(path)) for path in paths]  # noqa: PTH100 - Path.absolute keeps ".."
    different = list(dict.fromkeys(full))
    longest = max(len(path.parts) for path in different)
    tails = ([Path(*path.parts[-length:]).as_posix() for path in different] for length in range(1, longest + 1))
    name_of = dict(zip(different, next(names for names in tails if len(set(names)) == len(names)), strict=True))
    found: list[str] = []
    for number, path in enumerate(full):
        before = full[:number].count(path)
        found.append(f"{name_of[path]} ({before + 1})" if before else name_of[path])
    return found


def with_named_sources(manifest: Manifest, name: str, others: Collection[str] = ()) -> Manifest:
    """Return a manifest whose sources without a name of their own are named after their data, to be told apart.

    A source that is called as another data set is becomes NAME/SOURCE: they are not the same.

    Args:
        manifest: Of one data set.
        name: What the data set is called.
        others: What the other data sets are called.

    >>> from manyhot.labels import LabelSets
    >>> manifest = Manifest.from_lists(Path(), ["a.jpg"], LabelSets.from_names([["cat"]]))
    >>> with_named_sources(manifest, "photos").labels.sources[0].name
    'photos'
    """

    def named(own: str) -> str:
        if own == _UNNAMED:
            return name
        return f"{name}/{own}" if own in others else own

    sources = tuple(replace(source, name=named(source.name)) for source in manifest.labels.sources)
    return replace(manifest, labels=replace(manifest.labels, sources=sources))


def _read_links(path: Path, name: str, own: LabelSpace, main: LabelSpace) -> LabelMapping:
    if not path.is_file():
        raise SourceError(f"{path}: there is no such file of links (data.mapping.{name}); check the path")
    links = _read_either_way(path, name, own, main)
    if not links.links.size:
        raise SourceError(f"{path}: links no label of {name} with one of the other data sets; write at least one link")
    # Values that stand alone are what their keys belong to: the wider label of each.
    is_table = path.suffix.lower() == ".csv"
    return links if is_table or links.links.lengths().max() > 1 else links.invert()


def _read_either_way(path: Path, name: str, own: LabelSpace, main: LabelSpace) -> LabelMapping:
    """Return links whose keys are labels of the data set, or else of the others: whichever the file can mean."""
    found: list[LabelMapping] = []
    faults: list[LabelError] = []
    for keys, values in ((own, main), (main, own)):
        try:
            found.append(read_mapping(path, keys, values))
        except LabelError as error:
            faults.append(error)
    if not found:
        raise SourceError(
            f"{faults[0]} (keys are labels of {name}, values those of the other data sets, or the other way round)"
        )
    if len(found) > 1 and not _is_same(*found):
        raise SourceError(
            f"{path}: its keys can be labels of {name} or of the other data sets, and mean something else each time; "
            "write names, some of which only one side has"
        )
    return found[0]


def _is_same(links: LabelMapping, turned: LabelMapping) -> bool:
    """Return whether links say the same if their keys are labels of the other side."""
    pairs = set(zip(links.links.row_ids().tolist(), links.links.ids.tolist(), strict=True))
    others = set(zip(turned.links.ids.tolist(), turned.links.row_ids().tolist(), strict=True))
    return pairs == others and is_renaming(links)


def _describe_links(path: str, name: str, links: LabelMapping) -> tuple[str, ...]:
    linked = f"{int((links.links.lengths() > 0).sum()):,}"
    if is_renaming(links):
        return (f"{path}: {linked} labels of {name} are labels of the other data sets by another name",)
    return (f"{path}: {linked} labels are each the union of others, {links.links.size:,} in all",)


def _describe_unknown(name: str, decides: LabelMapping) -> tuple[str, ...]:
    unknown, all_labels = int((decides.links.lengths() == 0).sum()), len(decides.coarse)
    return (f"{name}: {unknown:,} of all {all_labels:,} labels are unknown in its samples",) if unknown else ()
