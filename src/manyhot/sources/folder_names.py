"""Folders whose names are the labels: `dog/1.jpg`, `red_dress/2.jpg`, also below `train/`, `val/` and `test/`."""

from pathlib import Path, PurePosixPath

from manyhot.errors import quote
from manyhot.sources.entries import read_entries
from manyhot.sources.finding import FindingLog
from manyhot.sources.format import suffix_of
from manyhot.sources.listing import SPLIT_NAMES, Listing, Reader
from manyhot.sources.manifest import Split
from manyhot.sources.mulan import find_xml
from manyhot.sources.naming import assemble_labels, read_declared_names
from manyhot.sources.options import SourceOptions
from manyhot.sources.scanning import FolderScan, is_picture, scan_folder

MAX_NAMED = 12
"""Files of a folder that a message names."""


def read_folder_names(path: Path, options: SourceOptions, findings: FindingLog) -> Listing | None:
    """Return the pictures of a folder, labelled by the folders they lie in, or None where there are none.

    The top folders are splits if all of them have a split's name. Below them one folder names the labels: wholly, or
    parted at the separator. Pictures outside of such folders are left out, with a finding.
    """
    scan = scan_folder(options.images or path)
    folders = {name: PurePosixPath(name).parts[:-1] for name in scan.pictures()}
    has_splits = bool(folders) and all(parts and parts[0] in SPLIT_NAMES for parts in folders.values())
    references = [name for name, parts in folders.items() if len(parts) > has_splits]
    _report_links(scan, findings)
    if not references:
        findings.error(
            "no-labels",
            f"{path}: found neither a label file (labels.json, labels.csv, …) nor pictures in folders named for their "
            f"labels; add one of them{_hint(path)}",
        )
        return None
    reader = Reader(str(path), findings, lambda row: f"folder {quote(str(PurePosixPath(references[row]).parent))}")
    _report_empty_folders(scan, folders, reader)
    values: list[object] = []
    for row, name in enumerate(references):
        values.append(_labels_of(list(folders[name][has_splits:]), row, options.separator, reader))
    _hint_at_separator({parts[-1] for parts in folders.values() if parts}, options.separator, reader)
    labels = assemble_labels(
        read_entries(values, reader), read_declared_names(path, findings), reader, unlisted=options.unlisted
    )
    splits: list[Split] | None = [SPLIT_NAMES[folders[name][0]] for name in references] if has_splits else None
    return Listing(
        file=reader.file,
        references=references,
        place=reader.place,
        labels=labels,
        splits=splits,
        faulty=frozenset(reader.faulty),
        scan=scan,
        unlisted_mend="move it into a folder named for its label",
    )


def _labels_of(parts: list[str], row: int, separator: str | None, reader: Reader) -> list[str]:
    if separator == "/":
        return parts
    if len(parts) > 1:
        message = "pictures lie in folders within folders; move them up, or make each folder a label (separator, "
        message += "--data.separator /)"
        reader.fault(row, "nested-folder", message)
        return []
    return parts[0].split(separator) if separator else [parts[0]]


def _hint_at_separator(names: set[str], separator: str | None, reader: Reader) -> None:
    if separator is None and len(names) > 1 and all("_" in name for name in names):
        message = f"{reader.file}: every folder's name is one label; with --data.separator _ (separator) each part of it is one"
        reader.findings.info("compound-names", message, quote(min(names)))


def _report_links(scan: FolderScan, findings: FindingLog) -> None:
    """Report what looks like pictures of a label and is none that may be read: here no row names it."""
    for name in sorted(filter(is_picture, scan.outside)):
        message = f"{scan.root}: a picture is a link that leads out of the folder, and takes no part; copy it there"
        findings.warning("linked-outside", message, f"{quote(name)} leads to {quote(scan.outside[name])}")
    for name in sorted(scan.linked_folders):
        message = f"{scan.root}: a folder is a link, and what it holds takes no part; move it there"
        findings.warning("linked-folder", message, quote(name))
    for name in sorted(filter(is_picture, scan.no_files)):
        message = f"{scan.root}: what is named like a picture is a link that leads nowhere, or no file; it takes no part; delete it"
        findings.warning("no-file", message, quote(name))


def _report_empty_folders(scan: FolderScan, folders: dict[str, tuple[str, ...]], reader: Reader) -> None:
    used = {parts[: depth + 1] for parts in folders.values() for depth in range(len(parts))}
    for folder in sorted(scan.folders()):
        parts = PurePosixPath(folder).parts
        if parts not in used and not any(part.startswith(".") for part in parts):
            message = f"{reader.file}: a folder holds no picture and makes no label; delete it, or add pictures"
            reader.findings.warning("empty-folder", message, quote(folder))


def _hint(path: Path) -> str:
    """Return which files of a folder may hold labels: the XML files of ARFF sets, or else tables and JSON."""
    for suffixes in ((".arff",), (".json", ".csv", ".tsv", ".parquet", ".jsonl")):
        files = sorted(file for file in path.iterdir() if suffix_of(file) in suffixes)
        named = (
            sorted({xml.name for file in files if (xml := find_xml(file)) is not None}) if ".arff" in suffixes else []
        )
        names = named or [file.name for file in files]
        if len(names) == 1:
            return f", or name the file that holds labels, as in {path / names[0]}"
        if names:
            shown = ", ".join(map(quote, names[:MAX_NAMED]))
            return f", or name one of these files: {shown}{', …' if len(names) > MAX_NAMED else ''}"
    return ""
