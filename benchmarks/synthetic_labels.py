"""Label sets with the shape of a web-scale collection: a long tail of labels, some rows without any."""

import numpy as np

from manyhot.labels import Csr, LabelSets, LabelSpace
from manyhot.labels.csr import offsets_of

BLOCK_ROWS = 1_000_000
POOL = 4_000_000


def zipf_sets(num_samples: int, num_labels: int, *, mean: float = 9.8, seed: int = 0) -> LabelSets:
    """Return random sets whose label of rank r has a weight of 1 / (r + 10); about 9.7 labels a row at `mean` 9.8."""
    rng = np.random.default_rng(seed)
    weights = 1.0 / (np.arange(num_labels) + 10)
    # Drawing from a pool in which each label stands as often as its weight says is ten times faster than searching.
    pool = np.repeat(rng.permutation(num_labels), np.ceil(POOL * weights / weights.sum()).astype(np.int64))
    lengths: list[np.ndarray] = []
    ids: list[np.ndarray] = []
    for start in range(0, num_samples, BLOCK_ROWS):
        rows = min(BLOCK_ROWS, num_samples - start)
        drawn = rng.poisson(rng.gamma(2.0, mean / 2.0, rows))
        labels = pool[rng.integers(0, len(pool), int(drawn.sum()))]
        block = Csr.from_pairs(np.repeat(np.arange(rows), drawn), labels, rows)
        lengths.append(block.lengths())
        ids.append(block.ids)
    positives = Csr(offsets_of(np.concatenate(lengths)), np.concatenate(ids))
    return LabelSets(
        space=LabelSpace(names=tuple(f"label {label}" for label in range(num_labels))), positives=positives
    )
