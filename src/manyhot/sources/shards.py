"""Shards of tables: Parquet files and Arrow files, of which only the columns that are asked for are read."""

# pyarrow has no types:
# pyright: reportUnknownParameterType=false

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from manyhot.errors import SourceError

ARROW_START, STREAM_END = b"ARROW1", b"\xff\xff\xff\xff\0\0\0\0"
POINTER_START = b"version https://git-lfs"
BYTES, PATH = "bytes", "path"
_BATCH_ROWS = 256


class ShardFaultError(ValueError):
    """A shard that cannot be read; the message says why, not which."""


def read_schema(path: Path) -> pa.Schema:
    """Return the columns of a shard.

    Raises:
        ShardFaultError: If it is no sound Parquet or Arrow file.

    >>> read_schema(Path("nowhere.parquet"))
    Traceback (most recent call last):
    manyhot.sources.shards.ShardFaultError: there is no such file
    """
    with _faults():
        with path.open("rb") as start:
            if start.read(len(POINTER_START)) == POINTER_START:
                raise ShardFaultError("it is a pointer of git LFS and not yet the file: fetch it with git lfs pull")
        if path.suffix.lower() == ".parquet":
            with _open_parquet(path) as file:
                return _with_sound_names(file.schema_arrow)
        with pa.memory_map(str(path)) as source, _open_arrow(source) as batches:
            return _with_sound_names(batches.schema)


def _with_sound_names(schema: pa.Schema) -> pa.Schema:
    """Return the schema; in a damaged one the first look at a name raises, and better here than later."""
    for field in schema:
        _ = field.name, [inner.name for inner in field.type] if pa.types.is_struct(field.type) else None
    return schema


def read_columns(path: Path, names: list[str]) -> pa.Table:
    """Return some columns of a shard, in the order given.

    Raises:
        ShardFaultError: If it is no sound Parquet or Arrow file, or is cut off.
    """
    with _faults():
        if path.suffix.lower() == ".parquet":
            with _open_parquet(path) as file:
                data = file.read(columns=names).select(names)
        else:
            with pa.memory_map(str(path)) as source, _open_arrow(source) as batches:
                data = batches.read_all().select(names)
        data.validate(full=True)
        return data


def rows_without_bytes(path: Path, column: str) -> list[int]:
    """Return the rows whose picture is not embedded.

    Parquet says of each group of rows how many there are; only groups with some are read.

    Raises:
        ShardFaultError: If it is no sound Parquet or Arrow file.
    """
    with _faults():
        rows: list[int] = []
        start = 0
        for nulls, size in _nulls(path, column):
            rows += [start + row for row in nulls]
            start += size
        return rows


def read_picture_paths(path: Path, column: str) -> list[str | None]:
    """Return the path that stands beside each picture, without reading the pictures."""
    with _faults():
        if path.suffix.lower() == ".parquet":
            with _open_parquet(path) as file:
                data = file.read(columns=[f"{column}.{PATH}"])
        else:
            data = read_columns(path, [column])
        chunks = data[column].chunks
        return [name for chunk in chunks for name in chunk.flatten()[chunk.type.get_field_index(PATH)].to_pylist()]


def _nulls(path: Path, column: str) -> Iterator[tuple[list[int], int]]:
    if path.suffix.lower() != ".parquet":
        data = read_columns(path, [column])
        for chunk in data[column].chunks:
            yield _null_rows(chunk), len(chunk)
        return
    name = f"{column}.{BYTES}"
    with _open_parquet(path) as file:
        leaves = [file.schema.column(leaf).path for leaf in range(len(file.schema))]
        if name not in leaves:
            raise ShardFaultError("its two descriptions of its columns disagree")
        index = leaves.index(name)
        for group in range(file.num_row_groups):
            part = file.metadata.row_group(group)
            statistics = part.column(index).statistics
            if statistics is not None and statistics.has_null_count and not statistics.null_count:
                yield [], part.num_rows
                continue
            for batch in file.iter_batches(_BATCH_ROWS, row_groups=[group], columns=[name]):
                yield _null_rows(batch.column(0)), batch.num_rows


def _null_rows(pictures: pa.StructArray) -> list[int]:
    # Not field(): it would not see that the whole structure is null.
    content = pictures.flatten()[pictures.type.get_field_index(BYTES)]
    return content.is_null().to_numpy(zero_copy_only=False).nonzero()[0].tolist() if content.null_count else []


def read_embedded_picture(root: Path, reference: str, column: str = "image") -> bytes:
    """Return the file of a picture that is embedded in a shard; a reference is `SHARD/ROW`, rows counted from 1.

    Raises:
        SourceError: If there is no such shard, row or picture.

    >>> read_embedded_picture(Path("data"), "train.parquet/1")
    Traceback (most recent call last):
    manyhot.errors.SourceError: data/train.parquet/1: there is no such file; check the reference
    """
    shard, _, number = reference.rpartition("/")
    path = root / shard
    try:
        row = int(number) - 1 if number.isdecimal() else -1
        content = read_group(path, row, column).content_of(row)
    except ShardFaultError as fault:
        raise SourceError(f"{root / reference}: {fault}; check the reference") from None
    if content is None:
        raise SourceError(f"{root / reference}: the row has no picture; check the reference")
    return content


@dataclass(frozen=True, eq=False)
class PictureGroup:
    """The pictures of some rows of a shard: what has to be read to get at one of them.

    Args:
        start: The first row, counted from 0.
        pictures: The column of these rows.
        is_mapped: Whether they are a view of the file, which takes no memory of its own.
    """

    start: int
    pictures: pa.ChunkedArray
    is_mapped: bool

    def holds(self, row: int) -> bool:
        """Return whether a row of the shard is among these."""
        return 0 <= row - self.start < len(self.pictures)

    def content_of(self, row: int) -> bytes | None:
        """Return the file of one picture, by its row in the shard; None where it is not embedded."""
        return (self.pictures[row - self.start].as_py() or {}).get(BYTES)


def read_group(path: Path, row: int, column: str) -> PictureGroup:
    """Return the pictures that are read together with that of one row: a group of Parquet, or a whole Arrow file.

    Raises:
        ShardFaultError: If the shard is missing or damaged, or has no such row.
    """
    with _faults():
        if path.suffix.lower() != ".parquet":
            group = PictureGroup(0, read_columns(path, [column])[column], True)
            if group.holds(row):
                return group
        else:
            with _open_parquet(path) as file:
                start = 0
                for number in range(file.num_row_groups):
                    size = file.metadata.row_group(number).num_rows
                    if start <= row < start + size:
                        # Without threads: a forked process has none of the pool's.
                        data = file.read_row_group(number, columns=[f"{column}.{BYTES}"], use_threads=False)
                        return PictureGroup(start, data[column], False)
                    start += size
        raise ShardFaultError("there is no such row")


def _open_parquet(path: Path) -> "pa.parquet.ParquetFile":  # pyright: ignore[reportAttributeAccessIssue] - pyarrow has no types
    # Half the cost of `import pyarrow` again: only who reads Parquet pays it.
    import pyarrow.parquet as pq

    return pq.ParquetFile(path)


def _open_arrow(source: pa.MemoryMappedFile) -> "pa.RecordBatchStreamReader":
    size = source.size()
    if not size:
        raise ShardFaultError("the file is empty")
    if source.read_at(len(ARROW_START), 0) == ARROW_START:
        return pa.ipc.open_file(source)
    # A stream that is cut between two batches would be read as a shorter one.
    if size < len(STREAM_END) or source.read_at(len(STREAM_END), size - len(STREAM_END)) != STREAM_END:
        raise ShardFaultError("the file is cut off")
    return pa.ipc.open_stream(source)


@contextmanager
def _faults() -> Generator[None]:
    """Turn what pyarrow raises on damaged files into one kind of error."""
    try:
        yield
    except FileNotFoundError:
        raise ShardFaultError("there is no such file") from None
    except (pa.ArrowException, OSError, UnicodeDecodeError, OverflowError, MemoryError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ShardFaultError(f"it is no sound file of its kind ({reason})") from None
