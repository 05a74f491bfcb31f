"""WebDataset: tar files in which the members `KEY.jpg` and `KEY.json` or `KEY.cls` are one sample."""

import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from manyhot.errors import quote
from manyhot.labels import Unlisted
from manyhot.sources.cell_lists import NEGATIVE, POSITIVE, UNKNOWN
from manyhot.sources.finding import FindingLog
from manyhot.sources.format import suffix_of
from manyhot.sources.gathering import Gathering, declared_of
from manyhot.sources.label_names import find_names, read_numbered_names
from manyhot.sources.listing import Listing
from manyhot.sources.options import SourceOptions
from manyhot.sources.strict_json import JsonFaultError, JsonObject, parse_json
from manyhot.sources.tables import LABEL_COLUMNS
from manyhot.sources.tar_index import read_tar
from manyhot.sources.tar_pictures import TarPictures
from manyhot.sources.tar_samples import LABEL_MEMBERS, TarSample


def is_webdataset(path: Path) -> bool:
    """Return whether a path is a tar file, or a folder with tar files in it."""
    return suffix_of(path) == ".tar" if path.is_file() else path.is_dir() and bool(_shards_in(path))


def _shards_in(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.tar"))


def read_webdataset(path: Path, options: SourceOptions, findings: FindingLog) -> Listing | None:
    """Return the samples of a tar file, or of all tar files of a folder; their pictures stay inside.

    `KEY.json` holds labels, or `{"labels": labels}`; `KEY.cls` numbers of labels, or else a name a line; `KEY.txt` is
    read as labels where there is neither. Numbers are called by the names that a file beside the tar files gives.
    """
    file = find_names(path if path.is_dir() else path.parent, options)
    names = None if file is None else read_numbered_names(file, findings)
    if file is not None and names is None:
        return None
    rows = Gathering(str(path), findings)
    shards = [path] if path.is_file() else _shards_in(path)
    places = _Places()
    for number, shard in enumerate(shards):
        samples = read_tar(shard, findings)
        if samples is None:
            return None
        for key, sample in samples.items():
            places.add(number, sample)
            _add(key, sample, shard, names, rows, unlisted=options.unlisted)
    embedded = places.pictures(shards, rows) if options.pictures else None
    if names is None and rows.marks(str.isdecimal):
        message = f"{path}: labels that are numbers are called by them, for nothing names them; give a file that names them (names, --data.names FILE)"
        findings.info("unnamed-labels", message)
    declared = None if names is None or file is None else declared_of(names, file)
    return rows.listing(declared, unlisted=options.unlisted, has_pictures=embedded is not None, embedded=embedded)


@dataclass(eq=False)
class _Places:
    """Where the picture of each row is."""

    shard_ids: "array[int]" = field(default_factory=lambda: array("L"))
    offsets: "array[int]" = field(default_factory=lambda: array("q"))
    lengths: "array[int]" = field(default_factory=lambda: array("q"))
    absent: list[int] = field(default_factory=list[int])

    def add(self, shard: int, sample: TarSample) -> None:
        """Note the picture of the next row."""
        if sample.picture is None:
            self.absent.append(len(self.offsets))
        self.shard_ids.append(shard)
        self.offsets.append(sample.offset)
        self.lengths.append(sample.length)

    def pictures(self, shards: list[Path], rows: Gathering) -> TarPictures | None:
        """Return the pictures; None where there are none, or where a compressed shard hides them."""
        if len(self.absent) == len(self.offsets):
            return None
        packed = next((shard for shard in shards if shard.suffix.lower() != ".tar"), None)
        if packed is not None:
            message = f"{packed}: pictures in a compressed tar cannot be read one by one; labels can be checked and "
            rows.findings.info("embedded-pictures", f"{message}converted, and to train, unpack it to a .tar")
            return None
        for row in self.absent:
            rows.reader.fault(
                row, "no-picture", "a sample has no picture, though others have; add it or delete the rest"
            )
        return TarPictures(
            folder=shards[0].parent,
            shards=tuple(shard.name for shard in shards),
            references=pa.array(rows.references, pa.string()),
            shard_ids=np.array(self.shard_ids, dtype=np.uint32),
            offsets=np.array(self.offsets, dtype=np.int64),
            lengths=np.array(self.lengths, dtype=np.int64),
        )


def _add(
    key: str, sample: TarSample, shard: Path, names: tuple[str, ...] | None, rows: Gathering, *, unlisted: Unlisted
) -> None:
    row = rows.add(f"{key}{sample.picture or ''}", f"{shard.name}, key {quote(key)}")
    suffix = next((suffix for suffix in LABEL_MEMBERS if suffix in sample.labels), None)
    if suffix is None:
        message = "a sample has no .json and no .cls; add one, empty for a sample without labels"
        rows.reader.fault(row, "no-labels", message)
        return
    try:
        text = sample.labels[suffix].decode()
        value = parse_json(text) if suffix == ".json" else _listed(text)
    except UnicodeDecodeError:
        rows.reader.fault(row, "encoding", f"a {suffix} is not UTF-8; write it as UTF-8")
        return
    except JsonFaultError as fault:
        rows.reader.fault(row, "json-syntax", "a .json is no JSON; mend it", str(fault))
        return
    for label in _labels_of(value, row, rows):
        _mark(label, row, names, rows)
    for state, label in _other_cells(value, unlisted, row, rows):
        _mark(label, row, names, rows, state)


def _listed(text: str) -> list[object]:
    parts = [part.strip() for part in text.split("\n") if part.strip()]
    if len(parts) == 1 and re.fullmatch(r"\d+([\s,]+\d+)*", parts[0]):
        parts = re.split(r"[\s,]+", parts[0])
    return [int(part) if part.isdecimal() and len(part) < 10 else part for part in parts]


def _labels_of(value: object, row: int, rows: Gathering) -> list[object]:
    if isinstance(value, JsonObject):
        members = dict(value)
        key = next((name for name in LABEL_COLUMNS if name in members), None)
        if key is None or value.repeated_keys():
            message = 'a .json has not one key "labels"; write {"labels": [label, …]}'
            rows.reader.fault(row, "json-shape", message)
            return []
        value = members[key]
    return list(value) if isinstance(value, list) and not isinstance(value, JsonObject) else [value]


def _other_cells(value: object, unlisted: Unlisted, row: int, rows: Gathering) -> Iterator[tuple[int, object]]:
    """Yield the cells that a pack's `KEY.json` lists beside the positives: those that are not what unlisted ones are."""
    members = dict(value) if isinstance(value, JsonObject) else {}
    for key, state, others in (("unknown", UNKNOWN, "negative"), ("negative", NEGATIVE, "unknown")):
        labels = members.get(key)
        if labels is not None and unlisted != others:
            message = f"a .json lists what is {key}, so all else is {others}; read it with --data.unlisted {others}"
            rows.reader.fault(row, "unlisted-state", message)
        elif isinstance(labels, list):
            yield from ((state, label) for label in labels)


def _mark(label: object, row: int, names: tuple[str, ...] | None, rows: Gathering, state: int = POSITIVE) -> None:
    if isinstance(label, str):
        rows.mark(row, label, state)
    elif not isinstance(label, int) or isinstance(label, bool) or label < 0:
        message = "a label is neither text nor a number from 0; mend it"
        rows.reader.fault(row, "label-type", message, repr(label)[:40])
    elif names is not None and label >= len(names):
        message = f"a label's number is not below {len(names):,}, the number of names; labels count from 0"
        rows.reader.fault(row, "unknown-label", message, str(label))
    else:
        rows.mark(row, str(label) if names is None else names[label], state)
