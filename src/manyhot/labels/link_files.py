"""Mappings in files: links as JSON or CSV."""

import csv
import json
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Literal

from manyhot.errors import LabelError, quote
from manyhot.files import write_json, write_text
from manyhot.labels.csr import Csr
from manyhot.labels.mapping import LabelMapping
from manyhot.labels.space import LabelSpace

Side = Literal["coarse", "fine"]
_CSV_HEADER = ["coarse", "fine"]


def read_mapping(path: Path, coarse: LabelSpace, fine: LabelSpace, *, keys: Side = "coarse") -> LabelMapping:
    """Return the mapping that a `.json` or `.csv` file holds.

    JSON is one object of a label of one side for one or a list of labels of the other; a value may be a name or a number:
    the label that is called so, or else an id. A key is a name, or an id where no label has that name. CSV has the header
    `coarse,fine`, and both are read as keys are.

    Args:
        path: The file.
        coarse: The wider labels.
        fine: The narrower labels.
        keys: Which side the keys of a JSON object are.

    Raises:
        LabelError: If the file cannot be read as links, or names an unknown label; the message names file and key.

    >>> from tempfile import TemporaryDirectory
    >>> wide, narrow = LabelSpace(names=("cat",)), LabelSpace(names=("tabby", "tree"))
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "links.json")
    ...     _ = path.write_text('{"cat": [0]}')
    ...     print(read_mapping(path, wide, narrow).links.ids)
    [0]
    """
    is_csv = path.suffix.lower() == ".csv"
    pairs = _pairs_of_csv(path) if is_csv else _pairs_of_json(path)
    order = (coarse, fine) if keys == "coarse" or is_csv else (fine, coarse)
    rows: list[list[int]] = [[] for _ in range(len(coarse))]
    for where, key, value in pairs:
        try:
            ids = _id_of(key, order[0], is_key=True), _id_of(value, order[1], is_key=is_csv)
        except LabelError as error:
            raise LabelError(f"{path}: {where}: {error}") from None
        wide, narrow = ids if order[0] is coarse else ids[::-1]
        rows[wide].append(narrow)
    return LabelMapping(coarse=coarse, fine=fine, links=Csr.from_lists(rows))


def write_mapping(mapping: LabelMapping, path: Path) -> None:
    """Write a mapping by names, as `.csv` or else as JSON: for each coarse label with links its fine ones.

    Raises:
        LabelError: If the mapping has open labels.

    >>> from tempfile import TemporaryDirectory
    >>> wide, narrow = LabelSpace(names=("cat",)), LabelSpace(names=("tabby", "tree"))
    >>> with TemporaryDirectory() as folder:
    ...     write_mapping(LabelMapping.from_names(wide, narrow, {"cat": "tabby"}), Path(folder, "links.json"))
    ...     print(read_mapping(Path(folder, "links.json"), wide, narrow).links.ids)
    [0]
    """
    if mapping.open_labels:
        name = mapping.coarse.names[mapping.open_labels[0]]
        raise LabelError(f"coarse label {quote(name)} holds more than its links say, which a file of links cannot tell")
    links = {
        name: [mapping.fine.names[label] for label in mapping.links.row(row).tolist()]
        for row, name in enumerate(mapping.coarse.names)
        if mapping.links.row(row).size
    }
    if path.suffix.lower() != ".csv":
        write_json(path, links)
        return
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_CSV_HEADER)
    writer.writerows((name, fine) for name, names in links.items() for fine in names)
    write_text(path, text.getvalue())


def _id_of(label: object, space: LabelSpace, *, is_key: bool) -> int:
    if isinstance(label, str):
        is_id = is_key and label not in space and label.isascii() and label.isdigit()
        if not is_id:
            return space.id_of(label)
        label = int(label)
    if isinstance(label, bool) or not isinstance(label, int):
        raise LabelError(f"{quote(label)} is no label; give a name or an id")
    if str(label) in space:
        # Labels that are called "0", "1", "10" need not stand in the order of their numbers.
        return space.id_of(str(label))
    if not 0 <= label < len(space):
        raise LabelError(f"label id {label} is outside the {len(space):,} labels; ids count from 0")
    return label


def _pairs_of_json(path: Path) -> list[tuple[str, object, object]]:
    def once(members: list[tuple[str, object]]) -> dict[str, object]:
        found: dict[str, object] = {}
        for key, value in members:
            if key in found:
                raise LabelError(f"{path}: key {quote(key)} stands twice; merge its values")
            found[key] = value
        return found

    try:
        data: object = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=once)
    except (OSError, ValueError, RecursionError) as error:
        raise LabelError(f"{path}: cannot be read as JSON ({error}); mend it there, in UTF-8") from None
    if not isinstance(data, Mapping):
        raise LabelError(f"{path}: holds no object; write one label of one side for labels of the other")
    pairs: list[tuple[str, object, object]] = []
    for key, value in data.items():
        values: list[object] = list(value) if isinstance(value, list) else [value]
        pairs += [(f"key {quote(key)}", key, one) for one in values]
    return pairs


def _pairs_of_csv(path: Path) -> list[tuple[str, object, object]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = list(csv.reader(file, strict=True))
    except (OSError, ValueError, csv.Error) as error:
        raise LabelError(f"{path}: cannot be read as CSV ({error}); mend it there, in UTF-8") from None
    if not lines or lines[0] != _CSV_HEADER:
        raise LabelError(f"{path}: line 1: expected the header coarse,fine")
    pairs: list[tuple[str, object, object]] = []
    for number, line in enumerate(lines[1:], 2):
        if len(line) != 2:
            raise LabelError(f"{path}: line {number}: {len(line)} columns; expected coarse,fine")
        pairs.append((f"line {number}", line[0], line[1]))
    return pairs
