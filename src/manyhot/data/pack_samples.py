"""Samples packed in several threads, and handed on in their order."""

from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from manyhot.data.label_texts import label_texts
from manyhot.data.packing import PackedPicture, pack_picture
from manyhot.data.shards import RefusedPicture
from manyhot.data.source_stamps import SourceStamp, changed_ns_of, stamp_of
from manyhot.errors import ImageError
from manyhot.sources.manifest import Manifest
from manyhot.sources.pack_files import PackSettings

_CHUNK = 16
"""Pictures that a thread takes at a time: fewer make queueing show, more make threads wait for each other at the end."""

_CHUNK_BYTES = 8 * 2**20
"""What a chunk is to hold, packed, judged by the one before: of large pictures a thread takes fewer."""

_AHEAD = 4
"""Chunks for each thread that may be done before they are written: what they hold is bounded."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PackedSample:
    """A sample as it is packed.

    Args:
        row: Its row in the data.
        stamp: What its picture's file was.
        picture: Its picture.
        labels: Its labels, as JSON.
    """

    row: int
    stamp: SourceStamp
    picture: PackedPicture
    labels: bytes


@dataclass(frozen=True, kw_only=True)
class RefusedSample:
    """A sample that is not packed.

    Args:
        stamp: What its picture's file was.
        picture: Which it is, and what is wrong with it.
    """

    stamp: SourceStamp
    picture: RefusedPicture


def pack_samples(
    manifest: Manifest, rows: range, settings: PackSettings, workers: int
) -> Generator[PackedSample | RefusedSample, None, None]:
    """Yield samples in order, each packed in one of several threads, and those whose picture cannot be decoded.

    >>> from pathlib import Path
    >>> from manyhot.labels import LabelSets
    >>> absent = Manifest.from_lists(Path("no"), ["a.jpg"], LabelSets.from_names([["cat"]]))
    >>> [sample.picture.reason for sample in pack_samples(absent, range(1), PackSettings(), workers=1)]
    ['does not exist']
    """
    waiting: deque[Future[list[PackedSample | RefusedSample]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            start, size = rows.start, 1
            while start < rows.stop:
                some = range(start, min(start + size, rows.stop))
                waiting.append(pool.submit(_pack_rows, manifest, some, settings))
                start = some.stop
                if len(waiting) >= workers * _AHEAD:
                    done = waiting.popleft().result()
                    size = _size_after(done)
                    yield from done
            while waiting:
                yield from waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _size_after(chunk: list[PackedSample | RefusedSample]) -> int:
    """Return how many pictures the next chunk takes, so that it holds what it may if they are like those of this one."""
    held = sum(len(sample.picture.content) for sample in chunk if isinstance(sample, PackedSample))
    return max(1, min(_CHUNK, _CHUNK_BYTES * len(chunk) // max(held, 1)))


def _pack_rows(manifest: Manifest, rows: range, settings: PackSettings) -> list[PackedSample | RefusedSample]:
    found: list[PackedSample | RefusedSample] = []
    texts = label_texts(manifest, rows)
    for row, text in zip(rows, texts, strict=True):
        content, changed_ns = None, changed_ns_of(manifest.pictures, row)
        try:
            content = manifest.pictures.read(row)
            picture = pack_picture(content, settings)
        except ImageError as error:
            reference = manifest.samples["reference"][row].as_py()
            refused = RefusedPicture(row=row, reference=reference, reason=str(error))
            found.append(RefusedSample(stamp=stamp_of(content, changed_ns), picture=refused))
            continue
        found.append(PackedSample(row=row, stamp=stamp_of(content, changed_ns), picture=picture, labels=text))
    return found
