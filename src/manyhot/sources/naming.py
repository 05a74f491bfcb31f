"""From label names as they stand in rows to a label space and label sets."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from jaxtyping import Int64, UInt8

from manyhot.errors import did_you_mean, quote
from manyhot.labels import LabelSets, LabelSpace, Unlisted
from manyhot.labels.space import name_fault
from manyhot.sources.cell_lists import CellList, sets_of
from manyhot.sources.finding import MAX_EXAMPLES, FindingLog
from manyhot.sources.listing import Reader
from manyhot.sources.strict_json import JsonFaultError, JsonObject, parse_json
from manyhot.sources.text import read_text

LabelKey: TypeAlias = tuple[str | None, str]
"""The group of a label, or None, and its name."""

NAMES_FILE = "label_names.json"


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelPairs:
    """What is said of all rows, as pairs of a row and a label that has a key but no id yet.

    Args:
        num_rows: Number of rows, with those that have no label.
        row_ids: The row of each positive.
        codes: The label of each positive, as an index into `keys`.
        keys: The distinct labels.
        states: What is said of each, as `CellList` has it; None when all are positive.
    """

    num_rows: int
    row_ids: Int64[np.ndarray, " p"]
    codes: Int64[np.ndarray, " p"]
    keys: Sequence[LabelKey]
    states: UInt8[np.ndarray, " p"] | None = None


@dataclass(frozen=True, kw_only=True)
class DeclaredNames:
    """The labels that `label_names.json` lists, in its order, those that never occur included."""

    file: str
    keys: tuple[LabelKey, ...]


def read_declared_names(folder: Path, findings: FindingLog) -> DeclaredNames | None:
    """Return the labels that the folder's `label_names.json` lists, or None where there is no sound one.

    The file holds `[name, …]`, or `{group: [name, …]}`.
    """
    path = folder / NAMES_FILE
    text = read_text(path, findings) if path.exists() else None
    if text is None:
        return None
    try:
        value = parse_json(text)
    except JsonFaultError as fault:
        findings.error("json-syntax", f"{path}: {fault}; mend the JSON there")
        return None
    lists: list[tuple[str | None, object]] = list(value) if isinstance(value, JsonObject) else [(None, value)]
    keys: list[LabelKey] = []
    for group, names in lists:
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            findings.error(
                "label-names", f"{path}: expected a list of texts, or groups of them; put every name in quotes"
            )
            return None
        keys += [(group, name) for name in names]
    return DeclaredNames(file=str(path), keys=tuple(keys)) if _declared_are_sound(keys, path, findings) else None


def _declared_are_sound(keys: list[LabelKey], path: Path, findings: FindingLog) -> bool:
    faults = [(index, _key_fault(key)) for index, key in enumerate(keys)]
    for index, fault in faults:
        if fault is not None:
            findings.error("label-name", f"{path}: a label {fault}; mend the name", f"entry {index + 1}")
    repeated = [key for key, count in Counter(keys).items() if count > 1]
    for key in repeated:
        findings.error("duplicate-label", f"{path}: a label stands twice; delete one", quote(key[1]))
    return not repeated and all(fault is None for _, fault in faults)


def assemble_labels(
    pairs: LabelPairs, declared: DeclaredNames | None, reader: Reader, *, unlisted: Unlisted
) -> LabelSets:
    """Return the label sets of the pairs; labels that cannot be are errors of their rows.

    The label space holds the declared labels in their order, or else the labels that occur, sorted by group and name.
    A name that stands in several groups becomes `group:name`.
    """
    faults = [_key_fault(key) for key in pairs.keys]
    sound = [key for key, fault in zip(pairs.keys, faults, strict=True) if fault is None]
    listed = list(declared.keys) if declared is not None else sorted(sound, key=lambda key: (key[0] or "", key[1]))
    final = _final_names([*listed, *sound])
    _check_distinct(sound, final, reader)
    space = _space_of(listed, sound, final)
    known = {name: index for index, name in enumerate(space.names)}
    ids = np.array(
        [-1 if fault is not None else known.get(final[key], -1) for key, fault in zip(pairs.keys, faults, strict=True)],
        dtype=np.int64,
    )
    _report_lost(pairs, ids, faults, reader, declared=declared, space=space)
    return _sets_of(pairs, ids, space, reader, unlisted)


def _key_fault(key: LabelKey) -> str | None:
    group, name = key
    fault = name_fault(name)
    if fault is None and group is not None and name_fault(group) is not None:
        fault = f"is in a group that {name_fault(group)}"
    return fault


def _final_names(keys: list[LabelKey]) -> dict[LabelKey, str]:
    """Return `name`, or `group:name` for names that stand in several groups."""
    groups: dict[str, set[str]] = {}
    for group, name in keys:
        if group is not None:
            groups.setdefault(name, set()).add(group)
    return {key: f"{key[0]}:{key[1]}" if len(groups.get(key[1], ())) > 1 and key[0] else key[1] for key in keys}


def _check_distinct(keys: list[LabelKey], final: dict[LabelKey, str], reader: Reader) -> None:
    for name, count in Counter(final[key] for key in keys).items():
        if count > 1:
            message = f"{reader.file}: two labels would both be called {quote(name)}; rename one of them"
            reader.findings.error("ambiguous-name", message)


def _space_of(listed: list[LabelKey], occurring: list[LabelKey], final: dict[LabelKey, str]) -> LabelSpace:
    names = tuple(dict.fromkeys(final[key] for key in listed))
    stated = {final[key]: key[0] for key in (*listed, *occurring) if key[0] is not None}
    return LabelSpace(names=names, groups=tuple(stated.get(name) for name in names) if stated else None)


def _report_lost(
    pairs: LabelPairs,
    ids: Int64[np.ndarray, " k"],
    faults: list[str | None],
    reader: Reader,
    *,
    declared: DeclaredNames | None,
    space: LabelSpace,
) -> None:
    """Make every row with a label that has no id faulty, and say why."""
    shown = 0
    for position in np.flatnonzero(ids[pairs.codes] < 0).tolist() if len(ids) else []:
        code, row = int(pairs.codes[position]), int(pairs.row_ids[position])
        fault, name = faults[code], pairs.keys[code][1]
        if fault is not None:
            reader.fault(row, "label-name", f"a label {fault}; mend the name")
        elif declared is not None:
            # The nearest name is searched for those that are shown, not for a million.
            nearest = did_you_mean(name, space.names) if shown < MAX_EXAMPLES else ""
            shown += 1
            message = f"a label is not in {declared.file}; add it there or mend the name"
            reader.fault(row, "unknown-label", message, f"{quote(name)}{nearest}")


def _sets_of(
    pairs: LabelPairs, ids: Int64[np.ndarray, " k"], space: LabelSpace, reader: Reader, unlisted: Unlisted
) -> LabelSets:
    label_ids = ids[pairs.codes] if len(pairs.codes) else pairs.codes
    kept = label_ids >= 0
    every = bool(kept.all())
    cells = CellList(
        num_rows=pairs.num_rows,
        row_ids=pairs.row_ids if every else pairs.row_ids[kept],
        label_ids=label_ids if every else label_ids[kept],
        states=None if pairs.states is None else pairs.states[kept],
    )
    return sets_of(cells, space, reader, unlisted=unlisted)
