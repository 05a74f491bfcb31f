"""The samples in a tar file: members of one key, where the picture is, and what the label members hold."""

import tarfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from manyhot.errors import quote
from manyhot.sources.finding import FindingLog
from manyhot.sources.scanning import PICTURE_SUFFIXES

LABEL_MEMBERS = (".json", ".cls", ".txt")
MAX_LABEL_BYTES = 1 << 24


@dataclass(eq=False)
class TarSample:
    """The members of one key.

    Args:
        picture: The suffix of its picture, or None.
        offset: Where its picture starts in the tar, in bytes.
        length: How long it is.
        labels: What its label members hold, by their suffix.
    """

    picture: str | None = None
    offset: int = 0
    length: int = 0
    labels: dict[str, bytes] = field(default_factory=dict[str, bytes])


def scan_tar(path: Path, findings: FindingLog) -> dict[str, TarSample] | None:
    """Return the samples of a tar file by their keys, in order, or None with an error; every header is read.

    Names in PAX and GNU headers count. A key is the name up to the first dot of its last part.

    >>> findings = FindingLog()
    >>> scan_tar(Path("nowhere.tar"), findings) is None, [finding.name for finding in findings.findings()]
    (True, ['unreadable-file'])
    """
    samples: dict[str, TarSample] = {}
    seen: set[str] = set()
    try:
        with tarfile.open(path, "r:*") as shard:
            for member in shard:
                name = PurePosixPath(member.name)
                if not member.isfile() or name.name.startswith("."):
                    continue
                if member.name in seen:
                    message = f"{path}: a member stands twice; write the file again without one"
                    findings.error("duplicate-member", message, quote(member.name))
                    continue
                seen.add(member.name)
                base, _, suffix = name.name.partition(".")
                sample = samples.setdefault(str(name.with_name(base)), TarSample())
                if f".{suffix.casefold()}" in PICTURE_SUFFIXES:
                    if sample.picture is not None:
                        message = f"{path}: a key has two pictures; write the file again with one"
                        findings.error("several-pictures", message, quote(member.name))
                    if member.issparse():
                        raise tarfile.ReadError(f"{member.name} is stored with holes, which cannot be read in place")
                    sample.picture, sample.offset, sample.length = f".{suffix}", member.offset_data, member.size
                elif f".{suffix.casefold()}" in LABEL_MEMBERS:
                    sample.labels[f".{suffix.casefold()}"] = _content_of(member, shard)
            _check_end(shard)
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        findings.error("unreadable-file", f"{path}: no sound tar file ({error}); write it again")
        return None
    return samples


def _check_end(shard: tarfile.TarFile) -> None:
    """Raise where a file does not end as a tar file does: what follows a damaged header would be passed over."""
    shard.fileobj.seek(shard.offset)
    if shard.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError(f"cut off or damaged at byte {shard.offset:,}")


def _content_of(member: tarfile.TarInfo, shard: tarfile.TarFile) -> bytes:
    if member.size > MAX_LABEL_BYTES:
        raise tarfile.ReadError(f"{member.name} is larger than {MAX_LABEL_BYTES:,} bytes, too large for labels")
    content = shard.extractfile(member)
    data = b"" if content is None else content.read()
    if len(data) < member.size:
        raise tarfile.ReadError(f"{member.name} is cut off")
    return data
