"""What is sharded over ranks, taken out of a checkpoint and put back: a folder that any number of ranks can load.

Beside the file of a checkpoint stands a folder of torch.distributed.checkpoint, named in the file. In the file each sharded
tensor leaves a note of its shape.
"""

import re
import secrets
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Shard, zeros

from manyhot.errors import RunError

FOLDER = "manyhot_shards"
NOTE = "manyhot_sharded"
NAMES = re.compile(r"shards-[0-9a-f]{16}")

Tree = Any
"""Plain data with tensors in it, as checkpoints are."""


def new_name() -> str:
    """Return a name that no folder of shards has.

    >>> bool(NAMES.fullmatch(new_name()))
    True
    """
    return f"shards-{secrets.token_hex(8)}"


def save_shards(checkpoint: dict[str, Tree], folder: Path) -> dict[str, Tree]:
    """Write what is sharded into a folder, and return the checkpoint with notes in its place; every rank must call this.

    Args:
        checkpoint: It is left as it is.
        folder: A new one, with a name of `new_name`.
    """
    shards: dict[str, DTensor] = {}

    def take(leaf: object, path: str) -> object:
        if not isinstance(leaf, DTensor):
            return leaf
        shards[path] = leaf
        return {NOTE: path, "shape": list(leaf.shape), "dtype": str(leaf.dtype).removeprefix("torch.")}

    noted = _walk(checkpoint, take, "")
    save(dict(shards), checkpoint_id=folder)
    return noted | {FOLDER: folder.name}


def load_shards(checkpoint: dict[str, Tree], parent: Path, mesh: DeviceMesh) -> dict[str, Tree]:
    """Return a checkpoint with this rank's part of what is sharded in the place of the notes; every rank must call this.

    Args:
        checkpoint: With notes; it is left as it is.
        parent: Where its folder stands.
        mesh: The ranks, as many as there are now.

    Raises:
        RunError: If the folder is missing or damaged.
    """
    if FOLDER not in checkpoint:
        return checkpoint
    shards: dict[str, Tensor] = {}

    def put(leaf: object, path: str) -> object:
        del path
        if not (isinstance(leaf, Mapping) and NOTE in leaf):
            return leaf
        made = zeros(*leaf["shape"], dtype=getattr(torch, leaf["dtype"]), device_mesh=mesh, placements=[Shard(0)])
        shards[leaf[NOTE]] = made
        return made

    whole = _walk({name: value for name, value in checkpoint.items() if name != FOLDER}, put, "")
    folder = parent / str(checkpoint[FOLDER])
    try:
        load(dict(shards), checkpoint_id=folder)
    except (CheckpointException, OSError) as error:
        raise RunError(f"{folder}: does not hold the shards of the last checkpoint; train a new run") from error
    return whole


def remove_other_shards(parent: Path, kept: Path) -> None:
    """Delete the folders of earlier checkpoints, which nothing names any more."""
    for other in parent.iterdir():
        if NAMES.fullmatch(other.name) and other != kept and (other / ".metadata").is_file():
            shutil.rmtree(other)


def _walk(tree: Tree, change: Callable[[object, str], object], path: str) -> Tree:
    """Return a tree with each leaf changed; a mapping that the change replaces is a leaf."""
    changed = change(tree, path)
    if changed is not tree:
        return changed
    if isinstance(tree, dict):
        return {key: _walk(value, change, f"{path}/{key}") for key, value in tree.items()}
    if isinstance(tree, list | tuple) and not hasattr(tree, "_fields"):
        return type(tree)(_walk(value, change, f"{path}/{index}") for index, value in enumerate(tree))
    return tree
