"""Indexes of large tar files: written beside them at the first reading, so that later ones need not walk through them."""

# pyarrow has no types:
# pyright: reportUnknownParameterType=false

import logging
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from manyhot.files import write_atomically
from manyhot.sources.finding import FindingLog
from manyhot.sources.tar_samples import LABEL_MEMBERS, TarSample, scan_tar

INDEX_SUFFIX = ".manyhot-index"

WORTH_BYTES = 64 * 2**20
"""Smaller tars are walked through in less than a second: nothing is written beside them."""

_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("picture", pa.string()),
        ("offset", pa.int64()),
        ("length", pa.int64()),
        *((suffix, pa.binary()) for suffix in LABEL_MEMBERS),
    ]
)

log = logging.getLogger("manyhot")


def read_tar(path: Path, findings: FindingLog) -> dict[str, TarSample] | None:
    """Return the samples of a tar file by their keys, in order, or None with an error in the findings.

    A large tar is read from the index beside it, if that is of its size and time; else it is walked through, and the
    index is written if the folder allows that.

    >>> read_tar(Path("nowhere.tar"), FindingLog()) is None
    True
    """
    state = _state_of(path)
    if state is None:
        return scan_tar(path, findings)
    index = path.with_name(path.name + INDEX_SUFFIX)
    found = _load(index, state)
    if found is not None:
        return found
    before = findings.has_errors
    samples = scan_tar(path, findings)
    if samples is not None and not before and not findings.has_errors:
        try:
            write_atomically(index, lambda temporary: _write(temporary, samples, state))
        except OSError as error:
            log.info("%s: its index cannot be kept beside it (%s), so it is walked through each time", path, error)
    return samples


def _state_of(path: Path) -> dict[bytes, bytes] | None:
    """Return what tells a tar from another one of its name; None where it is too small for an index."""
    try:
        status = path.stat()
    except OSError:
        return None
    if status.st_size < WORTH_BYTES or path.suffix.lower() != ".tar":
        return None
    return {b"version": b"1", b"size": b"%d" % status.st_size, b"mtime_ns": b"%d" % status.st_mtime_ns}


def _load(index: Path, state: Mapping[bytes, bytes]) -> dict[str, TarSample] | None:
    try:
        with pa.OSFile(str(index)) as source:
            table = pa.ipc.open_file(source).read_all()
            table.validate(full=True)
    except (OSError, pa.ArrowException):
        return None
    if dict(table.schema.metadata or {}) != dict(state) or not table.schema.equals(_SCHEMA):
        return None
    samples: dict[str, TarSample] = {}
    for batch in table.to_batches():
        columns = [batch.column(number).to_pylist() for number in range(len(_SCHEMA))]
        for key, picture, offset, length, *labels in zip(*columns, strict=True):
            held = {
                suffix: content for suffix, content in zip(LABEL_MEMBERS, labels, strict=True) if content is not None
            }
            samples[key] = TarSample(picture=picture, offset=offset, length=length, labels=held)
    return samples


def _write(path: Path, samples: Mapping[str, TarSample], state: Mapping[bytes, bytes]) -> None:
    found = samples.values()
    columns: list[list[object]] = [
        list(samples),
        [sample.picture for sample in found],
        [sample.offset for sample in found],
        [sample.length for sample in found],
        *([sample.labels.get(suffix) for sample in found] for suffix in LABEL_MEMBERS),
    ]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, _SCHEMA, strict=True)]
    table = pa.table(arrays, schema=_SCHEMA.with_metadata(dict(state)))
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table)
