"""States: the figures of `evaluate`, to the last bit, however the samples are split, stored, merged or repeated."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch

from manyhot.errors import ScoreError, UsageError
from manyhot.labels import LabelCounts, LabelSets, LabelSpace
from manyhot.metrics import evaluate
from manyhot.metrics.batches import Identity
from manyhot.metrics.exact_sums import ExactSum
from manyhot.metrics.spilling import Spill
from manyhot.metrics.states import ExactState
from manyhot.metrics.stores import decode, encode
from manyhot.metrics.truth import read_truth
from manyhot.targets import SparseTargets

THRESHOLDS = np.array([0.2, 0.5, np.inf, 0.9, 0.4])


def state_of(logits, sets, splits, **options):
    state = ExactState(kind="logits", **options)
    for rows in splits:
        state.update(logits[rows], sets.take(rows), sample_ids=np.array(rows, dtype=np.int64))
    return state


def assert_same(found, expected):
    """Compare evaluations; calibration errors to 1e-12, since a state rounds each probability to 2⁻⁴⁰."""
    for name, figure in expected.figures.items():
        if name.startswith("ece") and figure.value is not None:
            assert found.figures[name].value == pytest.approx(figure.value, abs=1e-12)
            assert found.figures[name].defined == figure.defined
        else:
            assert found.figures[name] == figure, name
    assert list(found.figures) == list(expected.figures)
    assert found.labels == expected.labels
    assert found.baselines == expected.baselines


def test_a_state_gives_the_figures_of_all_samples_at_once(table, as_sets, tmp_path):
    logits, truth = table
    sets, order = as_sets(truth), np.random.default_rng(0).permutation(len(truth))
    for splits, spill in (([order], None), (np.array_split(order, 3), Spill(folder=tmp_path))):
        assert_same(state_of(logits, sets, splits, spill=spill).compute(), evaluate(logits, sets, kind="logits"))


def test_sixteen_bits_give_the_figures_of_the_rounded_scores(table, as_sets):
    logits, truth = table
    rounded = logits.astype(np.float16).astype(np.float32)
    sets, splits = as_sets(truth), np.array_split(np.arange(len(truth)), 2)
    assert_same(state_of(logits, sets, splits, precision="float16").compute(), evaluate(rounded, sets, kind="logits"))


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_splits_orders_and_merges_change_no_bit(random_table, as_sets, precision):
    logits, truth = random_table(61, 5, 3, unknown=0.1, levels=20)
    sets, generator = as_sets(truth), np.random.default_rng(1)
    counts = LabelCounts(positives=np.array([10, 4, 3, 8, 0]), known=np.full(5, 20))
    options = {"precision": precision, "thresholds": THRESHOLDS, "train_counts": counts, "min_positives": 3}
    whole = state_of(logits, sets, [range(61)], **options).compute()
    for size in (1, 7, 60):
        order = generator.permutation(61)
        splits = [order[start : start + size] for start in range(0, 61, size)]
        assert state_of(logits, sets, splits, **options).compute() == whole
        first, second = (state_of(logits, sets, part, **options) for part in (splits[:2], splits[2:]))
        first.merge(second)
        assert first.compute() == whole
        assert first.compute() == whole, "computing does not use a state up"


def test_a_sample_that_comes_twice_counts_once(random_table, as_sets):
    logits, truth = random_table(40, 6, 5, unknown=0.2)
    sets, preds = as_sets(truth), logits > 0.2
    rows = [np.arange(20), np.arange(15, 40), np.array([0, 39, 3])]
    state, other = ExactState(kind="logits"), ExactState(kind="logits")
    for index, part in enumerate(rows):
        target = (state, other)[index % 2]
        target.update(logits[part], sets.take(part), sample_ids=part, preds=preds[part])
    state.merge(other)
    assert_same(state.compute(), evaluate(logits, sets, kind="logits", preds=preds))


def test_a_sample_that_comes_twice_with_other_content_is_refused(random_table, as_sets):
    logits, truth = random_table(10, 6, 5)
    sets = as_sets(truth)
    changed = truth.copy()
    changed[4] = 1 - changed[4]
    state = state_of(logits, sets, [range(10)])
    state.update(logits[4:5], as_sets(changed).take([4]), sample_ids=np.array([4]))
    with pytest.raises(ScoreError, match=r"1 samples came twice with different content; .* id 4 and another truth"):
        state.compute()
    state = state_of(logits, sets, [range(10)])
    state.update(logits[5:6] + np.float32(1), sets.take([5]), sample_ids=np.array([5]))
    with pytest.raises(ScoreError, match="id 5 and another scores"):
        state.compute()


def test_scores_that_differ_by_rounding_are_the_same_sample(random_table, as_sets):
    logits, truth = random_table(10, 6, 5)
    sets = as_sets(truth)
    state = state_of(logits, sets, [range(10)])
    state.update(np.nextafter(logits[2:3], np.float32(9)), sets.take([2]), sample_ids=np.array([2]))
    assert state.compute().figures["map_macro"] == evaluate(logits, sets, kind="logits").figures["map_macro"]


def test_batches_of_tensors_and_targets_are_taken(random_table):
    logits, truth = random_table(30, 5, 2, unknown=0.2)
    targets = [SparseTargets.from_dense(torch.tensor(truth[part])) for part in (slice(0, 11), slice(11, 30))]
    state = ExactState(kind="logits")
    for part, own in zip((slice(0, 11), slice(11, 30)), targets, strict=True):
        state.update(torch.tensor(logits[part]), own, sample_ids=torch.arange(30)[part])
    assert_same(
        state.compute(), evaluate(torch.tensor(logits), SparseTargets.from_dense(torch.tensor(truth)), kind="logits")
    )


def test_sources_of_batches_are_kept_apart(as_sets, random_table):
    logits, truth = random_table(20, 4, 7)
    complete, partial = as_sets(truth[:10]), truth[10:].copy()
    partial[:, 2:] = np.nan
    space = complete.space
    state = ExactState(kind="logits")
    state.update(logits[:10], complete)
    state.update(logits[10:], LabelSets.from_dense(partial, space))
    both = LabelSets.from_dense(np.concatenate([truth[:10], partial]), space)
    assert_same(state.compute(), evaluate(logits, both, kind="logits"))


def test_exact_sums_round_once():
    generator = np.random.default_rng(0)
    values = generator.normal(size=2000) * 10.0 ** generator.integers(-200, 200, 2000)
    values[::7] = np.nan
    kept = values[~np.isnan(values)]
    split = [ExactSum.of(part) for part in np.array_split(values, 9)]
    total = split[0]
    for part in split[1:]:
        total += part
    assert total == ExactSum.of(values)
    assert total.value == math.fsum(kept)
    assert (total.defined, total.total) == (len(kept), 2000)
    assert ExactSum.of(np.array([1.0, np.inf])).value == math.inf


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32])
def test_keys_sort_like_scores_and_come_back(dtype):
    scores = np.array([-np.inf, -7e4, -1.5, -1e-7, -0.0, 0.0, 1e-3, 1.0, 65504.0, np.inf], dtype=np.float32)
    keys = encode(scores, np.dtype(dtype))
    assert (np.diff(keys.astype(np.int64)) >= 0).all()
    assert keys.min() > 0
    assert keys[4] == keys[5]
    with np.errstate(over="ignore"):
        expected = scores if dtype == np.uint32 else scores.astype(np.float16).astype(np.float32)
    assert decode(keys).tolist() == expected.tolist()


def test_spilled_scores_have_no_name_on_the_disk(random_table, as_sets, tmp_path):
    logits, truth = random_table(30, 5, 2)
    state = state_of(logits, as_sets(truth), [range(30)], spill=Spill(folder=tmp_path))
    state.compute()
    assert list(tmp_path.iterdir()) == []


FILL_THE_DISK = """
import resource, sys, numpy as np
from pathlib import Path
from manyhot.errors import ScoreError
from manyhot.labels import LabelSets
from manyhot.metrics.states import ExactState
from manyhot.metrics.spilling import Spill
state = ExactState(kind="logits", spill=Spill(folder=Path(sys.argv[1])))
try:
    state.update(np.zeros((600, 2), dtype=np.float32), LabelSets.from_names([["a", "b"]] * 600))
    # Only now: compiled functions are kept in files too.
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
    state.compute()
except ScoreError as error:
    print(error)
"""


@pytest.mark.slow
def test_a_full_disk_is_one_line(tmp_path):
    command = [sys.executable, "-c", FILL_THE_DISK, str(tmp_path)]
    found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=200)
    assert found.stdout.startswith(f"{tmp_path}: the disk is full after 0.0 GB of spilled scores")
    assert found.stdout.count("\n") == 1


def test_wrong_use_is_refused(random_table, as_sets, tmp_path):
    logits, truth = random_table(6, 3, 0)
    sets = as_sets(truth)
    with pytest.raises(ScoreError, match="there are no samples to evaluate"):
        ExactState(kind="logits").compute()
    with pytest.raises(UsageError, match="no file for spilled scores can be made there"):
        state_of(logits, sets, [range(6)], spill=Spill(folder=tmp_path / "missing"))
    state = state_of(logits, sets, [range(3)])
    with pytest.raises(UsageError, match="some batches have sample ids and others not"):
        state.update(logits[3:], sets.take(range(3, 6)))
    with pytest.raises(UsageError, match="some batches have preds and others not"):
        state.update(logits[3:], sets.take(range(3, 6)), sample_ids=np.arange(3, 6), preds=logits[3:] > 0)
    other = LabelSets.from_names([["a", "b"]], LabelSpace(names=("a", "b")))
    with pytest.raises(ScoreError, match="one batch has 2 labels, another 3"):
        state.update(logits[3:4, :2], other, sample_ids=np.arange(1))
    without_ids = ExactState(kind="logits")
    without_ids.update(logits, sets)
    with pytest.raises(UsageError, match="states without sample ids cannot be merged"):
        state.merge(without_ids)
    with pytest.raises(UsageError, match="a state of logits as float32 cannot take over one of probs as float32"):
        state.merge(ExactState(kind="probs"))


def test_identities_tell_unknown_from_negative(as_sets):
    scores, ids = np.zeros((2, 3), dtype=np.float32), np.arange(2, dtype=np.uint64)
    truths = [
        Identity.of(ids, scores, read_truth(as_sets(np.array([[1.0, 0.0, unknown], [0.0, 0.0, 0.0]])))).truths
        for unknown in (0.0, np.nan)
    ]
    assert truths[0][0] != truths[1][0]
