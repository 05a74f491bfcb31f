"""Memory that is free is that of the system, or of the control group where that may use less."""

from pathlib import Path

import pytest

from manyhot.data.free_memory import available_bytes


def system(root: Path, files: dict[str, str]) -> Path:
    for name, content in {"proc/meminfo": "MemTotal: 9000 kB\nMemAvailable: 5000 kB\n", **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


def group(folder: str, limit: str, *, used: int, files: int, version: int = 2) -> dict[str, str]:
    names = ("memory.max", "memory.current", "inactive_file")
    if version == 1:
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    stat = f"anon 5\n{names[2]} {files}\n"
    return {
        f"{folder}/{names[0]}": f"{limit}\n",
        f"{folder}/{names[1]}": f"{used}\n",
        f"{folder}/memory.stat": stat,
    }


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 5_120_000),
        ({"proc/self/cgroup": "0::/\n", **group("sys/fs/cgroup", "max", used=9, files=1)}, 5_120_000),
        ({"proc/self/cgroup": "0::/\n", **group("sys/fs/cgroup", "1000", used=700, files=50)}, 350),
        ({"proc/self/cgroup": "0::/\n", **group("sys/fs/cgroup", "1000", used=1700, files=50)}, 0),
        # A job's step has no limit of its own; that of the job counts.
        (
            {
                "proc/self/cgroup": "0::/job/step\n",
                **group("sys/fs/cgroup/job/step", "max", used=300, files=0),
                **group("sys/fs/cgroup/job", "1000", used=300, files=0),
            },
            700,
        ),
        # A container is told a path of the host, which it does not see.
        ({"proc/self/cgroup": "0::/host/abc\n", **group("sys/fs/cgroup", "1000", used=600, files=0)}, 400),
        (
            {
                "proc/self/cgroup": "5:cpu,cpuacct:/x\n4:memory:/a\n0::/\n",
                **group("sys/fs/cgroup/memory/a", "2000", used=600, files=100, version=1),
                **group("sys/fs/cgroup/memory", "9223372036854771712", used=600, files=0, version=1),
            },
            1500,
        ),
    ],
)
def test_the_smallest_of_all_that_is_left_counts(tmp_path: Path, files: dict[str, str], expected: int) -> None:
    assert available_bytes(system(tmp_path, files)) == expected


def test_this_system_says_what_it_has() -> None:
    assert available_bytes() > 0
