"""Pascal VOC: one XML file a picture, with an object a box; `difficult` objects say too little to be a label."""

from pathlib import Path

from manyhot.errors import quote
from manyhot.sources.cell_lists import POSITIVE, UNKNOWN
from manyhot.sources.finding import FindingLog
from manyhot.sources.gathering import Gathering
from manyhot.sources.line_blocks import first_bytes
from manyhot.sources.listing import Listing
from manyhot.sources.naming import read_declared_names
from manyhot.sources.options import SourceOptions
from manyhot.sources.scanning import PICTURE_SUFFIXES
from manyhot.sources.strict_xml import Element, read_xml
from manyhot.sources.text import read_text

ANNOTATIONS, PICTURES, SETS = "Annotations", "JPEGImages", "ImageSets/Main"


def is_voc(path: Path) -> bool:
    """Return whether a folder holds VOC annotations, in `Annotations` or right in it."""
    if not path.is_dir():
        return False
    files = _files_in(path)
    # The folder's name is enough: its first file may be the broken one.
    return bool(files) and ((path / ANNOTATIONS).is_dir() or b"<annotation" in first_bytes(files[0]))


def _files_in(folder: Path) -> list[Path]:
    inner = folder / ANNOTATIONS
    return sorted((inner if inner.is_dir() else folder).glob("*.xml"))


def read_voc(path: Path, options: SourceOptions, findings: FindingLog) -> Listing | None:
    """Return the pictures of a folder `Annotations` with the splits of `ImageSets/Main`; None with errors.

    A label that only difficult objects carry is unknown in the picture; the challenge leaves them out as well. Pictures
    that are in none of the sets, where there are sets, are left out and counted.
    """
    split_of = _read_sets(path / SETS, findings)
    rows = Gathering(str(path), findings)
    left_out = 0
    for file in _files_in(path):
        if split_of and file.stem not in split_of:
            left_out += 1
            continue
        root = _parse(file, findings)
        if root is not None:
            _add(root, file, split_of.get(file.stem), rows)
    if left_out:
        message = f"{path}: {left_out:,} pictures are in no set of {SETS} and take no part"
        findings.info("not-in-a-set", message)
    absent = sorted(split_of.keys() - {file.stem for file in _files_in(path)})
    for name in absent:
        message = f"{path}: a set names a picture without annotations; it takes no part: add its XML"
        findings.warning("missing-annotation", message, quote(name))
    pictures = path / PICTURES
    return rows.listing(
        read_declared_names(path, findings),
        unlisted=options.unlisted,
        root=pictures if pictures.is_dir() else None,
        unlisted_mend="add its XML, without objects if it has none",
    )


def _parse(path: Path, findings: FindingLog) -> Element | None:
    root = read_xml(path, findings)
    if root is None:
        return None
    if root.name != "annotation":
        message = f"{path}: expected <annotation>; write that, or move the file away"
        findings.error("xml-shape", message, f"line {root.line}: <{root.name[:40]}>")
        return None
    return root


def _add(root: Element, path: Path, split: str | None, rows: Gathering) -> None:
    name = root.text_of("filename") or f"{path.stem}.jpg"
    if Path(name).suffix.lower() not in PICTURE_SUFFIXES:
        # Some tools write the name without its suffix.
        name = f"{name}.jpg"
    row = rows.add(name, path.name, split=split)
    states: dict[str, int] = {}
    for entry in root.find_all("object"):
        label, difficult = entry.text_of("name"), entry.text_of("difficult") or "0"
        if label is None:
            rows.reader.fault(row, "xml-shape", "an <object> has no <name>; write it", f"line {entry.line}")
        elif difficult not in ("0", "1"):
            message = "<difficult> is neither 0 nor 1; write one of them"
            rows.reader.fault(row, "xml-shape", message, f"line {entry.line}: {quote(difficult)}")
        elif states.get(label) != POSITIVE:
            states[label] = POSITIVE if difficult == "0" else UNKNOWN
    for label, state in states.items():
        rows.mark(row, label, state)


def _read_sets(folder: Path, findings: FindingLog) -> dict[str, str]:
    """Return the split of each picture's name; empty where there are no sets."""
    split_of: dict[str, str] = {}
    for split in ("train", "val", "test"):
        file = folder / f"{split}.txt"
        # A set may be empty: then the others say where each picture is.
        text = read_text(file, findings) if file.is_file() and file.stat().st_size else None
        for number, line in enumerate((text or "").split("\n"), start=1):
            name = line.strip()
            if name and split_of.setdefault(name, split) != split:
                message = f"{file}: a picture is in two sets; take it out of one"
                findings.error("split-overlap", message, f"line {number}: {quote(name)}, also in {split_of[name]}.txt")
    return split_of
