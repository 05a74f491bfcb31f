"""The labels of Open Images: class descriptions (id, name) and the hierarchy of what is a kind of what."""

import csv
import io
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from manyhot.errors import quote
from manyhot.labels import LabelSpace
from manyhot.labels.space import name_fault
from manyhot.sources.finding import FindingLog
from manyhot.sources.label_names import told_apart
from manyhot.sources.options import SourceOptions
from manyhot.sources.strict_json import JsonFaultError, JsonObject, parse_json
from manyhot.sources.text import read_text

_HEADER = ["labelname", "displayname"]


@dataclass(frozen=True, kw_only=True, eq=False)
class NumberedSpace:
    """A label space, and for each label of the data its id in it."""

    space: LabelSpace
    ids: Int64[np.ndarray, " k"]


def read_open_images_space(
    folder: Path, occurring: list[str], options: SourceOptions, findings: FindingLog
) -> NumberedSpace | None:
    """Return the label space of a folder with Open Images, or None with an error in the findings.

    Labels are those of the class descriptions in their order, then those that only the data know. A label is called by
    its name; a name that several labels share gets the label's id behind it.
    """
    file = options.names or _first(folder, "*class-descriptions*.csv", "dict.csv")
    names = {} if file is None else read_descriptions(file, findings)
    if names is None:
        return None
    keys = list(dict.fromkeys([*names, *sorted(occurring)]))
    if file is not None and len(keys) > len(names):
        for key in keys[len(names) :]:
            findings.warning("unnamed-label", f"{file}: a label of the data has no name there; add it", quote(key))
    for key in keys[len(names) :]:
        fault = name_fault(key)
        if fault is not None:
            findings.error("label-name", f"{folder}: a label {fault}; mend the name")
            return None
    tree = options.hierarchy or _first(folder, "*hierarchy*.json")
    parents = None if tree is None else read_open_images_hierarchy(tree, findings)
    if tree is not None and parents is None:
        return None
    texts = told_apart([names.get(key, key) for key in keys], keys)
    numbers = {key: number for number, key in enumerate(keys)}
    space = LabelSpace(names=tuple(texts), parents=None if parents is None else _numbered(parents, numbers))
    return NumberedSpace(space=space, ids=np.array([numbers[key] for key in occurring], dtype=np.int64))


def _first(folder: Path, *patterns: str) -> Path | None:
    return next((file for pattern in patterns for file in sorted(folder.glob(pattern))), None)


def _numbered(parents: dict[str, set[str]], numbers: dict[str, int]) -> tuple[tuple[int, ...], ...]:
    # The root (Entity) is usually no label of its own, and then nobody's parent.
    return tuple(tuple(sorted(numbers[up] for up in parents.get(key, ()) if up in numbers)) for key in numbers)


def read_descriptions(path: Path, findings: FindingLog) -> dict[str, str] | None:
    """Return the name of each label id, in the order of the file, or None with an error in the findings."""
    text = read_text(path, findings)
    if text is None:
        return None
    names: dict[str, str] = {}
    sound = True
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            if not row or [cell.strip().casefold() for cell in row] == _HEADER:
                continue
            fault = _description_fault(row, names)
            if fault is not None:
                sound = False
                message = f"{path}: expected 'id,name' with every id once; mend the line"
                findings.error("description", message, f"line {reader.line_num}: {fault}")
            else:
                names[row[0]] = row[1]
    except csv.Error as error:
        findings.error("csv-syntax", f"{path}: line {reader.line_num}: {error}; check its quotes")
        return None
    return names if sound else None


def _description_fault(row: list[str], names: dict[str, str]) -> str | None:
    if len(row) != 2:
        return f"{len(row)} fields"
    if row[0] in names:
        return f"{quote(row[0])} stands twice"
    faults = [fault for text in row if (fault := name_fault(text)) is not None]
    return faults[0] if faults else None


def read_open_images_hierarchy(path: Path, findings: FindingLog) -> dict[str, set[str]] | None:
    """Return the parents of each label id, or None with an error in the findings.

    `Subcategory` makes parents; a `Part` is no kind of the whole. A label may stand in several places.
    """
    text = read_text(path, findings)
    if text is None:
        return None
    try:
        root = parse_json(text)
    except JsonFaultError as fault:
        findings.error("json-syntax", f"{path}: {fault}; mend the JSON there")
        return None
    parents: dict[str, set[str]] = {}
    waiting: list[tuple[object, tuple[str, ...]]] = [(root, ())]
    while waiting:
        node, above = waiting.pop()
        members = dict(node) if isinstance(node, JsonObject) else {}
        name = members.get("LabelName")
        below = [members.get(key, []) for key in ("Subcategory", "Part")]
        if not isinstance(name, str) or not all(isinstance(children, list) for children in below):
            message = f'{path}: expected {{"LabelName": id, "Subcategory": […]}}; write that'
            findings.error("json-shape", message, f"below {quote(above[-1])}" if above else "at the top")
            return None
        if name in above:
            message = f"{path}: a label is its own ancestor; take it out of one place"
            findings.error("cycle", message, " > ".join(quote(step) for step in [*above, name]))
            return None
        if above:
            parents.setdefault(name, set()).add(above[-1])
        for children, line in zip(below, ([*above, name], []), strict=True):
            if isinstance(children, list):
                waiting += [(child, tuple(line)) for child in children]
    return parents if _is_acyclic(parents, path, findings) else None


def _is_acyclic(parents: dict[str, set[str]], path: Path, findings: FindingLog) -> bool:
    """Return whether no label is its own ancestor by way of several places."""
    try:
        TopologicalSorter(parents).prepare()
    except CycleError as error:
        message = f"{path}: a label is its own ancestor; take it out of one place"
        findings.error("cycle", message, " > ".join(quote(step) for step in error.args[1]))
        return False
    return True
