"""Pack: pictures of any data into shards, in threads, so that whoever is stopped goes on where it was."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from tqdm import tqdm

from manyhot.data.pack_samples import PackedSample, RefusedSample, pack_samples
from manyhot.data.pack_work import PackWork, Part, find_works
from manyhot.data.shards import RefusedPicture, ShardRecord, ShardWriter
from manyhot.data.source_stamps import SourceStamp
from manyhot.errors import SourceError, StoppedError, UsageError
from manyhot.labels.building import write_store
from manyhot.labels.storage import batches_of
from manyhot.runs.merging import Packing, merge_parts, packing_of, told_if_unwritable
from manyhot.sources import Manifest, SourceOptions, open_source
from manyhot.sources.pack_files import WORK, PackSettings, is_finished, read_pack_manifest

log = logging.getLogger("manyhot")

_DEFAULTS = SourceOptions()
_WHOLE = Part()
_PLAIN = PackSettings()


@dataclass(frozen=True, kw_only=True)
class BadPictures:
    """What becomes of pictures that cannot be decoded.

    Args:
        policy: `fail` stops at the first; `skip` leaves them out and lists them.
        max_percent: `skip` stops once more than so many percent of the samples, and more than one, are left out.
    """

    policy: Literal["fail", "skip"] = "fail"
    max_percent: float = 0.1

    def check(self, refused: list[RefusedPicture], num_samples: int) -> None:
        """Check that no more were refused than is allowed.

        Raises:
            SourceError: Naming a picture and the reason.

        >>> BadPictures(policy="skip").check([RefusedPicture(row=0, reference="a.jpg", reason="is empty")], 100)
        """
        if not refused:
            return
        last = f"{refused[-1].reference}: {refused[-1].reason}"
        if self.policy == "fail":
            raise SourceError(f"{last}; mend it and pack again to go on, or leave such pictures out with --bad skip")
        if len(refused) > max(1, int(self.max_percent / 100 * num_samples)):
            raise SourceError(
                f"{len(refused):,} of {num_samples:,} pictures cannot be decoded, more than --max-bad {self.max_percent:g} "
                f"percent; the last is {last}; mend them (manyhot check lists them), or allow more"
            )


_FAIL = BadPictures()


def pack(
    data: Path,
    out: Path,
    settings: PackSettings = _PLAIN,
    options: SourceOptions = _DEFAULTS,
    *,
    part: Part = _WHOLE,
    bad: BadPictures = _FAIL,
    workers: int | None = None,
) -> Packing:
    """Return the pack that pictures and labels were written to, whole or in parts; goes on where an earlier call stopped.

    Shards whose pictures have changed since are packed again, and those behind them; of a finished pack none is looked at.

    Args:
        data: A folder, a label file, a label store, tars, or another pack.
        out: The pack: absent, empty, or begun by an earlier call with the same data and settings.
        settings: What becomes of the pictures.
        options: How to read the data.
        part: Which part of the samples; the last part that is done merges them.
        bad: What becomes of pictures that cannot be decoded.
        workers: Threads; as many as there are cores by default.

    Raises:
        SourceError: If data or a picture cannot be read, or a shard cannot be written.
        UsageError: If `out` is of other data or settings, holds anything else, or another process packs there.
        StoppedError: After Ctrl-C: what is whole is kept.

    >>> pack(Path("nowhere"), Path("pack"))
    Traceback (most recent call last):
    manyhot.errors.SourceError: nowhere: there is no such file or folder; check the path
    """
    check_out(out)
    manifest = open_source(data, options)
    if not manifest.has_pictures:
        raise SourceError(f"{data}: its samples name no pictures, so there is nothing to pack")
    work = PackWork(
        out=out, part=part, fingerprint=manifest.fingerprint, description=manifest.description, settings=settings
    )
    if is_finished(out):
        return _finished(out, work)
    if not part.rows(manifest.num_samples):
        raise UsageError(f"{manifest.num_samples:,} samples cannot be packed in {part.total:,} parts; make fewer")
    with told_if_unwritable(out):
        out.mkdir(exist_ok=True)
        with work.held():
            done = _kept_records(manifest, work)
            if not work.is_done:
                try:
                    _pack_part(manifest, work, done, bad, workers or os.cpu_count() or 1)
                except KeyboardInterrupt:
                    raise StoppedError(f"{out}: stopped; the same command goes on with what is missing") from None
    return merge_parts(out) if _is_last(out, part) else packing_of(out)


def check_out(out: Path) -> None:
    """Check that a folder can become a pack: nothing is ever written among files of others.

    Raises:
        UsageError: If it is a file, lies in no folder, or holds what `pack` did not begin.
    """
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: is a file; name a folder for the pack")
    if not out.parent.is_dir():
        raise UsageError(f"{out}: there is no folder {out.parent}; make it, or name another")
    if not out.is_dir() or is_finished(out) or (out / WORK).is_dir():
        return
    foreign = min((path.name for path in out.iterdir()), default=None)
    if foreign is not None:
        raise UsageError(f"{out}: holds {foreign!r} and is no pack; name a new folder")


def _finished(out: Path, work: PackWork) -> Packing:
    manifest = read_pack_manifest(out)
    if (manifest.fingerprint, manifest.settings) != (work.fingerprint, work.settings):
        found = manifest.settings.in_words() if manifest.fingerprint == work.fingerprint else "other data"
        raise UsageError(f"{out}: is a finished pack of {found}; name another folder")
    log.info("%s: is finished already", out)
    return merge_parts(out)


def _is_last(out: Path, part: Part) -> bool:
    works = find_works(out)
    return len(works) == part.total and all(work.is_done for work in works)


def _pack_part(manifest: Manifest, work: PackWork, done: list[ShardRecord], bad: BadPictures, workers: int) -> None:
    rows = work.part.rows(manifest.num_samples)
    if done:
        log.info("%s: %d shards are whole, going on", work.out, len(done))
    refused = [picture for record in done for picture in record.refused]
    bad.check(refused, len(rows))
    start = done[-1].stop if done else rows.start
    bar = tqdm(total=len(rows), initial=start - rows.start, desc="packing", unit=" images", disable=None)
    with bar:
        packed = pack_samples(manifest, range(start, rows.stop), work.settings, workers)
        shards = _Shards(work, done, start)
        try:
            for sample in packed:
                if isinstance(sample, RefusedSample):
                    refused.append(sample.picture)
                    bad.check(refused, len(rows))
                shards.add(sample)
                bar.update()
            shards.close()
        finally:
            packed.close()
            shards.discard()
    kept = np.concatenate([np.zeros(0, dtype=np.int64), *(record.rows for record in shards.records)])
    taken = manifest.take(kept)
    write_store(work.labels, taken.labels.space, batches_of(taken.labels, taken.samples), description=work.description)


def _kept_records(manifest: Manifest, work: PackWork) -> list[ShardRecord]:
    """Return the records of the shards that are whole and of the data as they are, up to the first that is not.

    What is behind it is deleted, too: it would not fit what takes its place.
    """
    records = work.records()
    # Labels say that a part is done, but not that its records are still there.
    is_done = work.is_done and bool(records) and records[-1].stop == work.part.rows(manifest.num_samples).stop
    kept = _count_kept(manifest, work, records, is_done=is_done) if records else 0
    if kept == len(records) and not is_done and (work.is_done or work.has_records_from(kept)):
        _warn_of_damage(work.record_path(kept), work.part.shard_name(kept))
    if kept < len(records) or not is_done:
        work.forget(kept)
    return records[:kept]


def _count_kept(manifest: Manifest, work: PackWork, records: list[ShardRecord], *, is_done: bool) -> int:
    compared = (
        "the pictures of its shards"
        if is_done
        else "the shards that are there with their checksums, and their pictures"
    )
    log.info("%s: comparing %s with the data", work.out, compared)
    total = sum(record.stop - record.first for record in records)
    with tqdm(total=total, desc="comparing", unit=" images", disable=None, leave=False) as bar:
        for index, record in enumerate(records):
            if not (is_done or _is_sound(work, record)) or _has_changed(manifest, record):
                return index
            bar.update(record.stop - record.first)
    return len(records)


def _is_sound(work: PackWork, record: ShardRecord) -> bool:
    if record.is_sound(work.out):
        return True
    _warn_of_damage(work.out / record.entry.name, record.entry.name)
    return False


def _warn_of_damage(path: Path, shard: str) -> None:
    log.warning("warning: %s: is damaged or missing; packing again from %s on", path, shard)


def _has_changed(manifest: Manifest, record: ShardRecord) -> bool:
    row = record.sources.first_changed(manifest.pictures, record.first)
    if row is None:
        return False
    name = manifest.pictures.name_of(row)
    log.warning("warning: %s: has changed since it was packed; packing again from %s on", name, record.entry.name)
    return True


class _Shards:
    """The shards of a part: each is closed when the next sample does not fit."""

    def __init__(self, work: PackWork, records: list[ShardRecord], start: int) -> None:
        self.records = records
        self._work = work
        self._first = start
        self._writer: ShardWriter | None = None
        self._refused: list[RefusedPicture] = []
        self._stamps: list[SourceStamp] = []

    def add(self, sample: PackedSample | RefusedSample) -> None:
        """Write a sample behind the others, or note that it was refused."""
        if isinstance(sample, RefusedSample):
            self._stamps.append(sample.stamp)
            self._refused.append(sample.picture)
            return
        limit = self._work.settings.shard_bytes
        if self._writer is not None and not self._writer.fits(sample.picture, sample.labels, limit):
            self.close()
        if self._writer is None:
            self._writer = ShardWriter(self._work.folder, first=self._first)
        self._stamps.append(sample.stamp)
        self._writer.append(sample.row, sample.picture, sample.labels)

    def close(self) -> None:
        """Put the open shard in its place, then its record: a shard without a record is written again."""
        if self._writer is None and not self._refused:
            return
        writer = self._writer or ShardWriter(self._work.folder, first=self._first)
        name = self._work.part.shard_name(len(self.records))
        record = writer.finish(self._work.out, name, refused=self._refused, stamps=self._stamps)
        record.save(self._work.record_path(len(self.records)))
        self.records.append(record)
        self._writer, self._first, self._refused, self._stamps = None, record.stop, [], []

    def discard(self) -> None:
        """Delete a shard that did not become whole."""
        if self._writer is not None:
            self._writer.discard()
