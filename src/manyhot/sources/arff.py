"""ARFF tables, dense and sparse, as numbers; nominal values count from 0 in the order of their declaration."""

import csv
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64

from manyhot.errors import quote
from manyhot.sources.cell_lists import POSITIVE, UNKNOWN, CellList
from manyhot.sources.features import Features
from manyhot.sources.finding import FindingLog
from manyhot.sources.listing import Reader
from manyhot.sources.text import read_text

_NAME = r"""(?P<quoted>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")|(?P<plain>[^\s{]+)"""
_ATTRIBUTE = re.compile(rf"@attribute\s+(?:{_NAME})\s*(?P<kind>.*)", re.IGNORECASE)
_NUMERIC = frozenset({"numeric", "real", "integer"})
_MISSING = "?"

# Values of a nominal attribute by their spelling; None for a number.
_Kind = dict[str, float] | None


@dataclass(frozen=True, kw_only=True, eq=False)
class ArffRows:
    """A table as triples of row, attribute and value; absent is 0, and NaN is missing.

    Args:
        names: The attributes.
        kinds: For each attribute its nominal values, or None for a number.
        lines: The line of each row.
        row_ids: The row of each triple.
        columns: Its attribute.
        values: Its value.
        faulty: Rows with errors.
    """

    names: tuple[str, ...]
    kinds: tuple[_Kind, ...]
    lines: list[int]
    row_ids: Int64[np.ndarray, " p"]
    columns: Int64[np.ndarray, " p"]
    values: Float32[np.ndarray, " p"]
    faulty: frozenset[int]

    @staticmethod
    def joined(parts: list["ArffRows"]) -> "ArffRows":
        """Return the rows of several files one after the other, with the attributes of the first."""
        starts = np.cumsum([0, *(len(part.lines) for part in parts)])
        return ArffRows(
            names=parts[0].names,
            kinds=parts[0].kinds,
            lines=[line for part in parts for line in part.lines],
            row_ids=np.concatenate([part.row_ids + start for part, start in zip(parts, starts, strict=False)]),
            columns=np.concatenate([part.columns for part in parts]),
            values=np.concatenate([part.values for part in parts]),
            faulty=frozenset(
                int(start) + row for part, start in zip(parts, starts, strict=False) for row in part.faulty
            ),
        )

    def is_binary(self, column: int) -> bool:
        """Return whether an attribute can be a label: a number, or of the values 0 and 1 in this order."""
        kind = self.kinds[column]
        return kind is None or kind == {"0": 0.0, "1": 1.0}

    def cells(self, columns: list[int], reader: Reader) -> CellList:
        """Return what the rows say of the attributes that are labels; a value that is neither 0 nor 1 is an error."""
        label_of = np.full(len(self.names), -1)
        label_of[columns] = np.arange(len(columns))
        labels = label_of[self.columns]
        missing = np.isnan(self.values)
        for position in np.flatnonzero((labels >= 0) & ~missing & (self.values != 1)).tolist():
            message = "a label is neither 0 nor 1 nor ?; mend the value"
            found = f"{quote(self.names[int(self.columns[position])])} is {self.values[position]:g}"
            reader.fault(int(self.row_ids[position]), "label-value", message, found)
        kept = (labels >= 0) & (missing | (self.values == 1))
        return CellList(
            num_rows=len(self.lines),
            row_ids=self.row_ids[kept],
            label_ids=labels[kept],
            states=np.where(missing[kept], UNKNOWN, POSITIVE).astype(np.uint8),
        )

    def features(self, labels: list[int]) -> Features:
        """Return the attributes that are no labels."""
        others = np.delete(np.arange(len(self.names)), labels)
        feature_of = np.full(len(self.names), -1)
        feature_of[others] = np.arange(len(others))
        ids = feature_of[self.columns]
        kept = ids >= 0
        return Features.from_pairs(
            self.row_ids[kept],
            ids[kept],
            self.values[kept],
            num_rows=len(self.lines),
            num_features=len(others),
            names=tuple(self.names[other] for other in others.tolist()),
        )


def read_arff(path: Path, findings: FindingLog) -> ArffRows | None:
    """Return the rows of an ARFF file, or None where its head is none; rows with errors are marked as faulty."""
    text = read_text(path, findings)
    if text is None:
        return None
    # Not splitlines(): it would also part lines at characters that may stand in names.
    lines = [line.rstrip("\r") for line in text.split("\n")]
    head = _read_head(lines, path, findings)
    if head is None:
        return None
    names, kinds, start = head
    rows = _Rows(path, names, kinds, findings)
    for number, line in enumerate(map(str.strip, lines[start:]), start=start + 1):
        if line and not line.startswith("%"):
            rows.add(line, number)
    if not rows.lines:
        findings.error("empty-data", f"{path}: no row follows @data; it needs at least one sample")
        return None
    return rows.result()


def _read_head(lines: list[str], path: Path, findings: FindingLog) -> tuple[list[str], list[_Kind], int] | None:
    names: dict[str, int] = {}
    kinds: list[_Kind] = []
    for number, line in enumerate(map(str.strip, lines), start=1):
        word = line.partition(" ")[0].casefold().partition("\t")[0]
        if word == "@data":
            return list(names), kinds, number
        if not line or line.startswith("%") or word == "@relation":
            continue
        match = _ATTRIBUTE.fullmatch(line)
        name = "" if match is None else _name_of(match)
        kind = "" if match is None else match["kind"].strip()
        if match is None or not (kind.casefold().partition(" ")[0] in _NUMERIC or re.fullmatch(r"\{.*\}", kind)):
            message = f"{path}: expected @attribute NAME numeric or @attribute NAME {{0,1}}; write one of them"
            findings.error("arff-syntax", message, f"line {number}: {quote(line)}")
            return None
        if name in names:
            place = f"line {number}: {quote(name)} as in line {names[name]}"
            findings.error("duplicate-column", f"{path}: two attributes have the same name; rename one", place)
            return None
        names[name] = number
        kinds.append(_nominal(kind))
    findings.error("arff-syntax", f"{path}: there is no @data; the file may be cut off: write it again")
    return None


def _name_of(match: re.Match[str]) -> str:
    quoted: str | None = match["quoted"]
    return match["plain"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted[1:-1])


def _nominal(kind: str) -> _Kind:
    if not kind.startswith("{"):
        return None
    values = [_unquoted(value) for value in _fields(kind[1:-1])]
    try:
        numbers = {value: float(value) for value in values}
    except ValueError:
        numbers = {}
    # What a sparse row leaves out is the first value, and has to be 0.
    first = next(iter(numbers.values()), None)
    return numbers if first == 0 else {value: float(index) for index, value in enumerate(values)}


def _unquoted(value: str) -> str:
    value = value.strip()
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value


def _fields(text: str) -> list[str]:
    if "'" in text:
        return next(csv.reader([text], quotechar="'", escapechar="\\", skipinitialspace=True))
    return next(csv.reader([text], skipinitialspace=True)) if '"' in text else text.split(",")


class _Rows:
    """The data section, collected line by line."""

    def __init__(self, path: Path, names: list[str], kinds: list[_Kind], findings: FindingLog) -> None:
        self._names, self._kinds = names, kinds
        self.lines: list[int] = []
        self._row_ids: list[int] = []
        self._columns: list[int] = []
        self._values: list[float] = []
        self._reader = Reader(str(path), findings, lambda row: f"line {self.lines[row]}")

    def add(self, line: str, number: int) -> None:
        row = len(self.lines)
        self.lines.append(number)
        if line.startswith("{"):
            pairs = self._sparse(line, row)
        else:
            fields = _fields(line)
            if len(fields) != len(self._names):
                message = f"a row has another number of values than the {len(self._names):,} attributes; write each"
                self._reader.fault(row, "ragged-row", message, f"{len(fields):,} values")
                return
            pairs = list(enumerate(fields))
        for column, text in pairs:
            value = self._value(column, text.strip(), row)
            if value != 0:
                self._row_ids.append(row)
                self._columns.append(column)
                self._values.append(value)

    def _sparse(self, line: str, row: int) -> list[tuple[int, str]]:
        pairs: list[tuple[int, str]] = []
        if not line.endswith("}"):
            self._reader.fault(row, "arff-syntax", "a sparse row does not end in }; the line may be cut off")
            return pairs
        inner = line[1:-1].strip()
        for part in _fields(inner) if inner else ():
            index, _, value = part.strip().partition(" ")
            if not index.isdecimal() or not value.strip():
                self._reader.fault(
                    row, "arff-syntax", "expected 'index value' in a sparse row; write that", quote(part)
                )
            elif int(index) >= len(self._names):
                message = f"an index is not below {len(self._names):,}, the number of attributes; indices count from 0"
                self._reader.fault(row, "unknown-column", message, index)
            else:
                pairs.append((int(index), value))
        if len({column for column, _ in pairs}) < len(pairs):
            self._reader.fault(row, "duplicate-key", "an index stands twice in a sparse row; delete one")
        return pairs

    def _value(self, column: int, text: str, row: int) -> float:
        if text == _MISSING:
            return float("nan")
        kind = self._kinds[column]
        if kind is not None and (text in kind or _unquoted(text) in kind):
            return kind[text] if text in kind else kind[_unquoted(text)]
        try:
            value = float(text) if kind is None else float("inf")
        except ValueError:
            value = float("inf")
        if not np.isfinite(value):
            expected = "a finite number or ?" if kind is None else f"one of {quote(', '.join(kind))}"
            message = f"a value is not {expected}; mend it"
            self._reader.fault(row, "cell-value", message, f"{quote(self._names[column])} is {quote(text)}")
            return 0.0
        return value

    def result(self) -> ArffRows:
        return ArffRows(
            names=tuple(self._names),
            kinds=tuple(self._kinds),
            lines=self.lines,
            row_ids=np.array(self._row_ids, dtype=np.int64),
            columns=np.array(self._columns, dtype=np.int64),
            values=np.array(self._values, dtype=np.float32),
            faulty=frozenset(self._reader.faulty),
        )
