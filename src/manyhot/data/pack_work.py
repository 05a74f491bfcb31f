"""The folder in which a part of a pack is being made: its settings, the records of its shards, and its labels."""

import json
import zipfile
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from manyhot.data.folder_lock import LOCK_FILE, lock_folder
from manyhot.data.shards import ShardRecord
from manyhot.errors import UsageError
from manyhot.files import TEMPORARY_PREFIX, remove_files, write_json
from manyhot.labels.store_files import FILE_NAMES, is_store
from manyhot.sources.pack_files import LABELS, WORK, PackSettings

SETTINGS_FILE = "settings.json"
_RECORD = "record-{:05d}.npz"
# All that a damaged record can raise: `zipfile` takes a flipped bit for another method, an unknown one, or a password.
_RECORD_ERRORS = (OSError, ValueError, KeyError, TypeError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True, kw_only=True)
class Part:
    """Which part of the data is packed here: `number` of `total`, counted from 1.

    >>> Part(number=2, total=3).rows(10)
    range(3, 6)
    """

    number: int = 1
    total: int = 1

    def rows(self, num_samples: int) -> range:
        """Return the rows of this part; the parts are as equal as they can be."""
        return range(num_samples * (self.number - 1) // self.total, num_samples * self.number // self.total)

    def shard_name(self, index: int) -> str:
        """Return the name of a shard of this part."""
        number = "" if self.total == 1 else f"{self.number:02d}-of-{self.total:02d}-"
        return f"shard-{number}{index:05d}.tar"


@dataclass(frozen=True, kw_only=True)
class PackWork:
    """A part of a pack in the making. All parts of one pack have the same fingerprint and settings.

    Args:
        out: The folder of the pack.
        part: Which part.
        fingerprint: The fingerprint of the data.
        description: Where they came from, in words.
        settings: What becomes of the pictures.
    """

    out: Path
    part: Part
    fingerprint: str
    description: str
    settings: PackSettings

    @property
    def folder(self) -> Path:
        """The folder of this part."""
        return self.out / WORK / f"{self.part.number}-of-{self.part.total}"

    @property
    def labels(self) -> Path:
        """The label store of this part: it is written last, so that it says that the part is done."""
        return self.folder / LABELS

    @property
    def is_done(self) -> bool:
        """Whether all shards and labels of this part are written."""
        return is_store(self.labels)

    @contextmanager
    def held(self) -> Generator[None]:
        """Hold the folder for the time of the block; what a killed packer has left half done is deleted.

        Raises:
            UsageError: If another process packs this part, or the folder is of other data or settings.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with lock_folder(self.folder, "another manyhot pack"):
            self._agree()
            for left in self.folder.glob(f"{TEMPORARY_PREFIX}*"):
                if left.is_file():
                    left.unlink()
            yield

    def _agree(self) -> None:
        for other in find_works(self.out):
            if other.fingerprint != self.fingerprint:
                found = "other data"
            elif other.settings != self.settings:
                found = other.settings.in_words()
            elif other.part.total != self.part.total:
                found = f"{other.part.total:,} parts"
            else:
                continue
            raise UsageError(f"{self.out}: was begun with {found}; go on with the same, or name another folder")
        about = {name: value for name, value in asdict(self).items() if name != "out"}
        if not (self.folder / SETTINGS_FILE).is_file():
            write_json(self.folder / SETTINGS_FILE, about)

    def records(self) -> list[ShardRecord]:
        """Return the records of the shards that were whole when they got their names, in order; no shard is read.

        Records behind one that is missing or cannot be read do not count, nor does one that does not follow the last.
        """
        found: list[ShardRecord] = []
        while True:
            try:
                record = ShardRecord.load(self.record_path(len(found)))
            except _RECORD_ERRORS:
                return found
            if found and record.first != found[-1].stop:
                return found
            found.append(record)

    def has_records_from(self, index: int) -> bool:
        """Return whether files of records are left from an index on, whatever is in them."""
        return any(index <= _number_of(path) for path in self.folder.glob("record-*.npz"))

    def forget(self, kept: int) -> None:
        """Delete all shards but the first few, and the labels, so that they are packed again."""
        remove_files(self.labels, FILE_NAMES)
        # Shards without a record, too: data that changed may need fewer, and a pack would hold a shard of no sample.
        left = {_number_of(path) for path in (*self.folder.glob("record-*.npz"), *self.out.glob("shard-*.tar"))}
        # From the last one back, each before its record: whoever is killed meanwhile leaves no shard that counts behind
        # one that does not.
        for index in sorted((number for number in left if number >= kept), reverse=True):
            remove_files(self.out, [self.part.shard_name(index)])
            remove_files(self.folder, [self.record_path(index).name])

    def record_path(self, index: int) -> Path:
        """Return where the record of a shard is."""
        return self.folder / _RECORD.format(index)

    def remove(self) -> None:
        """Delete the files of this part, once they are merged."""
        remove_files(self.labels, FILE_NAMES)
        records = [path.name for path in self.folder.glob("record-*.npz")]
        remove_files(self.folder, [*records, SETTINGS_FILE, LOCK_FILE])
        remove_files(self.out / WORK, [])


def _number_of(path: Path) -> int:
    """Return the number at the end of the name of a shard or record, and -1 where a file of others has none."""
    number = path.stem.rpartition("-")[2]
    return int(number) if number.isdecimal() else -1


def find_works(out: Path) -> list[PackWork]:
    """Return the parts of a pack that are in the making, in order.

    >>> find_works(Path("nowhere"))
    []
    """
    found: list[PackWork] = []
    for folder in (out / WORK).iterdir() if (out / WORK).is_dir() else ():
        try:
            about = json.loads((folder / SETTINGS_FILE).read_bytes())
            settings, part = PackSettings(**about.pop("settings")), Part(**about.pop("part"))
            work = PackWork(out=out, part=part, settings=settings, **about)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            # Killed before it had settings, or while it was tidied up: it holds nothing that counts.
            continue
        if work.folder == folder:
            found.append(work)
    return sorted(found, key=lambda work: (work.part.total, work.part.number))
