"""Files that name labels which the data know by number only: one name a line, or JSON."""

from pathlib import Path

from manyhot.errors import quote
from manyhot.labels import LabelSpace
from manyhot.labels.space import name_fault
from manyhot.sources.finding import FindingLog
from manyhot.sources.naming import NAMES_FILE
from manyhot.sources.options import SourceOptions
from manyhot.sources.strict_json import JsonFaultError, JsonObject, parse_json
from manyhot.sources.text import read_text

NAMES_FILES = (NAMES_FILE, "classes.txt", "label_names.txt", "names.txt")


def find_names(folder: Path, options: SourceOptions) -> Path | None:
    """Return the file that names the labels: the one that the options give, or one of the usual names in the folder."""
    return options.names or next((folder / name for name in NAMES_FILES if (folder / name).is_file()), None)


def read_numbered_names(path: Path, findings: FindingLog) -> tuple[str, ...] | None:
    """Return the names in the order of their numbers, or None with an error in the findings.

    `.json` holds `[name, …]` or `{"0": name, …}`; any other file one name a line.
    """
    text = read_text(path, findings)
    if text is None:
        return None
    names = _names_in_json(path, text, findings) if path.suffix.lower() == ".json" else text.rstrip("\r\n").split("\n")
    return None if names is None else sound_names([name.strip() for name in names], path, findings)


def sound_names(names: list[str], path: Path, findings: FindingLog, *, unit: str = "line") -> tuple[str, ...] | None:
    """Return the names if each can be the name of a label and none stands twice, else None with errors."""
    first: dict[str, int] = {}
    sound = bool(names)
    for number, name in enumerate(names, start=1):
        fault = name_fault(name)
        if fault is not None:
            findings.error("label-name", f"{path}: a label {fault}; mend the name", f"{unit} {number}")
        elif name in first:
            place = f"{unit} {number}: {quote(name)} as in {unit} {first[name]}"
            findings.error("duplicate-label", f"{path}: a label stands twice; rename or delete one", place)
        sound = sound and fault is None and name not in first
        first.setdefault(name, number)
    return tuple(names) if sound else None


MAX_NUMBERED = 20_000_000
"""Labels without names: one damaged digit in a header or a row could ask for all memory."""


def numbered_space(num_labels: int, place: str, findings: FindingLog) -> LabelSpace | None:
    """Return a label space whose names are the numbers from 0, or None with an error where there would be too many.

    >>> numbered_space(3, "a.txt", FindingLog()).names
    ('0', '1', '2')
    """
    if num_labels > MAX_NUMBERED:
        message = (
            f"{place} asks for {num_labels:,} labels without names, and {MAX_NUMBERED:,} are the most that are read"
        )
        findings.error("too-many-labels", f"{message}; mend the number, or give the names")
        return None
    return LabelSpace(names=tuple(map(str, range(num_labels))))


def told_apart(names: list[str], keys: list[str]) -> list[str]:
    """Return the names, those that stand more than once with their key in parentheses.

    >>> told_apart(["crane", "crane", "cat"], ["n1", "n2", "n3"])
    ['crane (n1)', 'crane (n2)', 'cat']
    """
    seen: set[str] = set()
    repeated: set[str] = set()
    for name in names:
        (repeated if name in seen else seen).add(name)
    return [f"{name} ({key})" if name in repeated else name for name, key in zip(names, keys, strict=True)]


def _names_in_json(path: Path, text: str, findings: FindingLog) -> list[str] | None:
    try:
        value = parse_json(text)
    except JsonFaultError as fault:
        findings.error("json-syntax", f"{path}: {fault}; mend the JSON there")
        return None
    if isinstance(value, JsonObject):
        keys = [key for key, _ in value]
        value = [name for _, name in value] if keys == [str(number) for number in range(len(keys))] else None
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        message = f'{path}: expected a list of names, or {{"0": name, "1": name, …}} in order; write one of them'
        findings.error("label-names", message)
        return None
    return [name for name in value if isinstance(name, str)]
