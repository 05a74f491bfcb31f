"""The labels of Tencent ML-Images with their parents: lines of index, identifier, index of the parent, title."""

import re
from dataclasses import dataclass
from pathlib import Path

from manyhot.errors import SourceError, quote
from manyhot.files import write_text
from manyhot.labels import LabelSpace
from manyhot.sources.finding import FindingLog
from manyhot.sources.label_names import sound_names, told_apart
from manyhot.sources.text import read_text

_HEADER = "category_index\tcategory_id\tindex_of_parent_category\tcategory name"


@dataclass(frozen=True, kw_only=True)
class LabelDictionary:
    """The labels of Tencent ML-Images with their parents.

    Args:
        space: The labels; where several share a title, the identifier follows it in parentheses.
        identifiers: The WordNet id of each label.
        titles: The title of each label, as the file has it.
    """

    space: LabelSpace
    identifiers: tuple[str, ...]
    titles: tuple[str, ...]


def read_dictionary(path: Path) -> LabelDictionary:
    r"""Return the labels of a `dictionary_and_semantic_hierarchy.txt`, with or without its header.

    Raises:
        SourceError: If a line is not as it should be; the message names file and line.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "dictionary.txt")
    ...     _ = path.write_text("0\tn1\t-1\tthing" + chr(10))
    ...     print(read_dictionary(path).space.names)
    ('thing',)
    """
    findings = FindingLog()
    found = parse_dictionary(path, findings)
    if found is None:
        raise SourceError("; and ".join(finding.line for finding in findings.findings()))
    return found


def write_dictionary(dictionary: LabelDictionary, path: Path) -> None:
    """Write a dictionary as it was read, to the letter.

    >>> from tempfile import TemporaryDirectory
    >>> space = LabelSpace(names=("thing",), parents=((),))
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "dictionary.txt")
    ...     write_dictionary(LabelDictionary(space=space, identifiers=("n1",), titles=("thing",)), path)
    ...     print(read_dictionary(path).identifiers)
    ('n1',)
    """
    lines = [_HEADER]
    for index, parents in enumerate(dictionary.space.parents or ()):
        parent = parents[0] if parents else -1
        lines.append(f"{index}\t{dictionary.identifiers[index]}\t{parent}\t{dictionary.titles[index]}")
    write_text(path, "\n".join(lines) + "\n")


def parse_dictionary(path: Path, findings: FindingLog) -> LabelDictionary | None:
    """Return the labels of a dictionary, or None with errors in the findings. A parent of -1 is none."""
    text = read_text(path, findings)
    if text is None:
        return None
    lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    if lines and lines[0][1].startswith(_HEADER.partition("\t")[0]):
        lines = lines[1:]
    keys: list[str] = []
    names: list[str] = []
    parents: list[int] = []
    for row, (number, line) in enumerate(lines):
        fields = [field.strip() for field in line.rstrip("\r").split("\t")]
        fault = _entry_fault(fields, row, len(lines))
        if fault is not None:
            findings.error("dictionary-entry", f"{path}: {fault[0]}", f"line {number}: {fault[1]}")
            return None
        keys.append(fields[1])
        parents.append(int(fields[2]))
        names.append(fields[3])
    sound = sound_names(told_apart(names, keys), path, findings, unit="entry")
    if sound is None or _has_cycle(parents, list(sound), path, findings):
        return None
    space = LabelSpace(names=sound, parents=tuple(() if parent < 0 else (parent,) for parent in parents))
    return LabelDictionary(space=space, identifiers=tuple(keys), titles=tuple(names))


def _entry_fault(fields: list[str], row: int, num_entries: int) -> tuple[str, str] | None:
    if len(fields) != 4:
        return "a line has not the four fields index, id, index of the parent, name, parted by tabs", f"{len(fields)}"
    if fields[0] != str(row):
        return "the indices do not count from 0; write the entries in order", f"{quote(fields[0])} instead of {row}"
    if not re.fullmatch(r"-1|\d{1,9}", fields[2]) or int(fields[2]) >= num_entries or int(fields[2]) == row:
        return "a parent is no other entry's index, and not -1 for none; mend it", quote(fields[2])
    return None


def _has_cycle(parents: list[int], names: list[str], path: Path, findings: FindingLog) -> bool:
    done: set[int] = set()
    for start in range(len(parents)):
        seen: dict[int, None] = {}
        label = start
        while label >= 0 and label not in done:
            if label in seen:
                circle = list(seen)[list(seen).index(label) :]
                shown = " > ".join(quote(names[entry]) for entry in [*circle[:5], label])
                message = f"{path}: labels are their own ancestors; mend the parent of one"
                findings.error("cycle", message, shown)
                return True
            seen[label] = None
            label = parents[label]
        done |= seen.keys()
    return False
