"""Intervals: each replicate is the evaluation of samples that count several times; weights belong to samples."""

import numpy as np
import pytest

from manyhot.errors import UsageError
from manyhot.metrics import Bootstrap, compare, evaluate, resampled
from manyhot.metrics.bootstrap import read_sample_ids
from manyhot.metrics.evaluation import bands_of, judge
from manyhot.metrics.protocols import MANYHOT
from manyhot.metrics.replicates import replicate_figures
from manyhot.metrics.truth import read_truth

WITHOUT_INTERVAL = {"ece_micro", "ece_macro"}


def replicates_of(logits, sets, intervals, preds):
    judged = judge(logits, sets, kind="logits", preds=preds, thresholds=None, probs=None, protocol=MANYHOT)
    ids = np.arange(len(logits), dtype=np.uint64)
    return replicate_figures(judged, intervals, ids, bands_of(judged.truth, None, 1))


def test_a_replicate_is_the_evaluation_of_repeated_samples(table, as_sets):
    logits, truth = table
    sets, preds = as_sets(truth), logits > 0.3
    intervals = Bootstrap(replicates=4, seed=3)
    replicates = replicates_of(logits, sets, intervals, preds)
    for replicate, repeats in enumerate(intervals.weights(np.arange(len(logits))).T):
        rows = np.repeat(np.arange(len(logits)), repeats)
        expected = evaluate(logits[rows], sets.take(rows), kind="logits", preds=preds[rows]).figures
        # The band of labels with enough positives stays that of the samples as they are.
        names = [name for name in expected if "_min1" not in name and name not in WITHOUT_INTERVAL]
        assert set(names) <= set(replicates)
        found = [replicates[name][replicate] for name in names]
        values = [expected[name].value for name in names]
        # 1e-12: sums of a few dozen float64 in another order.
        np.testing.assert_allclose(found, np.array(values, dtype=float), rtol=0, atol=1e-12)


def test_pooled_figures_from_few_buckets_stay_within_the_stated_width(random_table, as_sets, monkeypatch):
    logits, truth = random_table(90, 31, 5, unknown=0.1)
    known, weights = read_truth(as_sets(truth)), Bootstrap(replicates=30).weights(np.arange(90))
    exact, exact_auroc, nothing = resampled.resample_pooled(logits, known, weights)
    assert nothing == 0
    monkeypatch.setattr(resampled, "NUM_BUCKETS", 64)
    coarse, coarse_auroc, width = resampled.resample_pooled(logits, known, weights)
    assert 0 < np.abs(coarse - exact).max() < width < 0.2
    np.testing.assert_allclose(coarse_auroc, exact_auroc, atol=0.01)


def test_weights_belong_to_samples_wherever_they_stand():
    ids = np.array([7, 3, 10**12, 0])
    weights = Bootstrap(seed=5).weights(ids)
    order = np.array([2, 0, 3, 1])
    assert (Bootstrap(seed=5).weights(ids[order]) == weights[order]).all()
    assert (Bootstrap(seed=5, replicates=20).weights(ids) == weights[:, :20]).all()
    assert (Bootstrap(seed=6).weights(ids) != weights).any()


def test_weights_are_poisson_and_unrelated():
    weights = Bootstrap(replicates=100).weights(np.arange(4000)).astype(float)
    # Five standard errors of 400,000 draws with variance 1, and of the variance, whose draws have variance 3.
    assert abs(weights.mean() - 1) < 5 / np.sqrt(weights.size)
    assert abs(weights.var() - 1) < 5 * np.sqrt(3 / weights.size)
    correlations = np.corrcoef(weights.T) - np.eye(100)
    assert np.abs(correlations).max() < 5.5 / np.sqrt(4000)


def test_intervals_follow_sample_ids_and_not_the_order(random_table, as_sets):
    logits, truth = random_table(60, 7, 2, unknown=0.1)
    sets, names = as_sets(truth), [f"picture {row}.jpg" for row in range(60)]
    order = np.random.default_rng(0).permutation(60)
    options = {"kind": "logits", "intervals": Bootstrap(replicates=20)}
    whole = evaluate(logits, sets, sample_ids=names, **options)
    shuffled = evaluate(logits[order], sets.take(order), sample_ids=[names[row] for row in order], **options)
    assert shuffled.figures == whole.figures


def test_every_defined_figure_but_calibration_errors_gets_an_interval(random_table, as_sets):
    logits, truth = random_table(80, 9, 1)
    evaluation = evaluate(logits, as_sets(truth), kind="logits", preds=logits > 0, intervals=Bootstrap(replicates=60))
    for name, figure in evaluation.figures.items():
        if figure.value is None or name in WITHOUT_INTERVAL or name.startswith("ece"):
            assert figure.low is figure.high is None, name
        else:
            assert figure.low <= figure.high, name
    assert evaluation.figures["map_macro"].low < evaluation.value("map_macro") < evaluation.figures["map_macro"].high


@pytest.mark.slow
def test_intervals_cover_the_truth_about_as_often_as_they_say(as_sets):
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(100):
        truth = (generator.random((300, 4)) < 0.3).astype(np.float32)
        logits = (generator.normal(size=truth.shape) + truth).astype(np.float32)
        figure = evaluate(logits, as_sets(truth), kind="logits", intervals=Bootstrap(level=0.9)).figures["auroc_macro"]
        # The area for two normal distributions that are one standard deviation apart.
        covered += figure.low <= 0.7602499389 <= figure.high
    # 90 of 100 expected, standard deviation 3.
    assert 80 <= covered <= 99


def test_replicates_that_lie_too_high_move_the_interval_down_and_keep_the_figure_in_it():
    replicates = np.linspace(0.5, 0.6, 101)
    assert Bootstrap(level=0.9).interval(replicates, 0.52) == pytest.approx((0.445, 0.535))
    assert Bootstrap(level=0.9).interval(replicates, 0.4) == pytest.approx((0.205, 0.4))
    assert Bootstrap(level=0.9).interval(replicates, 0.8) == pytest.approx((0.8, 1.095))


def test_ends_are_values_that_a_figure_can_have(as_sets):
    generator = np.random.default_rng(0)
    truth = (generator.random((23, 5)) < 0.3).astype(np.float32)
    logits = (generator.normal(size=truth.shape) + 4 * truth - 2).astype(np.float32)
    for sign in (1, -1):
        figures = evaluate(sign * logits, as_sets(truth), kind="logits", intervals=Bootstrap(replicates=50)).figures
        for name, figure in figures.items():
            if figure.low is not None:
                assert (-1 if name.startswith("mcc") else 0) <= figure.low <= figure.value <= figure.high, name
                assert figure.high <= 1 or name in ("coverage_error", "bce"), name


@pytest.mark.slow
def test_intervals_of_average_precision_cover_that_of_many_samples(as_sets):
    def drawn(count, generator):
        logits = generator.normal(size=(count, 15)) * 1.5 + np.linspace(-3.9, -0.4, 15)
        truth = generator.random(logits.shape) < 1 / (1 + np.exp(-logits))
        return as_sets(truth.astype(np.float32)), (logits + generator.normal(size=logits.shape)).astype(np.float32)

    truth, logits = drawn(100_000, np.random.default_rng(0))
    wanted = evaluate(logits, truth, kind="logits").value("map_macro")
    covered = 0
    for repetition in range(100):
        truth, logits = drawn(250, np.random.default_rng(repetition + 1))
        figure = evaluate(logits, truth, kind="logits", intervals=Bootstrap()).figures["map_macro"]
        covered += figure.low <= wanted <= figure.high
    # Percentiles alone cover it about 75 times.
    assert covered >= 85


def test_a_model_does_not_differ_from_itself(random_table, as_sets):
    logits, truth = random_table(50, 6, 4)
    for name, entry in compare(logits, logits, as_sets(truth), kind="logits").items():
        if entry.difference is not None:
            assert entry.difference == 0, name
            assert (entry.low, entry.high) in ((0, 0), (None, None)), name


def test_pairing_narrows_the_interval_of_a_difference(random_table, as_sets):
    logits, truth = random_table(150, 6, 4)
    worse = logits + np.random.default_rng(1).normal(size=logits.shape).astype(np.float32) / 4
    entry = compare(logits, worse, as_sets(truth), kind="logits", preds=(logits > 0, worse > 0))["map_micro"]
    widths = [figure.high - figure.low for figure in (entry.first, entry.second)]
    assert entry.high - entry.low < 0.7 * min(widths)
    assert entry.difference == entry.first.value - entry.second.value
    assert entry.low < entry.difference < entry.high


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (lambda: Bootstrap(replicates=1), "there are 1 replicates; an interval needs at least 2"),
        (lambda: Bootstrap(level=95), "the level is 95; give a share"),
        (lambda: read_sample_ids(["a"], 2), "there are 1 sample ids for 2 samples"),
    ],
)
def test_wrong_settings_are_refused(work, message):
    with pytest.raises(UsageError, match=message):
        work()


def test_intervals_of_other_protocols_are_refused(random_table, as_sets):
    logits, truth = random_table(9, 3, 0)
    with pytest.raises(UsageError, match="intervals are of the protocol 'manyhot' only, not of 'sklearn'"):
        evaluate(logits, as_sets(truth), kind="logits", protocol="sklearn", intervals=Bootstrap())
