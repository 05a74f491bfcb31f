"""COCO JSON: images, categories, and annotations that say which category stands in which image."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from manyhot.errors import quote
from manyhot.labels.space import name_fault
from manyhot.sources.finding import FindingLog
from manyhot.sources.format import suffix_of
from manyhot.sources.gathering import Gathering, declared_of
from manyhot.sources.listing import SPLIT_NAMES, Listing
from manyhot.sources.options import SourceOptions
from manyhot.sources.text import read_text
from manyhot.sources.unpacking import open_binary

_MARKS = (b'"images"', b'"annotations"')
_FOLDER_FILES = ("annotations/instances_*.json", "*/_annotations.coco.json", "_annotations.coco.json")


@dataclass(frozen=True)
class _Box:
    """An annotation without its shape, which is most of such a file."""

    image: object
    category: object


@dataclass(frozen=True)
class _Repeated:
    """An object in which a key stands twice."""

    key: str


def is_coco(path: Path) -> bool:
    """Return whether a path is a JSON file with images and annotations, or a folder with such files."""
    if path.is_dir():
        return bool(_files_in(path))
    if suffix_of(path) != ".json" or not path.is_file():
        return False
    missing = set(_MARKS)
    try:
        with open_binary(path) as file:
            tail = b""
            while missing and (data := file.read(1 << 22)):
                missing = {mark for mark in missing if mark not in tail + data}
                tail = data[-20:]
    except (OSError, EOFError):
        return False
    return not missing


def _files_in(folder: Path) -> list[Path]:
    return next((files for pattern in _FOLDER_FILES if (files := sorted(folder.glob(pattern)))), [])


def read_coco(path: Path, options: SourceOptions, findings: FindingLog) -> Listing | None:
    """Return the images of a file, or of all files of a folder with the splits that their names state.

    A category is positive in an image with at least one annotation of it, crowds included; segmentations, boxes,
    keypoints and captions are not looked at. Images without annotations are samples without labels, and categories that
    never occur are labels.
    """
    files = _files_in(path) if path.is_dir() else [path]
    rows = Gathering(str(path), findings)
    names: dict[str, None] = {}
    for file in files:
        content = _parse(file, findings)
        categories = None if content is None else _categories_of(content, file, findings)
        if content is None or categories is None:
            return None
        names |= dict.fromkeys(categories.values())
        split = split_in(str(file.relative_to(path).parent) if path.is_dir() else "") or split_in(file.stem)
        prefix = _prefix_of(file, path, content) if path.is_dir() else ""
        images = _images_of(content, file, rows, prefix, split if len(files) > 1 else None)
        _mark(content, categories, images, file, rows)
    root = options.images or (path if path.is_dir() else _root_of(path, rows.references))
    return rows.listing(declared_of(list(names), files[0]), unlisted=options.unlisted, root=root)


def split_in(name: str) -> str | None:
    """Return the split that a name holds as a word of its own, or None.

    >>> split_in("instances_val2017"), split_in("trainers")
    ('val', None)
    """
    words = re.findall(r"[a-z]+", name.casefold())
    return next((SPLIT_NAMES[word] for word in reversed(words) if word in SPLIT_NAMES), None)


def _reduce(pairs: list[tuple[str, object]]) -> object:
    members = dict(pairs)
    if len(members) < len(pairs):
        keys = [key for key, _ in pairs]
        return _Repeated(next(key for key in keys if keys.count(key) > 1))
    if "image_id" in members and "category_id" in members:
        return _Box(members["image_id"], members["category_id"])
    return members


def _parse(path: Path, findings: FindingLog) -> dict[str, list[object]] | None:
    text = read_text(path, findings)
    if text is None:
        return None
    try:
        value: object = json.loads(text, object_pairs_hook=_reduce)
    except (ValueError, RecursionError) as error:
        findings.error("json-syntax", f"{path}: {error}; mend the JSON there")
        return None
    if isinstance(value, _Repeated):
        findings.error("duplicate-key", f"{path}: a key stands twice in one object; delete one", quote(value.key))
        return None
    content: dict[str, list[object]] = {}
    for key in ("images", "annotations", "categories"):
        part = value.get(key) if isinstance(value, dict) else None
        if not isinstance(part, list):
            message = f"{path}: there is no list {quote(key)}; COCO needs images, annotations and categories"
            findings.error("json-shape", f"{message} (a file of captions has none: take the instances)")
            return None
        content[key] = list(part)
        for number, entry in enumerate(part):
            if not isinstance(entry, dict | _Box):
                found = f"{key}[{number}]" + (f": {quote(entry.key)} twice" if isinstance(entry, _Repeated) else "")
                findings.error("json-shape", f"{path}: an entry is no object with every key once; mend it", found)
                return None
    return content


def _members(entry: object) -> dict[str, object]:
    return dict(entry) if isinstance(entry, dict) else {}


def _categories_of(content: dict[str, list[object]], path: Path, findings: FindingLog) -> dict[object, str] | None:
    found: dict[object, str] = {}
    sound = True
    for number, entry in enumerate(content["categories"]):
        members = _members(entry)
        key, name = members.get("id"), members.get("name")
        fault = None
        if not isinstance(key, int) or not isinstance(name, str):
            fault = "has no id that is a whole number, or no name that is text"
        elif name_fault(name) is not None:
            fault = name_fault(name)
        elif key in found or name in found.values():
            fault = f"repeats the id or name of another: {key}, {quote(name)}"
        if fault is not None:
            findings.error("category", f"{path}: a category is wrong; mend it", f"categories[{number}] {fault}")
            sound = False
        elif isinstance(name, str):
            found[key] = name
    if not found and sound:
        findings.error("empty-data", f"{path}: there are no categories; list them")
    return found if sound and found else None


def _prefix_of(file: Path, folder: Path, content: dict[str, list[object]]) -> str:
    """Return the folder that a file's pictures lie in, as the beginning of their references."""
    name = next((str(_members(entry).get("file_name")) for entry in content["images"]), "")
    stem = file.stem.removeprefix("instances_")
    for candidate in (str(file.parent.relative_to(folder)), stem, f"images/{stem}", "images"):
        if candidate != "." and (folder / candidate / name).is_file():
            return f"{candidate}/"
    return ""


def _root_of(path: Path, references: list[str]) -> Path | None:
    """Return the folder that pictures lie in where it is not beside the file: the layout of COCO itself."""
    stem = path.stem.removeprefix("instances_")
    above = path.parent.parent
    first = references[0] if references else ""
    roots = (above / stem, above / "images" / stem, above / "images", above)
    beside = (path.parent / "images" / first).is_file() or (path.parent / first).is_file()
    return None if beside else next((root for root in roots if first and (root / first).is_file()), None)


def _images_of(
    content: dict[str, list[object]], path: Path, rows: Gathering, prefix: str, split: str | None
) -> dict[object, int]:
    found: dict[object, int] = {}
    for number, entry in enumerate(content["images"]):
        members = _members(entry)
        key, name = members.get("id"), members.get("file_name")
        place = f"{path.name}, images[{number}]"
        if not isinstance(key, int | str) or not isinstance(name, str):
            rows.findings.error("image", f"{path}: an image has no id, or no file_name that is text; add it", place)
        elif key in found:
            message = f"{path}: two images have the same id; give each its own"
            rows.findings.error("duplicate-id", message, f"{place}: id {key} as in {rows.places[found[key]]}")
        else:
            found[key] = rows.add(f"{prefix}{name}", place, split=split)
    return found


def _mark(
    content: dict[str, list[object]],
    categories: dict[object, str],
    images: dict[object, int],
    path: Path,
    rows: Gathering,
) -> None:
    seen: set[tuple[int, str]] = set()
    for number, box in enumerate(content["annotations"]):
        if not isinstance(box, _Box):
            message = f"{path}: an annotation has no image_id or no category_id; take the file of instances"
            rows.findings.error("annotation", message, f"annotations[{number}]")
            continue
        row = images.get(box.image) if isinstance(box.image, int | str) else None
        name = categories.get(box.category) if isinstance(box.category, int) else None
        if row is None or name is None:
            what, key = ("an image", box.image) if row is None else ("a category", box.category)
            message = f"{path}: an annotation names {what} that is not listed; list it, or delete the annotation"
            rows.findings.error("unknown-id", message, f"annotations[{number}]: {quote(str(key))}")
        elif (row, name) not in seen:
            seen.add((row, name))
            rows.mark(row, name)
