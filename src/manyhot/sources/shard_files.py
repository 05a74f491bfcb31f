"""Which files are the shards of a Hugging Face data set, and which split each belongs to."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from manyhot.errors import quote
from manyhot.sources.class_labels import class_names, member
from manyhot.sources.coco import split_in
from manyhot.sources.finding import FindingLog
from manyhot.sources.listing import SPLIT_NAMES
from manyhot.sources.strict_json import JsonFaultError, JsonObject, parse_json
from manyhot.sources.text import read_text

STATE, INFO, SPLITS = "state.json", "dataset_info.json", "dataset_dict.json"
_NUMBERED = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<total>\d{5})(?P<rest>.*)")


@dataclass(frozen=True, kw_only=True, eq=False)
class ShardFile:
    """One file of rows.

    Args:
        path: Where it is.
        split: Its split, or None.
        is_saved: Whether `save_to_disk` wrote it.
        classes: The names of class labels that stand beside it; where it was saved.
    """

    path: Path
    split: str | None
    is_saved: bool = False
    classes: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])


def find_shards(path: Path, findings: FindingLog) -> list[ShardFile] | None:
    """Return the shards of a path, in order; none where it has none, and None where it is broken, with errors.

    >>> find_shards(Path("nowhere"), FindingLog())
    []
    """
    if path.is_file():
        return [ShardFile(path=path, split=None)] if path.suffix.lower() in (".parquet", ".arrow") else []
    if (path / SPLITS).is_file():
        return _saved_splits(path, findings)
    if (path / STATE).is_file():
        return _saved(path, None, findings)
    return _parquet_files(path, findings) if path.is_dir() else []


def looks_saved(path: Path) -> bool:
    """Return whether a folder holds what `save_to_disk` writes, sound or not.

    >>> looks_saved(Path("nowhere"))
    False
    """
    is_part = (path / STATE).is_file() and ((path / INFO).is_file() or next(path.glob("*.arrow"), None) is not None)
    return is_part or (path / SPLITS).is_file()


def parquet_in(path: Path) -> list[Path]:
    """Return the Parquet files of a folder, or else of the folders in it, or else of those in them."""
    for pattern in ("*.parquet", "*/*.parquet", "*/*/*.parquet"):
        # Hidden folders hold what a download has left behind.
        found = [
            file for file in path.glob(pattern) if not any(part[0] == "." for part in file.relative_to(path).parts)
        ]
        if found:
            return sorted(found)
    return []


def _saved_splits(path: Path, findings: FindingLog) -> list[ShardFile] | None:
    names = member(_read_json(path / SPLITS, findings), "splits")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and _is_plain(name) for name in names):
        findings.error("json-shape", f'{path / SPLITS}: expected {{"splits": [name, …]}}; save the data set again')
        return None
    files: list[ShardFile] = []
    for name in map(str, names):
        split = SPLIT_NAMES.get(name.casefold())
        if split is None and len(names) > 1:
            message = (
                f"{path / SPLITS}: a split is none of train, val, test; read {path / name} by itself, or rename it"
            )
            findings.error("unknown-split", message, quote(name))
            return None
        if not (path / name / STATE).is_file():
            message = f"{path / SPLITS}: a split has no folder with {STATE}; save the data set again"
            findings.error("missing-file", message, quote(name))
            return None
        part = _saved(path / name, split, findings)
        if part is None:
            return None
        files += part
    return files


def _saved(path: Path, split: str | None, findings: FindingLog) -> list[ShardFile] | None:
    state = _read_json(path / STATE, findings)
    if state is None:
        return None
    if member(state, "_indices_data_files"):
        message = f"{path / STATE}: rows were chosen by indices beside the data; save it again with datasets 2 or later"
        findings.error("saved-indices", message)
        return None
    entries = member(state, "_data_files")
    names = [member(entry, "filename") for entry in entries] if isinstance(entries, list) else []
    if not names or not all(isinstance(name, str) and name for name in names):
        message = f'{path / STATE}: expected {{"_data_files": [{{"filename": name}}, …]}}; save the data set again'
        findings.error("json-shape", message)
        return None
    for name in map(str, names):
        if not _is_plain(name):
            message = f"{path / STATE}: a file lies outside of the folder; save the data set again"
            findings.error("outside-root", message, quote(name))
            return None
    own = member(state, "_split")
    split = split or (SPLIT_NAMES.get(own.casefold()) if isinstance(own, str) else None)
    classes = class_names(_read_json(path / INFO, findings)) if (path / INFO).is_file() else {}
    return [ShardFile(path=path / str(name), split=split, is_saved=True, classes=classes) for name in names]


def _is_plain(name: str) -> bool:
    return re.search(r"[\\/:\0]", name) is None and name not in ("", ".", "..")


def _read_json(path: Path, findings: FindingLog) -> JsonObject | None:
    text = read_text(path, findings)
    if text is None:
        return None
    try:
        value = parse_json(text)
    except JsonFaultError as fault:
        findings.error("json-syntax", f"{path}: {fault}; mend the JSON there")
        return None
    if not isinstance(value, JsonObject):
        findings.error("json-shape", f"{path}: is no JSON object; save the data set again")
        return None
    return value


def _parquet_files(path: Path, findings: FindingLog) -> list[ShardFile] | None:
    found = parquet_in(path)
    names = [file.relative_to(path) for file in found]
    folders = {"/".join(part for part in name.parent.parts if part.casefold() not in SPLIT_NAMES) for name in names}
    if len(folders) > 1:
        message = f"{path}: shards lie in several folders, which may be several versions of the data; name one of them"
        findings.error("several-folders", message, ", ".join(quote(str(path / folder)) for folder in sorted(folders)))
        return None
    if not _all_there(names, path, findings):
        return None
    splits = [split_in(name.stem) or split_in(str(name.parent)) for name in map(PurePosixPath, names)]
    if any(splits) and None in splits:
        message = f"{path}: a shard's name says no split, though others do; read {path / names[splits.index(None)]} by "
        findings.error("partial-split", f"{message}itself, or rename it", quote(str(names[splits.index(None)])))
        return None
    return [ShardFile(path=file, split=split) for file, split in zip(found, splits, strict=True)]


def _all_there(names: Sequence[Path], path: Path, findings: FindingLog) -> bool:
    """Return whether no shard of `NAME-00000-of-00003` is missing."""
    numbers: dict[tuple[str, str], set[int]] = {}
    for name in names:
        match = _NUMBERED.fullmatch(name.stem)
        if match is not None:
            key = (str(name.with_name(match["stem"])), match["total"])
            numbers.setdefault(key, set()).add(int(match["number"]))
    sound = True
    for (stem, total), present in numbers.items():
        absent = set(range(int(total))) - present
        sound = sound and not absent
        for number in sorted(absent):
            message = f"{path}: a shard is missing; get it, or write the data set again"
            findings.error("missing-file", message, quote(f"{stem}-{number:05d}-of-{total}.parquet"))
    return sound
