"""`labels.json`: {name: [label, …]}, {name: label} or {name: {group: label or [label, …]}}."""

from pathlib import Path

from manyhot.errors import quote
from manyhot.sources.entries import read_entries
from manyhot.sources.finding import FindingLog
from manyhot.sources.listing import Listing, Reader
from manyhot.sources.naming import assemble_labels, read_declared_names
from manyhot.sources.options import SourceOptions
from manyhot.sources.strict_json import JsonFaultError, JsonObject, parse_json
from manyhot.sources.text import read_text


def read_labels_json(path: Path, options: SourceOptions, findings: FindingLog) -> Listing | None:
    """Return the samples that the file lists, or None where it is no such file; faults go to the findings."""
    text = read_text(path, findings)
    if text is None:
        return None
    try:
        value = parse_json(text)
    except JsonFaultError as fault:
        findings.error("json-syntax", f"{path}: {fault}; mend the JSON there")
        return None
    if not isinstance(value, JsonObject):
        findings.error(
            "json-shape", f"{path}: expected an object {{name: [label, …]}} that names every picture; write one"
        )
        return None
    if not value:
        findings.error("empty-data", f"{path}: the object is empty; it needs at least one sample")
        return None
    fault = _shape_fault(value)
    if fault is not None:
        findings.error("json-shape", f"{path}: {fault}; samples are {{name: [label, …]}}, with labels as text")
        return None
    references = [name for name, _ in value]
    reader = Reader(str(path), findings, lambda row: f"key {quote(references[row])}")
    pairs = read_entries([labels for _, labels in value], reader)
    declared = read_declared_names(path.parent, findings)
    labels = assemble_labels(pairs, declared, reader, unlisted=options.unlisted)
    return Listing(
        file=reader.file,
        references=references,
        place=reader.place,
        labels=labels,
        faulty=frozenset(reader.faulty),
    )


def _shape_fault(value: JsonObject) -> str | None:
    """Return what an object is instead of a list of samples, where its shape as a whole shows it."""
    if _are_numbers([labels for _, labels in value]):
        return (
            "every value is a number or a list of them, so that this maps labels to labels (apply it with "
            "manyhot.labels.link_files.read_mapping), or gives labels by their numbers"
        )
    for key, inner in value:
        if isinstance(inner, JsonObject) and len(inner) > 1 and _are_numbers([labels for _, labels in inner]):
            return (
                f"key {quote(key)} holds an object of {len(inner):,} names with numbers: labels stand apart from "
                "samples, and are given by their numbers"
            )
    return None


def _are_numbers(values: list[object]) -> bool:
    """Return whether values are whole numbers or lists of them, more than one in all."""
    found = 0
    for value in values:
        numbers = list(value) if isinstance(value, list) and not isinstance(value, JsonObject) else [value]
        if not all(type(number) is int for number in numbers):
            return False
        found += len(numbers)
    return found > 1
