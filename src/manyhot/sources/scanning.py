"""What files an image folder holds, learnt in one pass over it instead of one look a row."""

import os
import posixpath
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from manyhot.sources.text import is_unicode

# What `manyhot.data.decoding` reads, and what people take for pictures besides.
PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})
OTHER_PICTURE_SUFFIXES = frozenset({".heic", ".heif", ".avif", ".jp2", ".jxl", ".dng", ".svg", ".eps"})

_WINDOWS_DRIVE = re.compile(r"[A-Za-z]:[\\/]|\\\\")


@dataclass(frozen=True, eq=False)
class FolderScan:
    """The files under a folder, by their path from it with `/` between folders.

    Linked folders are not entered, and a linked file counts only if it leads to a file under the same folder.

    Args:
        root: The folder.
        files: Every file in it.
        outside: Links to files that lie outside of it, and where they lead.
        linked_folders: Links to folders.
        no_files: Links that lead nowhere, pipes and devices.
        unreadable: Folders that could not be listed and names that are not UTF-8, and why.
    """

    root: Path
    files: set[str] = field(default_factory=set[str])
    outside: dict[str, str] = field(default_factory=dict[str, str])
    linked_folders: set[str] = field(default_factory=set[str])
    no_files: set[str] = field(default_factory=set[str])
    unreadable: dict[str, str] = field(default_factory=dict[str, str])

    def pictures(self) -> list[str]:
        """Return the files that can be opened as pictures, by their suffix, sorted; hidden files are left out."""
        return sorted(_visible(self.files, PICTURE_SUFFIXES))

    @cached_property
    def has_pictures(self) -> bool:
        """Whether there is any file that can be opened as a picture, by its suffix."""
        return bool(_visible(self.files, PICTURE_SUFFIXES))

    def pictures_by_stem(self) -> dict[str, str]:
        """Return the picture that each name without suffix and folder stands for; names of several are left out."""
        found: dict[str, str] = {}
        repeated: set[str] = set()
        for name in self.pictures():
            stem = posixpath.splitext(posixpath.basename(name))[0]
            if found.setdefault(stem, name) != name:
                repeated.add(stem)
        return {stem: name for stem, name in found.items() if stem not in repeated}

    def other_pictures(self) -> list[str]:
        """Return the pictures of formats that are not opened, sorted."""
        return sorted(_visible(self.files, OTHER_PICTURE_SUFFIXES))

    def folders(self) -> set[str]:
        """Return every folder that holds a file, at any depth."""
        return {str(parent) for name in self.files for parent in PurePosixPath(name).parents} - {"."}

    def nearest(self, reference: str) -> str | None:
        """Return the one file that a mistaken reference most likely means, or None.

        It has the same name but for case, Unicode form, suffix, or the folders before it.
        """
        inside = reference.removeprefix(f"{self.root.name}/")
        if inside in self.files:
            return inside
        for key in _keys(reference):
            matches = self._index.get(key, [])
            if len(matches) == 1:
                return matches[0]
        return None

    @cached_property
    def _index(self) -> dict[str, list[str]]:
        index: dict[str, list[str]] = {}
        for name in sorted(self.files):
            for key in set(_keys(name)):
                index.setdefault(key, []).append(name)
        return index


def scan_folder(root: Path) -> FolderScan:
    """Return what lies under a folder. A folder that cannot be listed is noted, not raised.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "a.jpg").write_bytes(b"")
    ...     scan_folder(Path(folder)).pictures()
    ['a.jpg']
    """
    scan = FolderScan(root)
    scan.files.update(walk_folder(scan))
    return scan


def walk_folder(scan: FolderScan) -> Iterator[str]:
    """Yield every file under the folder of a scan, which takes note of all else; long walks show a bar on a terminal."""
    yield from tqdm(_walk(scan), desc="listing files", unit=" files", disable=None, delay=0.5, leave=False)


def _walk(scan: FolderScan) -> Iterator[str]:
    real_root = os.path.realpath(scan.root)
    waiting = [""]
    while waiting:
        prefix = waiting.pop()
        try:
            with os.scandir(scan.root / prefix) as entries:
                for entry in entries:
                    name = f"{prefix}{entry.name}"
                    if _is_file(scan, entry, name, real_root, waiting):
                        yield name
        except OSError as error:
            scan.unreadable[prefix or "."] = error.strerror or str(error)


def _is_file(scan: FolderScan, entry: "os.DirEntry[str]", name: str, real_root: str, waiting: list[str]) -> bool:
    """Return whether an entry is a file in the folder, and note it where it is anything else."""
    if not is_unicode(name):
        scan.unreadable[name] = "its name is not UTF-8"
        return False
    if entry.is_symlink():
        return _is_linked_file(scan, os.path.realpath(entry.path), name, real_root)
    if entry.is_dir():
        waiting.append(f"{name}/")
    elif entry.is_file():
        return True
    else:
        scan.no_files.add(name)
    return False


def _is_linked_file(scan: FolderScan, target: str, name: str, real_root: str) -> bool:
    if Path(target).is_dir():
        scan.linked_folders.add(name)
    elif not target.startswith(f"{real_root.rstrip('/')}/"):
        scan.outside[name] = target
    elif Path(target).is_file():
        return True
    else:
        scan.no_files.add(name)
    return False


def is_absolute(reference: str) -> bool:
    """Return whether a reference starts at a root or drive, on any system."""
    return reference.startswith("/") or _WINDOWS_DRIVE.match(reference) is not None


def normal_form(reference: str) -> str:
    """Return the reference without `.` and doubled slashes.

    >>> normal_form("./a//b.jpg")
    'a/b.jpg'
    """
    return posixpath.normpath(reference) if reference else ""


def is_picture(name: str) -> bool:
    """Return whether a file is a picture by its suffix, of whatever format; hidden files are none.

    >>> is_picture("a/b.JPG"), is_picture("a/.b.jpg"), is_picture("a.txt")
    (True, False, False)
    """
    return bool(_visible([name], PICTURE_SUFFIXES | OTHER_PICTURE_SUFFIXES))


def _visible(names: Iterable[str], suffixes: frozenset[str]) -> list[str]:
    return [
        name
        for name in names
        if posixpath.splitext(name)[1].lower() in suffixes and not name.startswith(".") and "/." not in name
    ]


def _keys(name: str) -> tuple[str, str, str]:
    folded = unicodedata.normalize("NFC", name).casefold()
    return folded, posixpath.splitext(folded)[0], posixpath.basename(folded)
