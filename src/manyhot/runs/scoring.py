"""A model over a loader: the logits of every sample, with one progress bar."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import nn
from tqdm import tqdm

if TYPE_CHECKING:
    from manyhot.data.loading import ImageLoader


def best_device() -> torch.device:
    """Return the first GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def score(model: nn.Module, loader: "ImageLoader", *, description: str) -> Float[np.ndarray, "n l"]:
    """Return the logits of the loader's samples, in its order: 4 bytes a cell.

    Args:
        model: Images to logits; moved to the GPU if there is one.
        loader: Batches in a fixed order.
        description: What the progress bar says.
    """
    device = best_device()
    model = model.eval().to(device)
    parts: list[np.ndarray] = []
    with torch.inference_mode(), tqdm(total=loader.num_samples, desc=description, unit=" images", disable=None) as bar:
        for batch in loader:
            parts.append(model(batch.images.to(device, non_blocking=True)).float().cpu().numpy())
            bar.update(len(batch.rows))
    return np.concatenate(parts)
