"""How much memory this process could still take: what the system has, and what its control group may use.

In a container or a job of a cluster the second is the smaller one, and going beyond it ends the process without a word.
"""

import os
from collections.abc import Iterator
from pathlib import Path


def available_bytes(root: Path = Path("/")) -> int:
    """Return how much memory could be given away, that of files kept for later included; 0 where the system does not say.

    Args:
        root: Where the system's files start.

    >>> available_bytes() >= 0
    True
    """
    meminfo = root / "proc/meminfo"
    if not meminfo.is_file():
        # macOS and Windows have no such name.
        names = getattr(os, "sysconf_names", {})
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if "SC_AVPHYS_PAGES" in names else 0
    entries = (line.split() for line in meminfo.read_text(encoding="ascii").splitlines())
    of_system = 1024 * next((int(entry[1]) for entry in entries if entry[0] == "MemAvailable:"), 0)
    return min([of_system, *_left_in_groups(root)])


def _left_in_groups(root: Path) -> Iterator[int]:
    """Yield what is left in each control group that this process is in and that has a limit, of both versions."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            names, top = ("memory.max", "memory.current", "inactive_file"), root / "sys/fs/cgroup"
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            top = root / "sys/fs/cgroup/memory"
        else:
            continue
        # A container sees its own group as the top, whatever the path says.
        folder = top / path.lstrip("/")
        for group in (folder, *folder.parents):
            if group.is_relative_to(top):
                yield from _left_in(group, *names)


def _left_in(group: Path, limit: str, usage: str, reclaimable: str) -> Iterator[int]:
    try:
        most = (group / limit).read_text(encoding="ascii").strip()
        used = int((group / usage).read_text(encoding="ascii"))
        statistics = (group / "memory.stat").read_text(encoding="ascii")
    except OSError:
        return
    # "max" is no limit; version 1 writes a number that no machine has.
    if most != "max":
        files = dict(line.split(" ", 1) for line in statistics.splitlines()).get(reclaimable, "0")
        yield max(0, int(most) - used + int(files))
