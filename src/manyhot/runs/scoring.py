"""A model over a loader: the logits of every sample, with one progress bar."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import nn
from tqdm import tqdm

from manyhot.training.distributed import is_first_process, num_processes
from manyhot.training.module import gather_samples

if TYPE_CHECKING:
    from manyhot.data.loading import ImageLoader


def best_device() -> torch.device:
    """Return this process's GPU if there is one, else the CPU."""
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")


def score(model: nn.Module, loader: "ImageLoader", *, description: str) -> Float[np.ndarray, "n l"]:
    """Return the logits of the loader's samples, in its order: 4 bytes a cell.

    Processes of one group score their parts of each batch, and every process gets the logits of all samples.

    Args:
        model: Images to logits; moved to the GPU if there is one.
        loader: Batches in a fixed order; under several processes that of the data.
        description: What the progress bar says.
    """
    device = best_device()
    model = model.eval().to(device)
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    # None: no bar where there is no terminal.
    silent = None if is_first_process() else True
    with (
        torch.inference_mode(),
        tqdm(total=loader.num_samples, desc=description, unit=" images", disable=silent) as bar,
    ):
        for batch in loader:
            logits = model(batch.images.to(device, non_blocking=True)).float().cpu().numpy()
            parts.append((batch.rows.numpy(), logits))
            bar.update(len(batch.rows) * num_processes())
    if num_processes() > 1:
        return gather_samples(parts, num_labels=parts[0][1].shape[1])[1]
    return np.concatenate([logits for _, logits in parts])
