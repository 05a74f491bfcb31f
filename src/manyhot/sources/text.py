"""Text files read strictly: UTF-8, with or without a byte order mark, and nothing else."""

import zlib
from pathlib import Path

from manyhot.sources.finding import FindingLog
from manyhot.sources.line_blocks import report_unreadable
from manyhot.sources.unpacking import open_binary

_BOM = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def read_bytes(path: Path, findings: FindingLog) -> bytes | None:
    """Return the bytes of a file, those in it where it ends in `.gz`, or None with an error in the findings."""
    try:
        with open_binary(path) as file:
            data = file.read()
    except (OSError, EOFError, zlib.error) as error:
        report_unreadable(path, error, findings)
        return None
    if not data:
        findings.error("empty-data", f"{path}: the file is empty; it needs at least one sample")
        return None
    return data


def read_text(path: Path, findings: FindingLog) -> str | None:
    """Return the text of a file without its byte order mark, or None with an error in the findings."""
    data = read_bytes(path, findings)
    if data is None:
        return None
    if data.startswith(_UTF16):
        findings.error("encoding", f"{path}: the file is in UTF-16 (byte 0); save it as UTF-8")
        return None
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        findings.error(
            "encoding",
            f"{path}: line {line}: byte 0x{data[error.start]:02x} at position {error.start:,} is not UTF-8; "
            "save the file as UTF-8",
        )
        return None
    nul = text.find("\0")
    if nul >= 0:
        line = text.count("\n", 0, nul) + 1
        findings.error("encoding", f"{path}: line {line} holds a NUL character; is it UTF-16? Save the file as UTF-8")
        return None
    text = text.removeprefix(_BOM.decode())
    if not text.strip():
        findings.error("empty-data", f"{path}: the file holds nothing but blanks; it needs at least one sample")
        return None
    return text


def is_unicode(text: str) -> bool:
    r"""Return whether a text can be written as UTF-8: half a surrogate pair cannot.

    >>> is_unicode("é"), is_unicode("\udce9")
    (True, False)
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
