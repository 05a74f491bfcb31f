"""However cells are counted, by comparison, by buckets, in torch, or on a sorted copy, the counts are the same."""

import math

import numpy as np
import pytest
import torch

from manyhot.errors import ScoreError
from manyhot.metrics import device_ranks, ranks
from manyhot.metrics.calibration import Predicted, calibration_errors, pooled_calibration_error, proper_scores
from manyhot.metrics.counting_kernels import place_cells
from manyhot.metrics.curves import rank_positives
from manyhot.metrics.figures import sum_once
from manyhot.metrics.probability_kernels import judge_logits, judge_probs
from manyhot.metrics.ranking import rank_by_row
from manyhot.metrics.scores import column_blocks, read_scores
from manyhot.metrics.thinning_kernels import compare_cells, thin_cells
from manyhot.metrics.truth import read_truth

RANKS = ("offsets", "known", "cells_at_or_above", "cells_above", "positives_at_or_above", "positives_above", "scores")


def cells_of(kind, generator):
    cells = generator.normal(size=517)
    cells = {
        "all different": cells,
        "many ties": np.round(cells * 3) / 3,
        "constant": np.zeros(517),
        "probabilities near zero": np.exp(5 * cells - 12),
        "one far away": np.where(np.arange(517) == 5, 1e30, cells),
        "infinite": np.where(generator.random(517) < 0.1, np.inf, np.where(cells < -1, -np.inf, cells)),
        "as large as can be": np.where(generator.random(517) < 0.5, 3e38, -3e38),
    }[kind]
    return np.where(generator.random(517) < 0.1, np.nan, cells)


KINDS = [
    "all different",
    "many ties",
    "constant",
    "probabilities near zero",
    "one far away",
    "infinite",
    "as large as can be",
]


def thinned(cells, values, at_or_above, above):
    thin_cells(cells, values, at_or_above, above, np.empty_like(cells))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_comparing_thinning_and_placing_count_alike(kind, dtype):
    generator = np.random.default_rng(0)
    cells = cells_of(kind, generator).astype(dtype)
    for size in (1, 2, 40, 300):
        values = np.sort(generator.choice(cells[~np.isnan(cells)], size))
        found = np.empty((3, 2, size), dtype=np.int64)
        for count, (at_or_above, above) in zip((compare_cells, thinned, place_cells), found, strict=True):
            count(cells, values, at_or_above, above)
        assert found[:, 0].tolist() == [[int((cells >= value).sum()) for value in values]] * 3
        assert found[:, 1].tolist() == [[int((cells > value).sum()) for value in values]] * 3


@pytest.fixture(params=[0, 9], ids=["all scores different", "many ties"])
def crowded(request, random_table, as_sets):
    """Scores and truth with labels of few and of many positives, and unknown cells."""
    logits, truth = random_table(211, 14, 3, unknown=0.15, levels=request.param)
    return logits, as_sets(truth)


def test_the_choice_of_kernel_changes_no_rank(crowded):
    logits, sets = crowded
    truth = read_truth(sets)
    entry = 0
    found = ranks.rank_by_label(logits, truth)
    for label in range(truth.num_labels):
        column = logits[:, label].copy()
        column[~truth.known_column(label)] = np.nan
        own = found.scores[found.offsets[label] : found.offsets[label + 1]]
        for count in (compare_cells, thinned, place_cells):
            counts = np.empty((2, len(own)), dtype=np.int64)
            if len(own):
                count(column, own, counts[0], counts[1])
            assert counts[0].tolist() == found.cells_at_or_above[entry : entry + len(own)].tolist()
            assert counts[1].tolist() == found.cells_above[entry : entry + len(own)].tolist()
        entry += len(own)


@pytest.mark.parametrize("many", [0, 40, 10**6], ids=["sorting", "both", "comparing"])
def test_torch_ranks_as_the_kernels_do(many, crowded, monkeypatch):
    logits, sets = crowded
    monkeypatch.setattr(device_ranks, "MANY_POSITIVES", many)
    monkeypatch.setitem(device_ranks.BLOCK_BYTES, "cpu", 1 << 14)
    truth = read_truth(sets)
    for scores in (logits, logits.astype(np.float64)):
        expected = ranks.rank_by_label(scores, truth)
        found = device_ranks.rank_on_device(torch.from_numpy(scores), truth)
        for name in RANKS:
            assert getattr(found, name).tolist() == getattr(expected, name).tolist(), name


def test_torch_ranks_tables_of_every_shape(table, as_sets):
    logits, truth = table
    known = read_truth(as_sets(truth))
    expected, found = ranks.rank_by_label(logits, known), device_ranks.rank_on_device(torch.from_numpy(logits), known)
    for name in RANKS:
        assert getattr(found, name).tolist() == getattr(expected, name).tolist(), name


@pytest.mark.parametrize("kind", KINDS)
def test_torch_ranks_scores_that_share_a_code(kind, as_sets, monkeypatch):
    monkeypatch.setattr(device_ranks, "MOST_ROWS", device_ranks.BLOCK_ROWS)
    generator = np.random.default_rng(1)
    cells = np.stack([cells_of(kind, generator) for _ in range(3)], axis=1).astype(np.float32)
    truth = np.where(np.isnan(cells), np.nan, generator.random(cells.shape) < [0.002, 0.05, 0.3])
    scores, known = np.nan_to_num(cells, posinf=np.inf, neginf=-np.inf), read_truth(as_sets(truth.astype(np.float32)))
    expected, found = ranks.rank_by_label(scores, known), device_ranks.rank_on_device(torch.from_numpy(scores), known)
    for name in RANKS:
        assert getattr(found, name).tolist() == getattr(expected, name).tolist(), name


@pytest.mark.parametrize("shape", [(15, 40), (40, 15), (16, 16), (50, 33), (33, 50)])
def test_columns_are_turned_from_matrices_of_any_shape_and_layout(shape, as_sets):
    generator = np.random.default_rng(2)
    scores = generator.normal(size=shape).astype(np.float32)
    truth = read_truth(as_sets(np.zeros(shape)))
    doubled = np.repeat(scores, 2, axis=1)
    for given in (scores, np.asfortranarray(scores), doubled[:, ::2], scores.astype(np.float64)):
        blocks = list(column_blocks(given, truth))
        assert np.array_equal(np.concatenate([columns for _, columns in blocks]), scores.T)


@pytest.mark.usefixtures("without_shape_checks")
def test_torch_refuses_what_the_kernels_refuse(as_sets):
    truth = read_truth(as_sets(np.zeros((4, 3))))
    scores = torch.zeros((4, 3))
    with pytest.raises(ScoreError, match="scores have shape \\(3, 4\\)"):
        device_ranks.rank_on_device(scores.T, truth)
    scores[2, 1] = math.nan
    with pytest.raises(ScoreError, match="the first is of sample 2, label 'label 1'"):
        device_ranks.rank_on_device(scores, truth)


def test_small_tables_of_buckets_rank_as_large_ones(crowded, monkeypatch):
    logits, sets = crowded
    truth = read_truth(sets)
    expected = ranks.rank_pooled(logits, truth)
    for buckets in (1, 2, 64):
        monkeypatch.setattr(ranks, "POOLED_BUCKETS", buckets)
        found = ranks.rank_pooled(logits, truth)
        for name in RANKS:
            assert getattr(found, name).tolist() == getattr(expected, name).tolist(), (buckets, name)


def test_cells_beside_the_edge_of_a_bucket_are_counted_right(as_sets):
    # So many positives that a bucket is hardly wider than the distance of two float32 scores.
    generator = np.random.default_rng(0)
    truth = (generator.random((300_000, 2)) < 0.5).astype(np.float32)
    scores = (5 * generator.normal(size=truth.shape) + truth).astype(np.float32)
    found, cells = ranks.rank_pooled(scores, read_truth(as_sets(truth))), np.sort(scores, axis=None)
    at_or_above = len(cells) - np.searchsorted(cells, found.scores, side="left")
    above = len(cells) - np.searchsorted(cells, found.scores, side="right")
    assert np.array_equal(found.cells_at_or_above, at_or_above)
    assert np.array_equal(found.cells_above, above)


def test_narrow_blocks_of_columns_rank_alike(crowded, monkeypatch):
    logits, sets = crowded
    expected = rank_positives(logits, sets)
    monkeypatch.setattr("manyhot.metrics.scores.COLUMN_CELLS", 1)
    found = rank_positives(logits, sets)
    for name in RANKS:
        assert getattr(found, name).tolist() == getattr(expected, name).tolist(), name


@pytest.mark.parametrize("num_labels", [19, 20, 21, 31, 80, 190])
def test_rows_with_few_and_with_many_positives_are_placed_alike(num_labels, as_sets):
    generator = np.random.default_rng(num_labels)
    logits = generator.integers(0, 9, (4, num_labels)).astype(np.float32)
    truth = generator.choice([1.0, 1.0, 1.0, 0.0, math.nan], (4, num_labels)).astype(np.float32)
    truth[0] = 1.0
    found = rank_by_row(logits, read_truth(as_sets(truth)))
    expected = [
        sum(
            logits[i, k] > logits[i, j] or (logits[i, k] == logits[i, j] and k < j)
            for k in range(num_labels)
            if not math.isnan(truth[i, k])
        )
        for i in range(4)
        for j in range(num_labels)
        if truth[i, j] == 1
    ]
    assert found.places.tolist() == expected


def test_polynomials_give_probabilities_and_losses_to_the_last_digits():
    generator = np.random.default_rng(1)
    logits = np.concatenate(
        [generator.normal(0, 6, 500), generator.normal(0, 300, 100), [0.0, -0.0, 1e-300, 700, -700]]
    )
    probs, losses = np.empty((2, len(logits)))
    judge_logits(logits, probs := probs.copy(), losses := losses.copy())
    for logit, prob, loss in zip(logits.tolist(), probs, losses, strict=True):
        small = math.exp(-abs(logit))
        # The relative error of exp(z) is that of z, which is 700 at most, times 2⁻⁵³.
        assert prob == pytest.approx((1.0 if logit >= 0 else small) / (1 + small), rel=1e-13, abs=1e-300)
        assert loss == pytest.approx(max(logit, 0.0) + math.log1p(small), rel=1e-13, abs=1e-300)


def test_polynomials_give_the_losses_of_probabilities():
    generator = np.random.default_rng(2)
    given = np.concatenate([generator.random(500), 10 ** -generator.uniform(0, 12, 100), [0.0, 0.5, 1.0]])
    given = np.concatenate([given, 1 - 10 ** -generator.uniform(0, 12, 100)])
    probs, losses = np.empty(len(given)), np.empty(len(given))
    judge_probs(given, probs, losses)
    assert probs.tolist() == given.tolist()
    with np.errstate(divide="ignore"):
        assert losses == pytest.approx(-np.log1p(-given), rel=1e-14)


@pytest.mark.parametrize("kind", ["logits", "probs"])
def test_rows_of_every_length_sum_their_losses(kind, as_sets):
    # Rows are taken in pieces of 1,024 cells, and pieces in lanes.
    generator = np.random.default_rng(3)
    for num_labels in (1, 31, 33, 1023, 1025, 2100):
        truth = (generator.random((2, num_labels)) < 0.1).astype(np.float32)
        truth[generator.random(truth.shape) < 0.1] = np.nan
        values = generator.normal(-2, 3, truth.shape).astype(np.float32)
        wide = 1 / (1 + np.exp(-values.astype(np.float64)))
        if kind == "probs":
            values = wide.astype(np.float32)
            wide = values.astype(np.float64)
        known = read_truth(as_sets(truth))
        squares, losses = proper_scores(Predicted(values=values, kind=kind), known)
        with np.errstate(divide="ignore"):
            surprise = -np.log(np.where(truth == 1, wide, 1 - wide))
        assert squares == pytest.approx(np.nansum((wide - truth) ** 2, axis=1), rel=1e-12)
        assert losses == pytest.approx(np.where(np.isnan(truth), 0, surprise).sum(axis=1), rel=1e-12)


@pytest.mark.parametrize("levels", [0, 5, 200])
@pytest.mark.parametrize("kind", ["logits", "probs"])
def test_bins_without_sorting_are_those_of_the_sorted_cells(kind, levels, random_table, as_sets, oracle):
    logits, truth = random_table(400, 3, 5, unknown=0.1, levels=levels)
    values = logits if kind == "logits" else (1 / (1 + np.exp(-logits))).astype(np.float32)
    known, predicted = read_truth(as_sets(truth)), Predicted(values=values, kind=kind)
    probs = predicted.probs(values)
    cells = oracle.cells_of(values.tolist(), truth.tolist())
    triples = [(j, s, float(probs[i, j]), y) for i, j, s, y in cells]
    for label, found in enumerate(calibration_errors(predicted, known)):
        own = [triple[1:] for triple in triples if triple[0] == label]
        if sum(y for _, _, y in own) >= 10:
            assert found == pytest.approx(oracle.calibration_error(own), abs=1e-12)
        else:
            assert math.isnan(found)
    pooled = oracle.calibration_error([triple[1:] for triple in triples])
    assert pooled_calibration_error(predicted, known) == pytest.approx(pooled, abs=1e-12)


def test_scores_are_read_without_a_copy(as_sets):
    logits = np.zeros((3, 2), dtype=np.float32)
    assert read_scores(logits, read_truth(as_sets(np.zeros((3, 2))))) is logits


@pytest.mark.parametrize("spread", [0, 3, 40, 200])
def test_sums_of_many_values_are_rounded_once(spread):
    generator = np.random.default_rng(spread)
    for size in (199, 200, 5_000):
        values = generator.normal(size=size) * 2.0 ** generator.integers(-spread, spread + 1, size)
        # Their own opposites leave nothing but what rounding would lose.
        for given in (np.abs(values), values, np.concatenate((values, -values, [2.0**-300]))):
            assert sum_once(given) == math.fsum(given)
    assert sum_once(np.append(np.ones(300), math.inf)) == math.inf
    for scale in (0.0, 5e-324, 1e-290, 1e300):
        assert sum_once(np.full(300, scale)) == math.fsum([scale] * 300)
