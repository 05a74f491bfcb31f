"""Shards of a pack: ordinary uncompressed WebDataset tars, and for each a record of what is where in it."""

import hashlib
import json
import tarfile
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt32

from manyhot.data.packing import PackedPicture
from manyhot.data.source_stamps import SourceStamp, SourceStamps
from manyhot.files import flush_to_disk, sha256_of, temporary_beside, write_atomically
from manyhot.sources.pack_files import ShardEntry

KEY_DIGITS = 9
_BLOCK = tarfile.BLOCKSIZE
_END = bytes(2 * _BLOCK)


@dataclass(frozen=True, kw_only=True)
class RefusedPicture:
    """A picture that is not packed.

    Args:
        row: Its row in the data.
        reference: What its sample is called there.
        reason: What is wrong with it.
    """

    row: int
    reference: str
    reason: str


@dataclass(frozen=True, kw_only=True, eq=False)
class ShardRecord:
    """What is where in a shard.

    Args:
        entry: Name, size and checksum of the shard.
        first: The first row of the data that it stands for.
        stop: The first row that it does not.
        rows: The rows whose pictures it holds, in order.
        offsets: Where each picture starts.
        lengths: How long each picture is.
        checksums: The CRC-32 of each picture.
        refused: The rows from `first` to `stop` that it does not hold.
        sources: What the pictures of all rows from `first` to `stop` were when they were packed.
    """

    entry: ShardEntry
    first: int
    stop: int
    rows: Int64[np.ndarray, " k"]
    offsets: Int64[np.ndarray, " k"]
    lengths: Int64[np.ndarray, " k"]
    checksums: UInt32[np.ndarray, " k"]
    refused: tuple[RefusedPicture, ...]
    sources: SourceStamps

    def save(self, path: Path) -> None:
        """Write the record to a `.npz` file, whole or not at all."""
        refused = [asdict(picture) for picture in self.refused]
        about = {"entry": asdict(self.entry), "first": self.first, "stop": self.stop, "refused": refused}

        def write(temporary: Path) -> None:
            np.savez(
                temporary,
                about=np.array(json.dumps(about)),
                rows=self.rows,
                offsets=self.offsets,
                lengths=self.lengths,
                checksums=self.checksums,
                source_sizes=self.sources.sizes,
                source_times=self.sources.times,
                source_checksums=self.sources.checksums,
            )

        write_atomically(path, write)

    @staticmethod
    def load(path: Path) -> "ShardRecord":
        """Return the record in a file.

        Raises:
            ValueError: If it is no such record; other errors are those of NumPy and `zipfile`.
        """
        # NumPy leaves a broken file open that it was given by name.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            about = json.loads(str(arrays["about"]))
            return ShardRecord(
                entry=ShardEntry(**about["entry"]),
                first=about["first"],
                stop=about["stop"],
                rows=arrays["rows"],
                offsets=arrays["offsets"],
                lengths=arrays["lengths"],
                checksums=arrays["checksums"],
                refused=tuple(RefusedPicture(**picture) for picture in about["refused"]),
                sources=SourceStamps(
                    sizes=arrays["source_sizes"],
                    times=arrays["source_times"],
                    checksums=arrays["source_checksums"],
                ),
            )

    def is_sound(self, folder: Path) -> bool:
        """Return whether its shard is in the folder and what it was; reads all of it."""
        path = folder / self.entry.name
        try:
            return path.stat().st_size == self.entry.size_bytes and sha256_of(path) == self.entry.sha256
        except OSError:
            return False


@dataclass(eq=False)
class _Places:
    """Where the pictures of a growing shard are."""

    rows: list[int] = field(default_factory=list[int])
    offsets: list[int] = field(default_factory=list[int])
    lengths: list[int] = field(default_factory=list[int])
    checksums: list[int] = field(default_factory=list[int])


class ShardWriter:
    """A shard that grows, under another name until it is whole.

    Bytes depend on what is appended alone: no time, no user, no order of threads.

    Args:
        work: The folder that it grows in; on the same file system as the one that it is put into.
        first: The first row of the data that it stands for.

    >>> from tempfile import TemporaryDirectory
    >>> from manyhot.data.source_stamps import stamp_of
    >>> with TemporaryDirectory() as folder:
    ...     writer = ShardWriter(Path(folder), first=7)
    ...     writer.append(7, PackedPicture(suffix="jpg", content=b"..."), b"{}")
    ...     record = writer.finish(Path(folder), "shard-00000.tar", refused=[], stamps=[stamp_of(b"...", -1)])
    ...     with tarfile.open(Path(folder, "shard-00000.tar")) as shard:
    ...         print(shard.getnames(), record.offsets.tolist())
    ['000000007.jpg', '000000007.json'] [512]
    """

    def __init__(self, work: Path, *, first: int) -> None:
        self._path = temporary_beside(work / "shard.tar")
        self._file = self._path.open("wb")
        self._digest = hashlib.sha256()
        self._places = _Places()
        self._first = first
        self._size = 0

    def fits(self, picture: PackedPicture, labels: bytes, limit: int) -> bool:
        """Return whether the shard stays within so many bytes with another sample; an empty one takes any."""
        needed = sum(_BLOCK + -(-len(content) // _BLOCK) * _BLOCK for content in (picture.content, labels))
        return not self._places.rows or self._size + needed + len(_END) <= limit

    def append(self, row: int, picture: PackedPicture, labels: bytes) -> None:
        """Write a sample: its picture, then its labels.

        Raises:
            OSError: If it cannot be written.
        """
        key = f"{row:0{KEY_DIGITS}d}"
        self._places.rows.append(row)
        self._places.offsets.append(self._size + _BLOCK)
        self._places.lengths.append(len(picture.content))
        self._places.checksums.append(zlib.crc32(picture.content))
        self._member(f"{key}.{picture.suffix}", picture.content)
        self._member(f"{key}.json", labels)

    def finish(
        self, folder: Path, name: str, *, refused: Sequence[RefusedPicture], stamps: Sequence[SourceStamp]
    ) -> ShardRecord:
        """Put the shard into its folder under its name, and return its record.

        Args:
            folder: Where it goes.
            name: What it is called there.
            refused: The rows that it stands for and does not hold.
            stamps: What the pictures of all rows were that it stands for, from the first on.
        """
        self._write(_END)
        self._file.close()
        flush_to_disk(self._path)
        self._path.replace(folder / name)
        flush_to_disk(folder)
        places = self._places
        entry = ShardEntry(
            name=name, size_bytes=self._size, sha256=self._digest.hexdigest(), num_samples=len(places.rows)
        )
        return ShardRecord(
            entry=entry,
            first=self._first,
            stop=self._first + len(stamps),
            rows=np.array(places.rows, dtype=np.int64),
            offsets=np.array(places.offsets, dtype=np.int64),
            lengths=np.array(places.lengths, dtype=np.int64),
            checksums=np.array(places.checksums, dtype=np.uint32),
            refused=tuple(refused),
            sources=SourceStamps.from_stamps(stamps),
        )

    def discard(self) -> None:
        """Delete what was written, unless it is whole and in its place."""
        # A full disk refuses what is still in memory once more.
        with suppress(OSError):
            self._file.close()
        self._path.unlink(missing_ok=True)

    def _member(self, name: str, content: bytes | memoryview) -> None:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        self._write(member.tobuf(tarfile.USTAR_FORMAT))
        self._write(content)
        self._write(bytes(-len(content) % _BLOCK))

    def _write(self, content: bytes | memoryview) -> None:
        self._file.write(content)
        self._digest.update(content)
        self._size += len(content)
