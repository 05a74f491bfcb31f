"""A few pictures and loaders of them, which the tests of loading share."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from manyhot.data.augmentation import TrainingTransform
from manyhot.data.loading import Batch, ImageLoader
from manyhot.data.mixture import Mixed
from manyhot.data.sampling import Shuffled
from manyhot.labels import LabelSets
from manyhot.sources.manifest import Manifest

NUM_SAMPLES = 23
SIZE = 16
# The second data set comes more than twice in an epoch, and begins anew in the middle of one.
MIXED = Mixed([np.arange(19), np.arange(19, NUM_SAMPLES)], shares=[0.6, 0.4], seed=3)


def write_pictures(root: Path) -> Manifest:
    """Write pictures of odd sizes in two folders; some rows without a label, some labels unknown."""
    random = np.random.default_rng(0)
    references, labels = [], []
    for row in range(NUM_SAMPLES):
        reference = f"{'ab'[row % 2]}/{row}.{'png' if row % 3 else 'jpg'}"
        height, width = (int(side) for side in random.integers(5, 60, 2))
        path = root / reference
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path)
        references.append(reference)
        labels.append([name for name in ("cat", "dog", "fox") if random.random() < 0.4])
    return Manifest.from_lists(root, references, LabelSets.from_names(labels, unlisted="unknown"))


def loader_of(manifest: Manifest, rows: Sequence[int] | None = None, **changes: object) -> ImageLoader:
    options: dict[str, object] = {"batch_size": 5, "seed": 3, "num_workers": 0, **changes}
    transform = options.pop("transform", TrainingTransform(SIZE))
    rows = options.pop("rows", rows)
    rows = range(NUM_SAMPLES) if rows is None else rows
    order = Shuffled(len(rows), seed=int(str(options["seed"])) % 2**64) if options.pop("shuffle", True) else None
    return ImageLoader(manifest, rows, transform, order=options.pop("order", order), **options)


def assert_same(ours: Iterable[Batch], theirs: Iterable[Batch]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        assert one.rows.tolist() == other.rows.tolist()
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.targets.label_ids, other.targets.label_ids)
        assert torch.equal(one.targets.row_offsets, other.targets.row_offsets)


def rows_of(batches: Iterable[Batch]) -> list[int]:
    return [row for batch in batches for row in batch.rows.tolist()]
