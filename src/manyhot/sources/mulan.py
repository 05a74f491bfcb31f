"""Mulan's benchmark sets: ARFF tables, and an XML file that alone says which attributes are labels."""

import re
from pathlib import Path

from manyhot.errors import did_you_mean, quote
from manyhot.labels import LabelSpace
from manyhot.sources.arff import ArffRows, read_arff
from manyhot.sources.cell_lists import sets_of
from manyhot.sources.finding import FindingLog
from manyhot.sources.format import stem_of, suffix_of
from manyhot.sources.label_names import sound_names
from manyhot.sources.line_blocks import first_bytes
from manyhot.sources.listing import SPLIT_NAMES, Listing, Reader
from manyhot.sources.options import SourceOptions
from manyhot.sources.strict_xml import Element, read_xml

_PART = re.compile(r"[-_.](train|test|val|valid|validation|dev|sparse|dense)$", re.IGNORECASE)


def is_mulan(path: Path) -> bool:
    """Return whether a path is an ARFF file, or an XML file of label names."""
    if not path.is_file():
        return False
    return suffix_of(path) == ".arff" or (path.suffix.lower() == ".xml" and b"<labels" in first_bytes(path))


def read_mulan(path: Path, options: SourceOptions, findings: FindingLog) -> Listing | None:
    """Return the samples of an ARFF file, or of all ARFF files that share an XML file; None with errors.

    `yeast.xml` reads `yeast-train.arff` and `yeast-test.arff`, with the splits that their names state.
    """
    xml = path if path.suffix.lower() == ".xml" else options.names or find_xml(path)
    if xml is None:
        message = f"{path}: no XML file beside it says which attributes are labels; add {base_of(path)}.xml, or give "
        findings.error("no-names", f"{message}it (names, --data.names FILE)")
        return None
    space = read_labels_xml(xml, findings)
    files = [path] if path != xml else [file for file in _arff_files(path.parent) if find_xml(file) == xml]
    if not files:
        findings.error("no-data", f"{xml}: there is no ARFF file of this name beside it; put {stem_of(xml)}.arff there")
    if space is None or not files:
        return None
    parts = [(file, rows) for file in files if (rows := read_arff(file, findings)) is not None]
    for file, rows in parts:
        _check_labels(space, rows, xml, file, findings)
        if rows.names != parts[0][1].names:
            message = f"{file}: has not the attributes of {parts[0][0]}; files that share an XML file share them all"
            findings.error("other-columns", message)
    if findings.has_errors or len(parts) < len(files):
        return None
    return _listing_of(parts, space, options, findings)


def base_of(path: Path) -> str:
    """Return the name that the files of one set share.

    >>> base_of(Path("Corel5k-train-sparse.arff"))
    'Corel5k'
    """
    name = stem_of(path)
    while _PART.search(name):
        name = _PART.sub("", name)
    return name


def find_xml(path: Path) -> Path | None:
    """Return the XML file that belongs to an ARFF file, by its name, or None."""
    names = dict.fromkeys([stem_of(path), _PART.sub("", stem_of(path)), base_of(path)])
    return next((file for name in names if (file := path.parent / f"{name}.xml").is_file()), None)


def _arff_files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if suffix_of(file) == ".arff")


def read_labels_xml(path: Path, findings: FindingLog) -> LabelSpace | None:
    """Return the labels that a Mulan XML file names, with a parent where labels stand in labels; None with errors."""
    root = read_xml(path, findings)
    if root is None:
        return None
    names: list[str] = []
    parents: list[tuple[int, ...]] = []
    waiting: list[tuple[Element, tuple[int, ...]]] = [(child, ()) for child in reversed(root.children)]
    while waiting:
        element, parent = waiting.pop()
        if element.name != "label" or "name" not in element.attributes:
            message = f'{path}: expected <label name="…">; write that'
            findings.error("xml-shape", message, f"line {element.line}: <{element.name}>")
            return None
        waiting += [(child, (len(names),)) for child in reversed(element.children)]
        names.append(element.attributes["name"])
        parents.append(parent)
    if not names:
        findings.error("empty-data", f'{path}: names no label; write <labels><label name="…"/></labels>')
        return None
    sound = sound_names(names, path, findings, unit="label")
    if sound is None:
        return None
    return LabelSpace(names=sound, parents=tuple(parents) if any(parents) else None)


def _check_labels(space: LabelSpace, rows: ArffRows, xml: Path, file: Path, findings: FindingLog) -> None:
    by_key = {key_of(name): number for number, name in enumerate(rows.names)}
    for name in space.names:
        number = by_key.get(key_of(name))
        if number is None:
            nearest = did_you_mean(name, rows.names)
            message = f"{xml}: {file} has no attribute of a label's name; mend the name"
            findings.error("unknown-label", message, f"{quote(name)}{nearest}")
        elif not rows.is_binary(number):
            message = f"{file}: a label is no attribute of the values 0 and 1, in this order; write {{0,1}}"
            findings.error("label-type", message, quote(name))


def key_of(name: str) -> str:
    r"""Return what is equal for a name in the XML file and in the ARFF file, whichever of them escapes it.

    >>> key_of(r"m\'usica") == key_of("m'usica")
    True
    """
    return name.replace("\\", "").strip()


def _listing_of(
    parts: list[tuple[Path, ArffRows]], space: LabelSpace, options: SourceOptions, findings: FindingLog
) -> Listing:
    splits = [SPLIT_NAMES.get(part.casefold()) for file, _ in parts for part in _words_of(file)]
    has_splits = len(parts) > 1 and len(splits) == len(parts) and None not in splits
    rows = ArffRows.joined([rows for _, rows in parts])
    places = [(file, line) for file, part in parts for line in part.lines]
    several = len(parts) > 1
    file = parts[0][0].with_name(f"{base_of(parts[0][0])}-*.arff") if several else parts[0][0]
    reader = Reader(
        str(file),
        findings,
        lambda row: f"{places[row][0].name}, line {places[row][1]}" if several else f"line {places[row][1]}",
        set(rows.faulty),
    )
    by_key = {key_of(name): number for number, name in enumerate(rows.names)}
    columns = [by_key[key_of(name)] for name in space.names]
    return Listing(
        file=reader.file,
        references=[f"{stem_of(file)}/{row}" for file, part in parts for row in range(1, len(part.lines) + 1)],
        place=reader.place,
        labels=sets_of(rows.cells(columns, reader), space, reader, unlisted=options.unlisted),
        splits=[split for split, (_, part) in zip(splits, parts, strict=True) for _ in part.lines]
        if has_splits
        else None,
        faulty=frozenset(reader.faulty),
        has_pictures=False,
        features=rows.features(columns),
    )


def _words_of(file: Path) -> list[str]:
    """Return the word of a file's name that says its split: `train` of `Corel5k-train-sparse`."""
    return [word for word in re.split(r"[-_.]", stem_of(file)) if word.casefold() in SPLIT_NAMES][-1:]
