"""The group in which processes that train together talk: torchrun or SLURM started them, or there is one."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment

from manyhot.training.launched import launched_processes

PATIENCE = timedelta(hours=2)
"""How long processes wait for the first one, while it fits decisions and writes reports of large data."""


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
