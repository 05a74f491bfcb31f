"""YOLO: a text file beside each picture with a line `label x y w h` an object, and a file that names the labels."""

import re
from pathlib import Path, PurePosixPath

from manyhot.errors import quote
from manyhot.sources.finding import FindingLog
from manyhot.sources.gathering import Gathering, declared_of
from manyhot.sources.label_names import read_numbered_names, sound_names
from manyhot.sources.listing import SPLIT_NAMES, Listing
from manyhot.sources.options import SourceOptions
from manyhot.sources.scanning import FolderScan, scan_folder
from manyhot.sources.simple_yaml import YamlFaultError, read_yaml_names
from manyhot.sources.text import read_text

NAMES_FILES = ("data.yaml", "data.yml", "dataset.yaml", "classes.txt", "obj.names")
_LINE = re.compile(r"\d{1,9}(\s+[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?){4,}\s*")


def is_yolo(path: Path) -> bool:
    """Return whether a path is a folder with a YOLO names file and text files of labels, or such a YAML file."""
    if path.is_file():
        return path.suffix.lower() in (".yaml", ".yml")
    if not path.is_dir():
        return False
    names = _names_file(path)
    return _has_label_folder(path) or (names is not None and any(file != names for file in path.rglob("*.txt")))


def _has_label_folder(path: Path) -> bool:
    both = (path / "images").is_dir() and (path / "labels").is_dir()
    return both and next((path / "labels").rglob("*.txt"), None) is not None


def _names_file(folder: Path) -> Path | None:
    return next((folder / name for name in NAMES_FILES if (folder / name).is_file()), None)


def read_yolo(path: Path, options: SourceOptions, findings: FindingLog) -> Listing | None:
    """Return the pictures of a folder with the labels of the text files beside them, or None with errors.

    `images/train/a.jpg` has its labels in `labels/train/a.txt`; a folder named for a split on the way is the split. A
    picture without such a file, or with an empty one, is a sample without labels.
    """
    folder = path if path.is_dir() else path.parent
    names = _read_names(path, folder, options, findings)
    if names is None:
        return None
    scan = scan_folder(options.images or folder)
    rows = Gathering(str(folder), findings)
    read: set[str] = set()
    for picture in scan.pictures():
        file = labels_of(picture, scan)
        split = next((SPLIT_NAMES[part] for part in PurePosixPath(picture).parts[:-1] if part in SPLIT_NAMES), None)
        row = rows.add(picture, f"picture {quote(picture)}" if file is None else file, split=split)
        if file is not None:
            read.add(file)
            _mark(scan.root / file, row, names, rows)
    for file in sorted(scan.files - read):
        if file.endswith(".txt") and "labels" in PurePosixPath(file).parts[:-1]:
            message = f"{folder}: a label file has no picture; add the picture, or delete the file"
            findings.error("missing-file", message, quote(file))
    declared = declared_of(names, options.names or _names_file(folder) or folder)
    return rows.listing(declared, unlisted=options.unlisted, root=scan.root)


def labels_of(picture: str, scan: FolderScan) -> str | None:
    """Return the label file of a picture, or None where it has none."""
    parts = list(PurePosixPath(picture).with_suffix(".txt").parts)
    for position in reversed(range(len(parts) - 1)):
        if parts[position] == "images":
            parts[position] = "labels"
            break
    name = "/".join(parts)
    return name if name in scan.files and parts[-1] not in NAMES_FILES else None


def _mark(path: Path, row: int, names: tuple[str, ...], rows: Gathering) -> None:
    if path.stat().st_size == 0:
        return
    text = read_text(path, rows.findings)
    seen: set[int] = set()
    for number, line in enumerate((text or "").split("\n"), start=1):
        if not line.strip():
            continue
        if not _LINE.fullmatch(line.strip()):
            message = "expected 'label x y w h' or a label and an outline, in numbers; mend the line"
            rows.reader.fault(row, "yolo-syntax", message, f"line {number}: {quote(line.strip())}")
            continue
        label = int(line.split()[0])
        if label >= len(names):
            message = f"a label's number is not below {len(names):,}, the number of names; labels count from 0"
            rows.reader.fault(row, "unknown-label", message, f"line {number}: {label}")
        elif label not in seen:
            seen.add(label)
            rows.mark(row, names[label])


def _read_names(path: Path, folder: Path, options: SourceOptions, findings: FindingLog) -> tuple[str, ...] | None:
    file = options.names or (path if path.is_file() else _names_file(folder))
    if file is None:
        message = (
            f"{folder}: no file names the labels; add data.yaml or classes.txt, or give one (names, --data.names FILE)"
        )
        findings.error("no-names", message)
        return None
    if file.suffix.lower() not in (".yaml", ".yml"):
        return read_numbered_names(file, findings)
    text = read_text(file, findings)
    if text is None:
        return None
    try:
        names = read_yaml_names(text)
    except YamlFaultError as fault:
        findings.error("yaml-syntax", f"{file}: {fault}; write names: [cat, dog]")
        return None
    return sound_names(names, file, findings, unit="name")
