"""`labels.json`: {name: [label, …]}, {name: label} or {name: {group: label or [label, …]}}."""

from pathlib import Path

from manyhot.sources.entries import read_entries
from manyhot.sources.finding import FindingLog, quote
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
