"""Decode in a process of its own, where a crash, a leak or a hang can be seen from outside. Prints what it saw as JSON.

decode_in_a_child.py corpus FOLDER             every case, its peak of memory and its slowest
decode_in_a_child.py files FOLDER              the files of a folder, and the peak of memory
decode_in_a_child.py mutated SEED COUNT FILE   mutated files; FILE holds the number of the last one begun
"""

import contextlib
import json
import resource
import sys
import time
import warnings
from pathlib import Path

import numpy as np

from manyhot.data.augmentation import EvaluationTransform
from manyhot.data.decoding import decode_image
from manyhot.data.pictures import load_picture
from manyhot.errors import ImageError

# The decoders' remarks would be lost here, and they must not become exceptions elsewhere: there should be none.
warnings.simplefilter("error")


def decode_corpus(folder: Path) -> dict[str, object]:
    # Not above: to make the cases takes memory, which the other files need not answer for.
    from corpus import CASES

    seconds: dict[str, float] = {}
    # Once before: that the resize is compiled is no case's time.
    load_picture(CASES[0].data, EvaluationTransform(224))
    for case in CASES:
        path = folder / f"picture{case.suffix}"
        path.write_bytes(case.data)
        started = time.process_time()
        with contextlib.suppress(ImageError):
            # As in training and evaluation: with the resize.
            load_picture(path, EvaluationTransform(224))
        seconds[case.name] = time.process_time() - started
    slowest = max(seconds, key=lambda name: seconds[name])
    return {"peak_bytes": peak_bytes(), "slowest": slowest, "slowest_s": seconds[slowest]}


def decode_files(folder: Path) -> dict[str, object]:
    count = 0
    for path in sorted(folder.iterdir()):
        decode_image(path)
        count += 1
    return {"peak_bytes": peak_bytes(), "count": count}


def peak_bytes() -> int:
    """The most memory that this process had at once."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not getrusage: on Linux that starts from the memory of the process that started this one.
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def decode_mutated(seed: int, count: int, begun: Path) -> dict[str, object]:
    import mutations

    refused = 0
    with begun.open("w", buffering=1) as log:
        for number in range(count):
            log.seek(0)
            log.write(f"{number}\n")
            try:
                # 4 million: what a header claims within the limit is decoded, and that should not take long here.
                image = decode_image(mutations.mutated(seed, number), max_pixels=4_000_000)
            except ImageError:
                refused += 1
            else:
                assert image.dtype == np.uint8
                assert image.ndim == 3
                assert image.shape[2] == 3
    return {"refused": refused, "count": count}


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["corpus", folder]:
            print(json.dumps(decode_corpus(Path(folder))))
        case ["files", folder]:
            print(json.dumps(decode_files(Path(folder))))
        case ["mutated", seed, count, begun]:
            print(json.dumps(decode_mutated(int(seed), int(count), Path(begun))))
        case _:
            sys.exit(__doc__)
