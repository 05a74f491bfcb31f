"""Pictures embedded in tables: the column of a Hugging Face data set's Parquet or Arrow shards."""

# pyarrow has no types:
# pyright: reportUnknownParameterType=false

import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Int64, Integer

from manyhot.errors import ImageError
from manyhot.sources.shards import PictureGroup, ShardFaultError, read_group

_KEPT_GROUPS = 2
"""Groups of Parquet rows that a thread holds: some ten megabytes each, in files as they are usually written."""


class _Groups(threading.local):
    """The groups that a thread has read last: each thread has its own, so that none waits and no fork finds a lock."""

    def __init__(self) -> None:
        self._by_place: dict[tuple[int, int], PictureGroup] = {}

    def find(self, shard: int, row: int) -> PictureGroup | None:
        """Return the group of a row, if it is at hand."""
        held = self._by_place.items()
        return next((group for (where, _), group in held if where == shard and group.holds(row)), None)

    def keep(self, shard: int, group: PictureGroup) -> None:
        """Hold a group, and let the oldest go that takes memory."""
        self._by_place[shard, group.start] = group
        heavy = [place for place, held in self._by_place.items() if not held.is_mapped]
        for place in heavy[:-_KEPT_GROUPS]:
            del self._by_place[place]


@dataclass(frozen=True, kw_only=True, eq=False)
class EmbeddedPictures:
    """The pictures of some samples, each in a row of a shard.

    Parquet gives no picture by itself, but a group of rows: in random order that reads a hundred pictures for one.
    Rows in order, Arrow files and packs do not pay for it.

    Args:
        folder: The folder of the shards.
        shards: The names of the shards.
        column: The column that holds pictures.
        shard_ids: For each sample which of the shards holds its picture.
        rows: For each sample its row in the shard, counted from 0.

    >>> pictures = EmbeddedPictures(
    ...     folder=Path("data"), shards=("a.parquet",), column="image", shard_ids=np.array([0]), rows=np.array([16])
    ... )
    >>> Path(pictures.name_of(0)).as_posix()
    'data/a.parquet/17'
    """

    folder: Path
    shards: tuple[str, ...]
    column: str
    shard_ids: Int64[np.ndarray, " n"]
    rows: Int64[np.ndarray, " n"]
    _groups: _Groups = field(default_factory=_Groups, repr=False)

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.rows)

    def read(self, row: int, /) -> bytes:
        """Return the file of one picture.

        Raises:
            ImageError: If the shard is missing or damaged, or the row has no picture.
        """
        shard_id, wanted = int(self.shard_ids[row]), int(self.rows[row])
        try:
            group = self._groups.find(shard_id, wanted)
            if group is None:
                group = read_group(self.folder / self.shards[shard_id], wanted, self.column)
                self._groups.keep(shard_id, group)
            content = group.content_of(wanted)
        except ShardFaultError as fault:
            raise ImageError(f"its shard {self.shards[shard_id]} cannot be read: {fault}") from None
        if content is None:
            raise ImageError("is not embedded in its row")
        return content

    def name_of(self, row: int, /) -> str:
        """Return the shard and the number of the row, counted from 1."""
        return str(self.folder / self.shards[int(self.shard_ids[row])] / str(int(self.rows[row]) + 1))

    def size_of(self, row: int, /) -> int:
        """Return the size of one picture in bytes, -1 where it cannot be had."""
        try:
            return len(self.read(row))
        except ImageError:
            return -1

    def take(self, rows: Integer[np.ndarray, " k"], /) -> "EmbeddedPictures":
        """Return some of the pictures, in the order given."""
        return replace(self, shard_ids=self.shard_ids[rows], rows=self.rows[rows])

    def __getstate__(self) -> dict[str, object]:
        # What was read stays here: another process reads for itself.
        return {name: value for name, value in self.__dict__.items() if name != "_groups"}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state, _groups=_Groups())
