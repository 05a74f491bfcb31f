"""Which processes train together, as torchrun or SLURM tell them: read from the environment, without loading lightning."""

import os
from dataclasses import dataclass

from manyhot.errors import TrainingError


@dataclass(frozen=True, kw_only=True)
class Processes:
    """How many processes a training has.

    Args:
        on_machine: On this machine.
        machines: Machines, each with as many.
    """

    on_machine: int
    machines: int

    @property
    def count(self) -> int:
        """Of all machines.

        >>> Processes(on_machine=8, machines=2).count
        16
        """
        return self.on_machine * self.machines


def launched_processes() -> Processes | None:
    """Return the processes that torchrun or SLURM started, this one among them; None where nobody did.

    Raises:
        TrainingError: If SLURM was not told how many tasks each machine runs, or machines run different numbers.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return _even(int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_WORLD_SIZE"]))
    if int(os.environ.get("SLURM_NTASKS", "1")) == 1 or "SLURM_PROCID" not in os.environ:
        return None
    if "SLURM_NTASKS_PER_NODE" not in os.environ:
        raise TrainingError("SLURM does not say how many tasks a machine runs; start the job with --ntasks-per-node")
    return _even(int(os.environ["SLURM_NTASKS"]), int(os.environ["SLURM_NTASKS_PER_NODE"]))


def processes_here() -> int:
    """Return how many processes of one training share this machine, this one among them.

    >>> processes_here()
    1
    """
    launched = launched_processes()
    return 1 if launched is None else launched.on_machine


def _even(count: int, on_machine: int) -> Processes:
    if count % on_machine:
        raise TrainingError(f"{count} processes are not {on_machine} on each machine; give each machine as many")
    return Processes(on_machine=on_machine, machines=count // on_machine)
