"""Text files of any length, a block of lines at a time, so that memory stays flat."""

# pyarrow.compute makes its functions when it is imported, where no type checker sees them:
# pyright: reportAttributeAccessIssue=false

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int64

from manyhot.sources.finding import FindingLog
from manyhot.sources.unpacking import UnpackedTooLargeError, open_binary

BLOCK_BYTES = 1 << 22
"""Bytes that are read at a time: enough that a step a block costs nothing, few enough that it stays in the cache."""

_BOM = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, eq=False)
class TextBlock:
    """Some lines of a file, as they are.

    Args:
        first_line: The number of the first of them; lines count from 1.
        data: Whole lines in UTF-8, without NUL; the last line of the file may have no end.
    """

    first_line: int
    data: bytes


@dataclass(frozen=True, eq=False)
class LineBlock:
    """Some lines of a file, without their ends.

    Args:
        first_line: The number of the first of them; lines count from 1.
        lines: Their text.
    """

    first_line: int
    lines: pa.LargeStringArray


def first_bytes(path: Path, size: int = 4096) -> bytes:
    """Return the first bytes of a file without a byte order mark, or none where it cannot be read.

    >>> first_bytes(Path("nowhere.txt"))
    b''
    """
    found = b""
    try:
        with open_binary(path) as file:
            # A little at a time, so that the beginning of a file that is cut off is not lost.
            while len(found) < size and (data := file.read1(size - len(found))):
                found += data
    except (OSError, EOFError, zlib.error):
        pass
    return found.removeprefix(_BOM)


def first_line(path: Path) -> str:
    """Return the first line of a file, or what of it stands in the first bytes; no text where it is none."""
    line = first_bytes(path).partition(b"\n")[0].removesuffix(b"\r")
    return line.decode(errors="replace")


def read_line_blocks(path: Path, findings: FindingLog) -> Iterator[LineBlock]:
    """Yield the lines of a UTF-8 file, plain or `.gz`; after a fault, which goes to the findings, nothing more comes."""
    for block in read_text_blocks(path, findings):
        ends = line_ends(block.data)
        offsets = np.concatenate([[0], ends]).astype(np.int64)
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(block.data)]
        lines = pa.Array.from_buffers(pa.large_string(), len(ends), buffers)
        yield LineBlock(block.first_line, pc.ascii_rtrim(lines, characters="\r\n"))


def line_ends(data: bytes) -> Int64[np.ndarray, " lines"]:
    r"""Return where each line ends, behind its line feed; the last needs none.

    >>> line_ends(b"a\nbc\nd")
    array([2, 5, 6])
    """
    ends = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == ord("\n")) + 1
    return ends if ends.size and ends[-1] == len(data) else np.append(ends, len(data))


def read_text_blocks(path: Path, findings: FindingLog) -> Iterator[TextBlock]:
    """Yield a UTF-8 file, plain or `.gz`, as blocks of whole lines; a line may be of any length.

    After a fault, which goes to the findings, nothing more comes. A file without a byte, or with nothing but blanks, is
    a fault.
    """
    number, position, is_blank = 1, 0, True
    for data in _whole_lines(path, findings):
        if not position:
            if data.startswith(_UTF16):
                findings.error("encoding", f"{path}: the file is in UTF-16 (byte 0); save it as UTF-8")
                return
            if data.startswith(_BOM):
                data, position = data[len(_BOM) :], len(_BOM)  # noqa: PLW2901 - the mark is no part of the text
        if not _is_sound(data, number, position, path, findings):
            return
        is_blank = is_blank and not data.strip()
        if not is_blank:
            yield TextBlock(number, data)
        number += data.count(b"\n")
        position += len(data)
    if is_blank and not findings.has_errors:
        found = "holds nothing but blanks" if position else "is empty"
        findings.error("empty-data", f"{path}: the file {found}; it needs at least one sample")


def _whole_lines(path: Path, findings: FindingLog) -> Iterator[bytes]:
    parts: list[bytes] = []
    try:
        with open_binary(path) as file:
            while data := file.read(BLOCK_BYTES):
                end = data.rfind(b"\n") + 1
                if end:
                    yield b"".join([*parts, data[:end]])
                    parts = []
                parts.append(data[end:])
    except (OSError, EOFError, zlib.error) as error:
        report_unreadable(path, error, findings)
        return
    if rest := b"".join(parts):
        yield rest


def report_unreadable(path: Path, error: Exception, findings: FindingLog) -> None:
    """Report that a file cannot be read, or not to its end."""
    if isinstance(error, UnpackedTooLargeError):
        findings.error("unpacked-size", f"{path}: {error}")
    elif isinstance(error, EOFError):
        findings.error("unreadable-file", f"{path}: the gzip file is cut off; get it again from where it came from")
    elif isinstance(error, gzip.BadGzipFile | zlib.error):
        findings.error("unreadable-file", f"{path}: no sound gzip file ({error}); write it again")
    else:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        findings.error("unreadable-file", f"{path}: {reason}; check the path and its permissions")


def report_if_unreadable(path: Path, findings: FindingLog) -> bool:
    """Report a file whose first bytes cannot be read, and return whether that is so."""
    try:
        with open_binary(path) as file:
            file.read(4096)
    except (OSError, EOFError, zlib.error) as error:
        report_unreadable(path, error, findings)
        return True
    return False


def _is_sound(data: bytes, number: int, position: int, path: Path, findings: FindingLog) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = number + data.count(b"\n", 0, error.start)
        found = f"byte 0x{data[error.start]:02x} at position {position + error.start:,}"
        findings.error("encoding", f"{path}: line {line}: {found} is not UTF-8; save the file as UTF-8")
        return False
    if b"\0" in data:
        line = number + data.count(b"\n", 0, data.index(b"\0"))
        findings.error("encoding", f"{path}: line {line} holds a NUL character; is it UTF-16? Save the file as UTF-8")
        return False
    return True
