"""Splits are the data's own where they bring them, and are saved with what they belong to."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manyhot.config import SplitConfig
from manyhot.errors import RunError, SourceError
from manyhot.labels import LabelSets
from manyhot.runs.splits import changed_pictures, decide_splits, load_splits, save_splits
from manyhot.sources import Manifest


def manifest_of(root, num_samples, splits=None, groups=None):
    rng = np.random.default_rng(0)
    names = [[name for name in "abc" if rng.random() < 0.4] for _ in range(num_samples)]
    names[0] = ["a", "b", "c"]
    references = [f"{row}.jpg" for row in range(num_samples)]
    return Manifest.from_lists(root, references, LabelSets.from_names(names), splits=splits, groups=groups)


def test_data_without_splits_are_split_by_the_recipes_shares(tmp_path):
    splits = decide_splits(manifest_of(tmp_path, 100), SplitConfig(), seed=0)
    assert [len(splits.rows(name)) for name in ("train", "val", "test")] == [70, 15, 15]
    assert "seed 0" in splits.origin


def test_another_seed_gives_another_split_and_the_same_seed_the_same(tmp_path):
    manifest = manifest_of(tmp_path, 100)
    first, again, other = (decide_splits(manifest, SplitConfig(), seed=seed).names for seed in (0, 0, 1))
    assert first == again != other


def test_the_datas_own_splits_are_kept(tmp_path):
    own = ["train", "val", "test", "test"]
    splits = decide_splits(manifest_of(tmp_path, 4, splits=own), SplitConfig(), seed=0)
    assert list(splits.names) == own
    assert splits.origin == "the data's own splits"


def test_a_missing_val_is_taken_out_of_train_and_never_out_of_test(tmp_path):
    own = ["train"] * 80 + ["test"] * 20
    splits = decide_splits(manifest_of(tmp_path, 100, splits=own), SplitConfig(), seed=0)
    assert splits.rows("test").tolist() == list(range(80, 100))
    # 0.15 / (0.7 + 0.15) of 80 samples, rounded to whole samples.
    assert len(splits.rows("val")) == 14
    assert "val taken out of train" in splits.origin


def test_samples_of_one_group_never_part(tmp_path):
    groups = [f"patient {row // 4}" for row in range(100)]
    splits = decide_splits(manifest_of(tmp_path, 100, groups=groups), SplitConfig(), seed=0)
    seen = {}
    for group, split in zip(groups, splits.names, strict=True):
        assert seen.setdefault(group, split) == split
    assert set(splits.names) == {"train", "val", "test"}


def test_samples_without_a_group_are_groups_of_their_own(tmp_path):
    groups = ["one"] * 30 + [None] * 70
    splits = decide_splits(manifest_of(tmp_path, 100, groups=groups), SplitConfig(), seed=0)
    assert len(set(splits.names[:30])) == 1
    assert len(set(splits.names[30:])) == 3


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (["train", None, "val", None], "2 samples name no split, the first is '1.jpg'"),
        (["val", "test", "val", "test"], "no sample is in 'train'"),
    ],
)
def test_splits_that_say_half_are_refused(tmp_path, own, message):
    with pytest.raises(SourceError, match=message):
        decide_splits(manifest_of(tmp_path, 4, splits=own), SplitConfig(), seed=0)


def test_too_few_samples_for_three_splits_are_refused(tmp_path):
    with pytest.raises(SourceError, match="2 samples are too few"):
        decide_splits(manifest_of(tmp_path, 2), SplitConfig(), seed=0)


def test_too_few_groups_are_named_where_they_are_the_reason(tmp_path):
    groups = ["one"] * 15 + ["two"] * 15
    with pytest.raises(SourceError, match=r"^30 samples in 2 groups are too few: \w+ would be empty$"):
        decide_splits(manifest_of(tmp_path, 30, groups=groups), SplitConfig(), seed=0)
    with pytest.raises(SourceError, match=r"^2 samples are too few"):
        decide_splits(manifest_of(tmp_path, 2, groups=["one", None]), SplitConfig(), seed=0)


def test_pictures_of_another_size_and_lost_ones_are_changed_and_those_never_measured_are_not(tmp_path):
    manifest = manifest_of(tmp_path, 20)
    for row in range(5):
        (tmp_path / f"{row}.jpg").write_bytes(b"12345")
    save_splits(decide_splits(manifest, SplitConfig(), seed=0), manifest, tmp_path)
    saved = load_splits(tmp_path)
    assert changed_pictures(saved, manifest, np.arange(20)) == []
    (tmp_path / "1.jpg").write_bytes(b"123456")
    (tmp_path / "3.jpg").unlink()
    (tmp_path / "7.jpg").write_bytes(b"new")
    assert changed_pictures(saved, manifest, np.arange(20)) == ["1.jpg", "3.jpg"]
    assert changed_pictures(saved, manifest, np.array([2, 3])) == ["3.jpg"]


def test_splits_survive_the_way_to_the_file_and_back(tmp_path):
    manifest = manifest_of(tmp_path, 20)
    splits = decide_splits(manifest, SplitConfig(), seed=0)
    (tmp_path / "0.jpg").write_bytes(b"12345")
    save_splits(splits, manifest, tmp_path)
    saved = load_splits(tmp_path)
    loaded = saved.splits
    assert (loaded.names, loaded.fingerprint, loaded.origin) == (splits.names, splits.fingerprint, splits.origin)
    assert list(saved.files(np.array([0, 1]))) == [("0.jpg", 5), ("1.jpg", -1)]


@pytest.mark.parametrize("rows", [1, 7, 20, 64])
def test_splits_are_the_same_in_blocks_of_any_size(tmp_path, monkeypatch, rows):
    manifest = manifest_of(tmp_path, 20)
    splits = decide_splits(manifest, SplitConfig(), seed=0)
    monkeypatch.setattr("manyhot.runs.splits._GROUP_ROWS", rows)
    save_splits(splits, manifest, tmp_path)
    monkeypatch.setattr("manyhot.runs.splits._GROUP_ROWS", 3)
    saved = load_splits(tmp_path)
    assert saved.splits.codes.tolist() == splits.codes.tolist()
    assert saved.references.to_pylist() == manifest.references()
    assert saved.sizes_bytes.tolist() == [-1] * 20


def test_splits_of_no_samples_are_read(tmp_path):
    columns = {
        "reference": pa.array([], pa.string()),
        "split": pa.array([], pa.string()),
        "size_bytes": pa.array([], pa.int64()),
    }
    pq.write_table(
        pa.table(columns).replace_schema_metadata({"fingerprint": "a", "origin": "b", "root": "c"}),
        tmp_path / "splits.parquet",
    )
    saved = load_splits(tmp_path)
    assert (len(saved.references), saved.splits.names, saved.sizes_bytes.tolist()) == (0, (), [])


def test_a_missing_or_damaged_file_of_splits_is_named(tmp_path):
    with pytest.raises(RunError, match=r"missing; is .* a run folder"):
        load_splits(tmp_path)
    (tmp_path / "splits.parquet").write_bytes(b"PAR1 not at all")
    with pytest.raises(RunError, match=r"splits\.parquet: cannot be read"):
        load_splits(tmp_path)
