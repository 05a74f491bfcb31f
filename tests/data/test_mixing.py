"""Mixtures of pictures and their labels agree with dense arithmetic, in all three states of a cell."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from manyhot.data.mixed_targets import mix_targets
from manyhot.data.mixing import Mixing
from manyhot.errors import UsageError
from manyhot.labels import Csr, LabelSets, LabelSpace
from manyhot.labels.source import LabelSource
from manyhot.losses import BCEWithLogitsLoss
from manyhot.targets import SparseTargets

WIDTH = 7


def random_targets(kind: str, num_samples: int, seed: int) -> SparseTargets:
    """Rows without positives among them; unknown cells and sources as the kind says."""
    generator = np.random.default_rng(seed)
    dense = (generator.random((num_samples, WIDTH)) < 0.3).astype(np.float32)
    dense[generator.random(num_samples) < 0.2] = 0
    if kind == "confidences":
        dense *= generator.choice([0.25, 0.5, 1.0], dense.shape)
    if kind == "unknown cells":
        dense[generator.random(dense.shape) < 0.2] = np.nan
    if kind != "sources":
        return SparseTargets.from_dense(torch.from_numpy(dense))
    space = LabelSpace(names=tuple(f"label {number}" for number in range(WIDTH)))
    sources = (
        LabelSource(name="complete"),
        LabelSource(name="verified", unlisted="unknown"),
        LabelSource(name="some labels", annotated=(0, 2, 3)),
    )
    source_ids = generator.integers(0, 3, num_samples).astype(np.uint16)
    positives = [np.flatnonzero(row).tolist() for row in dense]
    exceptions = [np.flatnonzero((row == 0) & (generator.random(WIDTH) < 0.3)).tolist() for row in dense]
    exceptions = [
        [label for label in row if source != 2 or label in (0, 2, 3)]
        for row, source in zip(exceptions, source_ids, strict=True)
    ]
    sets = LabelSets(
        space=space,
        positives=Csr.from_lists(positives),
        exceptions=Csr.from_lists(exceptions),
        sources=sources,
        source_ids=source_ids,
    )
    return SparseTargets.from_label_sets(sets)


def dense_of(targets: SparseTargets) -> np.ndarray:
    dense = targets.to_multi_hot().double()
    if targets.values is not None:
        dense[targets.row_ids(), targets.label_ids.long()] = targets.values.double()
    return dense.numpy()


@pytest.mark.parametrize("kind", ["certain", "confidences", "unknown cells", "sources"])
@pytest.mark.parametrize("num_samples", [1, 2, 9, 16])
@pytest.mark.parametrize("seed", range(4))
def test_labels_of_mixtures_are_those_of_dense_arithmetic(kind: str, num_samples: int, seed: int) -> None:
    targets = random_targets(kind, num_samples, seed)
    generator = np.random.default_rng(seed)
    partners, shares = generator.integers(0, num_samples, num_samples), generator.random(num_samples)
    shares[partners == np.arange(num_samples)] = 1.0
    dense = dense_of(targets)
    expected = shares[:, None] * dense + (1 - shares[:, None]) * dense[partners]
    mixed = mix_targets(targets, partners, shares)
    # float32 confidences.
    np.testing.assert_allclose(dense_of(mixed), expected, atol=1e-6)
    ids = mixed.label_ids.tolist()
    offsets = mixed.row_offsets.tolist()
    assert all(row == sorted(set(row)) for row in (ids[a:b] for a, b in pairwise(offsets)))
    assert mixed.is_complete == targets.is_complete


def test_losses_take_mixtures() -> None:
    targets = random_targets("unknown cells", 6, 0)
    mixed = mix_targets(targets, np.array([1, 0, 3, 2, 5, 4]), np.full(6, 0.3))
    logits = torch.randn(6, WIDTH, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    dense = torch.from_numpy(dense_of(mixed))
    known = ~dense.isnan()
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits[known], dense[known])
    torch.testing.assert_close(BCEWithLogitsLoss()(logits, mixed).double(), expected, rtol=1e-6, atol=1e-7)


def pictures(num_samples: int) -> torch.Tensor:
    return torch.randint(
        0, 256, (num_samples, 3, 17, 41), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )


@pytest.mark.parametrize("num_samples", [1, 2, 5, 8])
@pytest.mark.parametrize("mixing", [Mixing(mixup=0.4), Mixing(cutmix=1.0), Mixing(mixup=1.0, cutmix=1.0)])
def test_each_picture_is_made_of_two_with_the_shares_of_its_labels(mixing: Mixing, num_samples: int) -> None:
    images = pictures(num_samples)
    targets = SparseTargets.from_lists([[row] for row in range(num_samples)], num_labels=num_samples)
    mixed = images.clone()
    shares = dense_of(mixing.mix(mixed, targets, key=5))
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-6)
    for row in range(num_samples):
        partner = next((other for other in np.flatnonzero(shares[row]) if other != row), row)
        blended = shares[row, row] * images[row].double() + (1 - shares[row, row]) * images[partner].double()
        is_blended = bool(((mixed[row].double() - blended).abs() <= 0.51).all())
        from_self = (mixed[row] == images[row]).all(0).double().mean()
        is_cut = bool(((mixed[row] == images[row]) | (mixed[row] == images[partner])).all())
        # Pixels of noise are equal by chance in one of 16 million.
        assert is_blended or (is_cut and abs(float(from_self) - shares[row, row]) < 1e-6)
    assert num_samples % 2 == 0 or (shares.max(axis=1) == 1).any()


def test_pictures_are_mixed_within_their_source_so_that_what_is_known_stays_known() -> None:
    space = LabelSpace(names=("a", "b"))
    sets = LabelSets(
        space=space,
        positives=Csr.from_lists([[row % 2] for row in range(11)]),
        sources=(LabelSource(name="first", annotated=(0,)), LabelSource(name="second", annotated=(1,))),
        source_ids=np.array([row % 2 for row in range(11)], dtype=np.uint16),
    )
    for key in range(20):
        mixed = Mixing(mixup=1.0).mix(pictures(11), SparseTargets.from_label_sets(sets), key=key)
        # Six of one and five of the other: three pairs, two pairs, and one that stays.
        assert int((~mixed.to_multi_hot().isnan()).sum()) == 11


def test_mixing_depends_on_the_key_alone() -> None:
    mixing, targets = Mixing(mixup=1.0, cutmix=1.0), SparseTargets.from_lists([[0]] * 8, num_labels=1)
    results = []
    for key in (3, 3, 4):
        images = pictures(8)
        mixing.mix(images, targets, key=key)
        results.append(images)
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_shares_follow_their_distribution() -> None:
    targets = SparseTargets.from_lists([[row % 2] for row in range(2000)], num_labels=2)
    images = torch.zeros(2000, 3, 2, 2, dtype=torch.uint8)
    for alpha in (0.2, 1.0):
        mixed = Mixing(mixup=alpha).mix(images, targets, key=0)
        assert mixed.values is not None
        shares = mixed.values[mixed.values < 1].double()
        # Of Beta(α, α): variance 1 / (4 (2α + 1)); a thousand pairs, of which half have two labels.
        assert abs(float(shares.var()) - 1 / (4 * (2 * alpha + 1))) < 0.02


def test_what_makes_no_sense_is_refused() -> None:
    for options in ({}, {"mixup": -1.0, "cutmix": 1.0}):
        with pytest.raises(UsageError, match="makes no sense"):
            Mixing(**options)
