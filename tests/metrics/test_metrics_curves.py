"""Curves, best F, figures by group and by propensity against scikit-learn and the plain definitions."""

import itertools
import math

import numpy as np
import pytest
from sklearn import metrics as sk

from manyhot.labels import LabelCounts, LabelSets, LabelSpace
from manyhot.metrics import evaluate
from manyhot.metrics.curves import best_f, precision_recall, rank_positives, roc
from manyhot.metrics.propensity import Propensity

# Both sides divide the same whole numbers, or sum the same float64 terms in another order.
TOLERANCE = 1e-12


@pytest.fixture(params=[0, 6], ids=["all scores different", "many ties"])
def ranked(request, random_table, as_sets):
    logits, truth = random_table(61, 9, 5, levels=request.param)
    return logits, truth, rank_positives(logits, as_sets(truth))


def test_precision_and_recall_at_positives_are_those_of_scikit_learn(ranked):
    logits, truth, ranks = ranked
    precision, recall = precision_recall(ranks)
    for label in range(truth.shape[1]):
        own = slice(ranks.offsets[label], ranks.offsets[label + 1])
        if not truth[:, label].any():
            assert precision[own].size == 0
            continue
        expected = sk.precision_recall_curve(truth[:, label], logits[:, label])
        places = np.searchsorted(expected[2], ranks.scores[own])
        assert precision[own] == pytest.approx(expected[0][places], abs=TOLERANCE)
        assert recall[own] == pytest.approx(expected[1][places], abs=TOLERANCE)


def test_rates_at_positives_are_those_of_scikit_learn(ranked):
    logits, truth, ranks = ranked
    false, true = roc(ranks)
    for label in range(truth.shape[1]):
        own = slice(ranks.offsets[label], ranks.offsets[label + 1])
        if truth[:, label].all():
            assert np.isnan(false[own]).all()
        elif truth[:, label].any():
            expected = sk.roc_curve(truth[:, label], logits[:, label], drop_intermediate=False)
            places = len(expected[2]) - np.searchsorted(expected[2][::-1], ranks.scores[own], side="left") - 1
            assert false[own] == pytest.approx(expected[0][places], abs=TOLERANCE)
            assert true[own] == pytest.approx(expected[1][places], abs=TOLERANCE)


@pytest.mark.parametrize("beta", [1.0, 2.0, 0.5])
def test_best_f_is_the_best_of_all_thresholds(ranked, beta):
    logits, truth, ranks = ranked
    best, scores = best_f(ranks, beta)
    for label in range(truth.shape[1]):
        column, known = logits[:, label], truth[:, label]
        if not known.any():
            assert math.isnan(best[label])
            assert math.isnan(scores[label])
            continue
        values = [
            (
                (1 + beta**2)
                * known[column >= threshold].sum()
                / (beta**2 * known.sum() + (column >= threshold).sum()),
                threshold,
            )
            for threshold in np.unique(column).tolist()
        ]
        assert best[label] == pytest.approx(max(value for value, _ in values), abs=TOLERANCE)
        assert scores[label] == max(score for value, score in values if value > best[label] - TOLERANCE)


@pytest.mark.parametrize("unknown", [0.0, 0.3])
def test_propensities_weigh_hits_as_defined(unknown, random_table, as_sets, oracle):
    logits, truth = random_table(50, 23, 7, unknown=unknown, levels=8)
    counts = LabelCounts(positives=np.arange(23) ** 2, known=np.full(23, 900))
    figures = evaluate(logits, as_sets(truth), kind="logits", train_counts=counts).figures
    weights = oracle.inverse_propensities((np.arange(23) ** 2).tolist(), 900)
    assert Propensity().inverse(counts) == pytest.approx(weights, rel=TOLERANCE)
    for name, value in oracle.propensity_figures(logits.tolist(), truth.tolist(), weights).items():
        assert figures[name].value == pytest.approx(value, abs=TOLERANCE), name
        assert figures[name].defined == figures["lrap"].defined
    without = evaluate(logits, as_sets(truth), kind="logits").figures
    assert without["psp_at_1"].value is without["psndcg_at_5"].value is None


def test_propensities_of_tiny_training_sets_weigh_all_labels_alike():
    counts = LabelCounts(positives=np.array([0, 1]), known=np.array([2, 2]))
    assert Propensity().inverse(counts).tolist() == [1.0, 1.0]


def test_macro_figures_come_for_each_group(random_table, as_sets):
    logits, truth = random_table(40, 5, 9, unknown=0.1)
    groups = ("colour", None, "type", "colour", "type")
    space = LabelSpace(names=tuple("abcde"), groups=groups)
    evaluation = evaluate(logits, LabelSets.from_dense(truth, space), kind="logits", preds=logits > 0)
    for group, members in (("colour", [0, 3]), ("type", [2, 4])):
        part = evaluate(logits[:, members], as_sets(truth[:, members]), kind="logits", preds=logits[:, members] > 0)
        for name in ("map_macro", "auroc_macro", "f1_macro", "mcc_macro"):
            assert evaluation.figures[f"{name}[{group}]"] == part.figures[name]
        assert evaluation.figures[f"f1_macro[{group}]_at_half"] == part.figures["f1_macro_at_half"]
    assert not any("[" in name for name in evaluate(logits, as_sets(truth), kind="logits").figures)


def small_tables(num_samples, num_labels):
    """Return every truth of 1, 0 and unknown, and every order of the cells' scores with ties, as levels from 0."""
    cells = num_samples * num_labels
    orders = [
        order for order in itertools.product(range(cells), repeat=cells) if set(order) == set(range(max(order) + 1))
    ]
    return list(itertools.product([0.0, 1.0, math.nan], repeat=cells)), orders


def assert_table(states, order, shape, oracle, as_sets):
    truth = np.array(states, dtype=np.float32).reshape(shape)
    logits = np.array(order, dtype=np.float32).reshape(shape) - 1
    figures = evaluate(logits, as_sets(truth), kind="logits").figures
    scores, known = logits.tolist(), truth.tolist()
    expected = {
        **oracle.ranked_figures(scores, known, shape[1]),
        **oracle.row_figures(scores, known),
        **oracle.probability_figures(scores, known, shape[1], "logits"),
    }
    decided = oracle.decided_figures((logits >= 0).tolist(), known, shape[1])
    expected |= {f"{name}_at_half": value for name, value in decided.items()}
    for name, value in expected.items():
        assert figures[name].value == (None if math.isnan(value) else pytest.approx(value, abs=TOLERANCE)), name


def test_small_tables_follow_the_definitions(oracle, as_sets):
    states, orders = small_tables(2, 2)
    assert (len(states), len(orders)) == (81, 75)
    generator = np.random.default_rng(0)
    for index in generator.choice(len(states) * len(orders), 80, replace=False).tolist():
        assert_table(states[index // 75], orders[index % 75], (2, 2), oracle, as_sets)
    for _ in range(40):
        shape = (2, 3) if generator.random() < 0.5 else (3, 2)
        drawn = generator.choice([0.0, 1.0, math.nan], 6), generator.integers(0, 4, 6)
        assert_table(*drawn, shape, oracle, as_sets)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(2, 2), (3, 1), (1, 3)])
def test_every_small_table_follows_the_definitions(shape, oracle, as_sets):
    for states, order in itertools.product(*small_tables(*shape)):
        assert_table(states, order, shape, oracle, as_sets)
