"""Which processes train together, and the group in which they talk: torchrun or SLURM started them, or there is one."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment

from manyhot.errors import TrainingError

PATIENCE = timedelta(hours=2)
"""How long processes wait for the first one, while it fits decisions and writes reports of large data."""


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


def _even(count: int, on_machine: int) -> Processes:
    if count % on_machine:
        raise TrainingError(f"{count} processes are not {on_machine} on each machine; give each machine as many")
    return Processes(on_machine=on_machine, machines=count // on_machine)


@contextmanager
def joined_processes(*, alone: bool = False) -> Generator[None, None, None]:
    """Let the processes that torchrun or SLURM started talk to each other; where there is one, do nothing.

    A group that exists already is used as it is, and stays.

    Args:
        alone: Whether one process has a group too, as sharded tensors need it.

    >>> with joined_processes():
    ...     torch.distributed.is_initialized()
    False
    """
    launched = launched_processes()
    if (launched is None and not alone) or torch.distributed.is_initialized():
        yield
        return
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    with TemporaryDirectory(prefix="manyhot-") as scratch:
        if launched is None:
            meeting = Path(scratch, "meeting").as_uri()
            torch.distributed.init_process_group(backend, init_method=meeting, rank=0, world_size=1)
        else:
            _join(_environment(), backend)
        try:
            yield
        finally:
            torch.distributed.destroy_process_group()


def _environment() -> ClusterEnvironment:
    return TorchElasticEnvironment() if "TORCHELASTIC_RUN_ID" in os.environ else SLURMEnvironment(auto_requeue=False)


def _join(environment: ClusterEnvironment, backend: str) -> None:
    os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = environment.main_address, str(environment.main_port)
    if torch.cuda.is_available():
        # Before the group: what it gathers as plain data travels over the current GPU.
        torch.cuda.set_device(environment.local_rank() % torch.cuda.device_count())
    torch.distributed.init_process_group(
        backend, rank=environment.global_rank(), world_size=environment.world_size(), timeout=PATIENCE
    )
