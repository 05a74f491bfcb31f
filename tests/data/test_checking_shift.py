"""Labels that differ between splits: named where it is more than chance, and not otherwise."""

from pathlib import Path

import numpy as np

from manyhot.data.checking_shift import check_shift
from manyhot.labels import LabelSets, LabelSpace
from manyhot.sources import Finding, Manifest


def parted(
    multi_hot: np.ndarray, splits: list[str | None], *, names: tuple[str, ...], groups: list[str | None] | None = None
) -> dict[str, Finding]:
    labels = LabelSets.from_dense(multi_hot.astype(np.float64), LabelSpace(names=names))
    references = [str(row) for row in range(len(splits))]
    manifest = Manifest.from_lists(Path(), references, labels, splits=splits, groups=groups)
    return {finding.name: finding for finding in check_shift(manifest)}


def columns(*shares: tuple[float, float], size: int = 1000) -> np.ndarray:
    """Return two halves of `size` rows, with the given share of positives of each label in each half."""
    halves = [[np.arange(size) < round(share * size) for share in half] for half in zip(*shares, strict=True)]
    return np.concatenate([np.stack(half, axis=1) for half in halves])


TWO: list[str | None] = ["train"] * 1000 + ["test"] * 1000


def test_a_label_that_is_rarer_in_train_is_named_with_its_share_in_each_split():
    found = parted(columns((0.1, 0.2), (0.3, 0.31)), TWO, names=("cat", "dog"))
    assert found["label-shift"].examples == ("'cat': 10 % in train, 20 % in test",)
    assert (found["label-shift"].severity, found["label-shift"].count) == ("warning", 1)


def test_the_furthest_shift_comes_first():
    found = parted(columns((0.1, 0.2), (0.02, 0.2)), TWO, names=("cat", "dog"))
    assert [example.split(":")[0] for example in found["label-shift"].examples] == ["'dog'", "'cat'"]


def test_a_difference_that_is_certain_and_small_is_no_finding():
    multi_hot, splits = columns((0.50, 0.53), size=20_000), ["train"] * 20_000 + ["test"] * 20_000
    assert parted(multi_hot, [*splits], names=("cat",)) == {}


def test_small_data_do_not_cry_wolf():
    # Four times as frequent, and what one of ten splits of so few samples looks like.
    multi_hot = columns((0.05, 0.20), size=20)
    assert parted(multi_hot, ["train"] * 20 + ["test"] * 20, names=("cat",)) == {}


def test_random_splits_of_many_rare_labels_bring_a_finding_hardly_ever():
    found = 0
    for seed in range(20):
        generator = np.random.default_rng(seed)
        multi_hot = generator.random((400, 41)) < generator.random(41) * 0.1
        splits = generator.choice(["train", "val", "test"], size=400, p=[0.7, 0.15, 0.15]).tolist()
        found += "label-shift" in parted(multi_hot, splits, names=tuple(map(str, range(41))))
    assert found == 0


def test_samples_of_one_group_are_not_taken_for_independent_ones():
    groups: list[str | None] = [f"patient {row // 50}" for row in range(2000)]
    multi_hot = columns((0.1, 0.2))
    assert "label-shift" in parted(multi_hot, TWO, names=("cat",))
    assert parted(multi_hot, TWO, names=("cat",), groups=groups) == {}


def test_a_label_without_positives_in_train_is_named_once():
    found = parted(columns((0.0, 0.2), (0.3, 0.3)), TWO, names=("cat", "dog"))
    assert found.keys() == {"untrained-label"}
    assert found["untrained-label"].examples == ("'cat': 0 in train, 200 in test",)


def test_samples_without_a_split_and_unknown_cells_take_no_part():
    multi_hot = columns((0.1, 0.1)).astype(np.float64)
    multi_hot[1000:1500] = np.nan
    splits: list[str | None] = ["train"] * 1000 + ["test"] * 500 + [None] * 500
    assert parted(multi_hot, splits, names=("cat",)) == {}
    assert parted(multi_hot, [None] * 2000, names=("cat",)) == {}
    assert parted(multi_hot, ["train"] * 2000, names=("cat",)) == {}
