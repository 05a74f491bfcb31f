"""What the columns of a Hugging Face data set are, by the description in its schema."""

# pyarrow has no types:
# pyright: reportUnknownParameterType=false

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from manyhot.errors import quote
from manyhot.sources.class_labels import class_names, member
from manyhot.sources.finding import FindingLog
from manyhot.sources.label_names import sound_names
from manyhot.sources.options import SourceOptions
from manyhot.sources.shard_files import ShardFile
from manyhot.sources.shards import BYTES, PATH, ShardFaultError, read_schema
from manyhot.sources.strict_json import JsonFaultError, parse_json
from manyhot.sources.tables import GROUP_COLUMN, LABEL_COLUMNS, REFERENCE_COLUMNS, SPLIT_COLUMN, Roles

ROW, FILE_SPLIT = "shard and row", "split of the shard"
"""Columns that no shard has: what a sample is called by its place, and the split that its shard is in."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ShardColumns:
    """The columns of the first shard, which all others share.

    Args:
        schema: All of them.
        roles: What each is.
        names: The names of the labels, where the column of labels has class labels.
        picture: The column that holds pictures, or None.
    """

    schema: pa.Schema
    roles: Roles
    names: tuple[str, ...] | None
    picture: str | None

    @property
    def read(self) -> list[str]:
        """The columns that are read whole; pictures are not among them."""
        named = (self.roles.reference, self.roles.labels, self.roles.split, self.roles.group, *self.roles.cells)
        return [name for name in dict.fromkeys(named) if name is not None and name not in (ROW, FILE_SPLIT)]


def describes_features(schema: pa.Schema) -> bool:
    """Return whether a schema is that of a Hugging Face data set: it says so, or it has a column of pictures.

    >>> describes_features(pa.schema([("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())]))]))
    True
    """
    return b"huggingface" in (schema.metadata or {}) or bool(_pictures_in(schema))


def _pictures_in(schema: pa.Schema) -> list[str]:
    structures = [field for field in schema if pa.types.is_struct(field.type)]
    return [field.name for field in structures if {BYTES, PATH} <= {inner.name for inner in field.type}]


def find_columns(files: list[ShardFile], options: SourceOptions, findings: FindingLog) -> ShardColumns | None:
    """Return the columns by the first shard, or None with an error in the findings."""
    file = files[0].path
    try:
        schema = read_schema(file)
    except ShardFaultError as fault:
        findings.error("unreadable-file", f"{file}: {fault}; write it again, or get it again from where it came from")
        return None
    for name, count in Counter(schema.names).items():
        if count > 1:
            findings.error("duplicate-column", f"{file}: two columns have the same name; rename one", quote(name))
            return None
    classes = _classes_of(schema, files[0], findings)
    if classes is None:
        return None
    pictures = _pictures_in(schema)
    picture = options.reference_column if options.reference_column in pictures else next(iter(pictures), None)
    roles = _find_roles(file, schema, classes, options, findings)
    if roles is None:
        return None
    if picture is not None:
        roles = replace(roles, reference=ROW)
    if any(other.split is not None for other in files):
        roles = replace(roles, split=FILE_SPLIT)
    names = classes.get(roles.labels or "")
    if names is not None and sound_names(list(names), file, findings, unit="name") is None:
        return None
    return ShardColumns(schema=schema, roles=roles, names=names, picture=picture)


def _classes_of(schema: pa.Schema, file: ShardFile, findings: FindingLog) -> dict[str, tuple[str, ...]] | None:
    text = (schema.metadata or {}).get(b"huggingface", b"{}")
    try:
        info = parse_json(text.decode())
    except (JsonFaultError, UnicodeDecodeError) as fault:
        message = f"{file.path}: its description of the columns is no JSON ({fault}); write it again"
        findings.error("json-syntax", message)
        return None
    return class_names(member(info, "info")) or file.classes


def _find_roles(
    file: Path,
    schema: pa.Schema,
    classes: dict[str, tuple[str, ...]],
    options: SourceOptions,
    findings: FindingLog,
) -> Roles | None:
    given = (options.label_column, options.reference_column, *(options.label_columns or ()))
    for name in given:
        if name is not None and name not in schema.names:
            message = f"{file}: there is no column {quote(name)} ({_listed(schema)}); mend the setting"
            findings.error("no-column", message)
            return None
    labels = None if options.label_columns else options.label_column or _label_column(file, schema, classes, findings)
    if labels is None and not options.label_columns:
        return None
    texts = {field.name.casefold(): field.name for field in schema if _is_text(field.type)}
    reference = options.reference_column or next((texts[name] for name in REFERENCE_COLUMNS if name in texts), ROW)
    return Roles(
        reference=reference,
        labels=labels,
        split=texts.get(SPLIT_COLUMN),
        group=texts.get(GROUP_COLUMN),
        cells=options.label_columns or (),
    )


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _label_column(
    file: Path, schema: pa.Schema, classes: dict[str, tuple[str, ...]], findings: FindingLog
) -> str | None:
    folded = {name.casefold(): name for name in reversed(schema.names)}
    usual = next((folded[name] for name in LABEL_COLUMNS if name in folded), None)
    named = [name for name in schema.names if name in classes]
    if usual is None and len(named) == 1:
        return named[0]
    if usual is None:
        found = f"columns of class labels: {', '.join(map(quote, named))}" if named else _listed(schema)
        message = f"{file}: no column is called 'labels' ({found}); say which holds the labels "
        message += "(label_column, --data.label_column NAME)"
        findings.error("no-label-column", message)
    return usual


def _listed(schema: pa.Schema) -> str:
    return f"columns: {', '.join(quote(name) for name in schema.names[:6])}{', …' if len(schema.names) > 6 else ''}"
