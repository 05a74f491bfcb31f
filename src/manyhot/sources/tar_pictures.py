"""Pictures inside of tar files, at known places: read through a memory map, in any order."""

# pyarrow has no types:
# pyright: reportUnknownParameterType=false

import mmap
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Int64, Integer, UInt32

from manyhot.errors import ImageError


@dataclass(frozen=True, kw_only=True, eq=False)
class TarPictures:
    """The pictures of some samples, each a piece of a shard.

    A shard is mapped into memory once a process, at its first picture: pictures are read without a copy, and what one
    process has read is there for all.

    Args:
        folder: The folder of the shards.
        shards: The names of the shards.
        references: What each sample is called.
        shard_ids: For each sample which of the shards holds its picture.
        offsets: Where in its shard each picture starts, in bytes.
        lengths: How long each picture is, in bytes.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     _ = Path(folder, "s.tar").write_bytes(b"..one.two")
    ...     pictures = TarPictures(
    ...         folder=Path(folder),
    ...         shards=("s.tar",),
    ...         references=pa.array(["1.jpg", "2.jpg"]),
    ...         shard_ids=np.zeros(2, dtype=np.uint32),
    ...         offsets=np.array([2, 6]),
    ...         lengths=np.array([3, 3]),
    ...     )
    ...     bytes(pictures.read(1)), pictures.size_of(0)
    (b'two', 3)
    """

    folder: Path
    shards: tuple[str, ...]
    references: pa.Array | pa.ChunkedArray
    shard_ids: UInt32[np.ndarray, " n"]
    offsets: Int64[np.ndarray, " n"]
    lengths: Int64[np.ndarray, " n"]
    _maps: dict[int, memoryview] = field(default_factory=dict[int, memoryview], repr=False)

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.offsets)

    def read(self, row: int, /) -> memoryview:
        """Return the file of one picture, as a view of its shard.

        Raises:
            ImageError: If the shard is gone, or ends before the picture does.
        """
        shard_id, start, length = int(self.shard_ids[row]), int(self.offsets[row]), int(self.lengths[row])
        content = self._maps.get(shard_id)
        if content is None:
            # Two threads may both map it: harmless, and cheaper than a lock at every picture.
            content = self._maps[shard_id] = self._map(shard_id)
        found = content[start : start + length]
        if len(found) < length:
            raise ImageError(f"is cut off with its shard {self.shards[shard_id]}; get the shard again")
        return found

    def name_of(self, row: int, /) -> str:
        """Return the shard and the name of one picture."""
        return f"{self.folder / self.shards[int(self.shard_ids[row])]}: {self.references[int(row)].as_py()}"

    def size_of(self, row: int, /) -> int:
        """Return the size of one picture in bytes."""
        return int(self.lengths[row])

    def take(self, rows: Integer[np.ndarray, " k"], /) -> "TarPictures":
        """Return some of the pictures, in the order given."""
        return replace(
            self,
            references=self.references.take(pa.array(rows)),
            shard_ids=self.shard_ids[rows],
            offsets=self.offsets[rows],
            lengths=self.lengths[rows],
        )

    def _map(self, shard_id: int) -> memoryview:
        path = self.folder / self.shards[shard_id]
        try:
            with path.open("rb") as file:
                return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except (OSError, ValueError) as error:
            # ValueError: an empty file cannot be mapped.
            raise ImageError(f"its shard {self.shards[shard_id]} cannot be opened: {error}") from None

    def __getstate__(self) -> dict[str, object]:
        # Maps cannot be sent to another process, which makes its own.
        return {**self.__dict__, "_maps": {}}
