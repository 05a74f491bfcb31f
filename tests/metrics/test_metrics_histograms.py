"""Histograms: bounds that hold for scores of any scale, the same from every split, and exact figures beside them."""

import numpy as np
import pytest

from manyhot.errors import ScoreError, UsageError
from manyhot.metrics import evaluate
from manyhot.metrics.histogram_state import HistogramState
from manyhot.metrics.histograms import Histograms


def state_of(scores, sets, splits, kind="logits", **options):
    state = HistogramState(kind=kind, **options)
    for rows in splits:
        state.update(scores[rows], sets.take(rows), sample_ids=np.array(rows, dtype=np.int64))
    return state


def assert_bounds_hold(found, exact):
    for name, bounds in (("average_precision", found.average_precision), ("auroc", found.auroc)):
        values = np.array([getattr(label, name) for label in exact.labels], dtype=float)
        assert (np.isnan(bounds.low) == np.isnan(values)).all()
        defined = ~np.isnan(values)
        assert ((bounds.low <= values) & (values <= bounds.high))[defined].all()
    for name, figure in exact.figures.items():
        if name.startswith("ece"):
            assert name not in found.evaluation.figures
            continue
        other = found.evaluation.figures[name]
        if not name.startswith(("map", "auroc")) or figure.value is None:
            assert other == figure, name
        else:
            assert other.low <= figure.value <= other.high, name
            assert other.low <= other.value <= other.high, name
            assert (other.defined, other.total) == (figure.defined, figure.total)


@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e25])
@pytest.mark.parametrize("num_bins", [4, 1024])
def test_bounds_hold_at_any_scale(table, as_sets, scale, num_bins):
    logits, truth = table
    scaled, sets = (logits * np.float32(scale)).astype(np.float32), as_sets(truth)
    found = state_of(scaled, sets, [range(len(truth))], num_bins=num_bins).compute()
    assert_bounds_hold(found, evaluate(scaled, sets, kind="logits"))


def test_probabilities_are_binned_by_their_logits(random_table, as_sets):
    logits, truth = random_table(200, 6, 1)
    probs = (1 / (1 + np.exp(-8 * logits.astype(np.float64)))).astype(np.float32)
    found = state_of(probs, as_sets(truth), [range(200)], kind="probs").compute()
    exact = evaluate(probs, as_sets(truth), kind="probs")
    assert_bounds_hold(found, exact)
    assert found.evaluation.value("map_macro") == pytest.approx(exact.value("map_macro"), abs=0.01)


def test_infinite_scores_have_bins_of_their_own(random_table, as_sets):
    logits, truth = random_table(50, 4, 2)
    logits[::7], logits[1::9] = -np.inf, np.inf
    found = state_of(logits, as_sets(truth), [range(50)]).compute()
    assert_bounds_hold(found, evaluate(logits, as_sets(truth), kind="logits"))
    assert np.nanmax(found.auroc.high - found.auroc.low) < 0.2


def test_splits_orders_and_merges_change_no_bit(random_table, as_sets):
    logits, truth = random_table(80, 7, 3, unknown=0.3, levels=9)
    logits *= np.float32(10.0) ** np.random.default_rng(0).integers(-20, 20, (80, 7)).astype(np.float32)
    logits[0] = 0
    sets, generator = as_sets(truth), np.random.default_rng(1)
    whole = state_of(logits, sets, [range(80)], num_bins=32)
    for size in (1, 9, 79):
        order = generator.permutation(80)
        splits = [order[start : start + size] for start in range(0, 80, size)]
        first, second = (state_of(logits, sets, part, num_bins=32) for part in (splits[:3], splits[3:]))
        first.merge(second)
        assert (first.histograms.cells == whole.histograms.cells).all()
        assert (first.histograms.positives == whole.histograms.positives).all()
        assert first.compute().evaluation == whole.compute().evaluation


def test_more_bins_bring_the_bounds_together(random_table, as_sets):
    logits, truth = random_table(300, 8, 4)
    widths = []
    for num_bins in (8, 64, 512, 4096):
        bounds = state_of(logits, as_sets(truth), [range(300)], num_bins=num_bins).compute().average_precision
        widths.append(np.nanmean(bounds.high - bounds.low))
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 0.01 < widths[0]


def test_histograms_of_eleven_thousand_labels_stay_below_100_mb():
    assert Histograms.empty(11_000, 1024).nbytes < 100e6


def test_a_repeated_sample_is_refused(random_table, as_sets):
    logits, truth = random_table(9, 3, 0)
    state = state_of(logits, as_sets(truth), [range(9), range(2, 4)])
    with pytest.raises(ScoreError, match=r"2 samples came twice, the first with id 2, .* use ExactState"):
        state.compute()


def test_wrong_use_is_refused(random_table, as_sets):
    logits, truth = random_table(9, 3, 0)
    with pytest.raises(UsageError, match="there are 1 bins"):
        HistogramState(kind="logits", num_bins=1)
    with pytest.raises(ScoreError, match="there are no samples to evaluate"):
        HistogramState(kind="logits").compute()
    state, without_ids = HistogramState(kind="logits"), HistogramState(kind="logits")
    without_ids.update(logits, as_sets(truth))
    with pytest.raises(UsageError, match="states without sample ids cannot be merged"):
        state.merge(without_ids)
    with pytest.raises(UsageError, match="1024 bins cannot take over one of logits in 8"):
        state.merge(HistogramState(kind="logits", num_bins=8))
