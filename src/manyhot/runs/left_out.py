"""What a training could not read, written down in its run."""

import csv
import io
import logging
from pathlib import Path

from manyhot.data.quarantine import Quarantine
from manyhot.files import write_text
from manyhot.training.distributed import gather_from_all, is_first_process

log = logging.getLogger("manyhot")

FILE_NAME = "left-out.csv"


def record_left_out(quarantine: Quarantine, folder: Path) -> None:
    """Write row and reason of every sample that any process left out, and say how many; nothing where there is none.

    Every process must call this.
    """
    left_out = dict(sorted(failure for part in gather_from_all(quarantine.failures) for failure in part))
    if not left_out or not is_first_process():
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("row", "reason"))
    writer.writerows(left_out.items())
    write_text(folder / FILE_NAME, text.getvalue())
    log.warning(
        "warning: %d training samples were left out, for their pictures cannot be read; %s names them",
        len(left_out),
        folder / FILE_NAME,
    )
