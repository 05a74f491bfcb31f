"""Text files of any length, a block of lines at a time, so that memory stays flat."""

# pyarrow.compute makes its functions when it is imported, where no type checker sees them:
# pyright: reportAttributeAccessIssue=false

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manyhot.sources.finding import FindingLog
from manyhot.sources.format import COMPRESSED

BLOCK_BYTES = 1 << 24
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, eq=False)
class LineBlock:
    """Some lines of a file, without their ends.

    Args:
        first_line: The number of the first of them; lines count from 1.
        lines: Their text.
    """

    first_line: int
    lines: pa.LargeStringArray


def open_binary(path: Path) -> BufferedIOBase:
    """Return the file opened for reading, decompressed on the way where its name ends in `.gz`."""
    return gzip.open(path, "rb") if path.suffix.lower() == COMPRESSED else path.open("rb")


def first_bytes(path: Path, size: int = 4096) -> bytes:
    """Return the first bytes of a file without a byte order mark, or none where it cannot be read.

    >>> first_bytes(Path("nowhere.txt"))
    b''
    """
    try:
        with open_binary(path) as file:
            return file.read(size).removeprefix(_BOM)
    except (OSError, EOFError, zlib.error):
        return b""


def first_line(path: Path) -> str:
    """Return the first line of a file, or what of it stands in the first bytes; no text where it is none."""
    line = first_bytes(path).partition(b"\n")[0].removesuffix(b"\r")
    return line.decode(errors="replace")


def read_line_blocks(path: Path, findings: FindingLog) -> Iterator[LineBlock]:
    """Yield the lines of a UTF-8 file, plain or `.gz`; after a fault, which goes to the findings, nothing more comes."""
    number = 1
    rest = b""
    try:
        with open_binary(path) as file:
            while data := file.read(BLOCK_BYTES):
                data = rest + (data if number > 1 or rest else data.removeprefix(_BOM))
                end = data.rfind(b"\n") + 1
                data, rest = data[:end], data[end:]
                if not data:
                    continue
                block = _block_of(data, number, path, findings)
                if block is None:
                    return
                yield block
                number += len(block.lines)
    except (OSError, EOFError, zlib.error) as error:
        findings.error("unreadable-file", f"{path}: line {number} or after: {error}; check the file, or write it again")
        return
    if rest:
        block = _block_of(rest, number, path, findings)
        if block is not None:
            yield block


def _block_of(data: bytes, number: int, path: Path, findings: FindingLog) -> LineBlock | None:
    ends = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == ord("\n")) + 1
    if not ends.size or ends[-1] != len(data):
        ends = np.append(ends, len(data))
    offsets = np.concatenate([[0], ends]).astype(np.int64)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    lines = pa.Array.from_buffers(pa.large_string(), len(ends), buffers)
    try:
        lines.validate(full=True)
    except pa.ArrowInvalid:
        _report_encoding(data, number, path, findings)
        return None
    if b"\0" in data:
        line = number + data.count(b"\n", 0, data.index(b"\0"))
        findings.error("encoding", f"{path}: line {line} holds a NUL character; is it UTF-16? Save the file as UTF-8")
        return None
    return LineBlock(number, pc.ascii_rtrim(lines, characters="\r\n"))


def _report_encoding(data: bytes, number: int, path: Path, findings: FindingLog) -> None:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = number + data.count(b"\n", 0, error.start)
        byte = f"0x{data[error.start]:02x}"
        findings.error("encoding", f"{path}: line {line}: byte {byte} is not UTF-8; save the file as UTF-8")
