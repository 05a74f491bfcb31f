"""Pictures to predict: named one by one, by a folder, or by a table or list that needs no labels."""

from collections.abc import Sequence
from pathlib import Path

from manyhot.errors import SourceError
from manyhot.sources.embedded_source import open_embedded
from manyhot.sources.finding import FindingLog
from manyhot.sources.label_store import is_label_store, read_label_store
from manyhot.sources.listing import Reader
from manyhot.sources.opening import IMAGE_FOLDER
from manyhot.sources.options import SourceOptions
from manyhot.sources.pack_files import is_pack
from manyhot.sources.picture_store import ChainedPictures, PictureFiles, PictureStore
from manyhot.sources.scanning import scan_folder
from manyhot.sources.strict_json import JsonFaultError, JsonObject, parse_json
from manyhot.sources.table_files import TABLE_FILES
from manyhot.sources.tables import find_reference_column, texts_of
from manyhot.sources.text import read_text


def open_pictures(paths: Sequence[Path]) -> PictureStore:
    """Return the pictures that paths mean, one after the other: files as of `list_pictures`, those that data embed, and those of a label store's samples.

    Raises:
        SourceError: As of `list_pictures`, or if a pack, a tar, a shard or a label store cannot be read, or has no pictures.

    >>> open_pictures([Path("nowhere.jpg")])
    Traceback (most recent call last):
    manyhot.errors.SourceError: nowhere.jpg: there is no such file or folder; check the path
    """
    stores = [_pictures_of(path) for path in paths]
    return stores[0] if len(stores) == 1 else ChainedPictures(stores)


def _pictures_of(path: Path) -> PictureStore:
    if is_label_store(path):
        return _pictures_of_store(path)
    # A folder of pictures with a tar in it is a folder of pictures; a pack stays one, whatever lies in its folder.
    listed = list_pictures(path) if path.is_dir() and not is_pack(path) else []
    embedded = None if listed else open_embedded(path)
    return PictureFiles.from_paths(listed or list_pictures(path)) if embedded is None else embedded


def _pictures_of_store(path: Path) -> PictureStore:
    findings = FindingLog()
    manifest = read_label_store(path, SourceOptions(), findings)
    reasons = [finding.line for finding in findings.findings() if finding.severity == "error"]
    if manifest is None or reasons:
        raise SourceError("; and ".join(reasons))
    if not manifest.has_pictures:
        raise SourceError(f"{path}: the label store knows no pictures; name the folder that they are in")
    return manifest.pictures


def list_pictures(path: Path, *, reference_column: str | None = None) -> list[Path]:
    """Return the pictures that a path means, whether or not they can be opened.

    A folder means every picture in it, at any depth, sorted, those of formats that are not opened as well; a table the files of its reference column; a
    JSON file its keys or its list of names; any other file itself. Names in files start from `images` beside the file
    where there is such a folder, else from the file's folder; absolute paths are taken as they are.

    Raises:
        SourceError: If there is no such path, or a table does not say which pictures it means.

    >>> list_pictures(Path("nowhere.jpg"))
    Traceback (most recent call last):
    manyhot.errors.SourceError: nowhere.jpg: there is no such file or folder; check the path
    """
    if path.is_dir():
        scan = scan_folder(path)
        return [path / name for name in sorted([*scan.pictures(), *scan.other_pictures()])]
    if not path.is_file():
        raise SourceError(f"{path}: there is no such file or folder; check the path")
    findings = FindingLog()
    if path.suffix.lower() in TABLE_FILES:
        names = _names_in_table(path, reference_column, findings)
    elif path.suffix.lower() == ".json":
        names = _names_in_json(path, findings)
    else:
        return [path]
    if findings.has_errors:
        raise SourceError("; and ".join(finding.line for finding in findings.findings() if finding.severity == "error"))
    return [_root_of(path, names) / name for name in names]


def _root_of(path: Path, names: list[str]) -> Path:
    images = path.parent / IMAGE_FOLDER
    return images if images.is_dir() and not all(name.startswith(f"{IMAGE_FOLDER}/") for name in names) else path.parent


def _names_in_table(path: Path, reference_column: str | None, findings: FindingLog) -> list[str]:
    table = TABLE_FILES[path.suffix.lower()](path, findings)
    column = None if table is None else find_reference_column(table.file, table.names, reference_column, findings)
    if table is None or column is None:
        return []
    reader = Reader(table.file, findings, table.place)
    names = [name or "" for name in texts_of(table, column, reader) or []]
    for row, name in enumerate(names):
        if not name and row not in reader.faulty:
            reader.fault(row, "empty-reference", "a row names no picture; write its name or delete the row")
    return names


def _names_in_json(path: Path, findings: FindingLog) -> list[str]:
    text = read_text(path, findings)
    if text is None:
        return []
    try:
        value = parse_json(text)
    except JsonFaultError as fault:
        findings.error("json-syntax", f"{path}: {fault}; mend the JSON there")
        return []
    names: list[object] = [key for key, _ in value] if isinstance(value, JsonObject) else [value]
    if isinstance(value, list) and not isinstance(value, JsonObject):
        names = list(value)
    texts = [name for name in names if isinstance(name, str)]
    if len(texts) < len(names):
        findings.error("json-shape", f"{path}: expected a list of names, or an object whose keys are names; write one")
    return texts
