"""Every figure equals its definition in plain Python, ties, unknown cells and degenerate tables included."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from manyhot.labels import LabelCounts
from manyhot.metrics import evaluate, mean_average_precision
from manyhot.metrics.ranking import rank_by_row, ranking_values
from manyhot.metrics.ranks import rank_by_label, rank_pooled
from manyhot.metrics.truth import read_truth
from manyhot.targets import SparseTargets

# Both sides work in float64 and differ by the order of few sums.
TOLERANCE = 1e-12


def assert_figures(figures, expected):
    wrong = {}
    for name, value in expected.items():
        found = figures[name].value
        undefined = math.isnan(value) or math.isinf(value)
        if (found is None) != undefined or (
            not undefined and not math.isclose(found, value, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        ):
            wrong[name] = (found, value)
    assert wrong == {}


def test_figures_of_logits_follow_their_definitions(table, oracle, as_sets):
    logits, truth = table
    figures = evaluate(logits, as_sets(truth), kind="logits").figures
    scores, num_labels = logits.tolist(), truth.shape[1]
    assert_figures(figures, oracle.ranked_figures(scores, truth.tolist(), num_labels))
    assert_figures(figures, oracle.row_figures(scores, truth.tolist()))
    assert_figures(figures, oracle.probability_figures(scores, truth.tolist(), num_labels, "logits"))
    at_half = oracle.decided_figures((logits >= 0).tolist(), truth.tolist(), num_labels)
    assert_figures(figures, {f"{name}_at_half": value for name, value in at_half.items()})


def test_figures_of_probabilities_follow_their_definitions(table, oracle, as_sets):
    logits, truth = table
    probs = (1 / (1 + np.exp(-logits.astype(np.float64)))).astype(np.float32)
    figures = evaluate(probs, as_sets(truth), kind="probs").figures
    values, num_labels = probs.tolist(), truth.shape[1]
    assert_figures(figures, oracle.ranked_figures(values, truth.tolist(), num_labels))
    assert_figures(figures, oracle.probability_figures(values, truth.tolist(), num_labels, "probs"))
    at_half = oracle.decided_figures((probs >= 0.5).tolist(), truth.tolist(), num_labels)
    assert_figures(figures, {f"{name}_at_half": value for name, value in at_half.items()})


def test_figures_of_a_decision_follow_their_definitions(table, oracle, as_sets):
    logits, truth = table
    preds = np.random.default_rng(0).random(truth.shape) < 0.4
    figures = evaluate(logits, as_sets(truth), kind="logits", preds=preds).figures
    assert_figures(figures, oracle.decided_figures(preds.tolist(), truth.tolist(), truth.shape[1]))


def test_top3_figures_decide_for_the_three_best_known_labels(table, oracle, as_sets):
    logits, truth = table
    figures = evaluate(logits, as_sets(truth), kind="logits").figures
    decisions = oracle.best_decisions(logits.tolist(), truth.tolist(), 3)
    expected = oracle.decided_figures(decisions, truth.tolist(), truth.shape[1])
    assert_figures(figures, {f"{name}_top3": expected[name] for name in ("cp", "cr", "cf1", "op", "or", "of1")})


def test_label_lines_follow_their_definitions(table, oracle, as_sets):
    logits, truth = table
    preds = np.random.default_rng(1).random(truth.shape) < 0.4
    lines = evaluate(logits, as_sets(truth), kind="logits", preds=preds).labels
    assert len(lines) == truth.shape[1]
    for label, line in enumerate(lines):
        known = [row for row in range(len(truth)) if not math.isnan(truth[row, label])]
        pairs = [(float(logits[row, label]), truth[row, label] == 1) for row in known]
        counts = oracle.outcomes([(preds[row, label], truth[row, label] == 1) for row in known])
        expected = {
            "average_precision": oracle.average_precision(pairs),
            "auroc": oracle.auroc(pairs),
            "precision": oracle.precision(*counts),
            "recall": oracle.recall(*counts),
            "f1": oracle.f1(*counts),
            "f2": oracle.f2(*counts),
            "accuracy": oracle.accuracy(*counts),
            "balanced_accuracy": oracle.balanced_accuracy(*counts),
            "mcc": oracle.mcc(*counts),
        }
        assert (line.positives, line.known) == (sum(y for _, y in pairs), len(known))
        for name, value in expected.items():
            assert getattr(line, name) == (None if math.isnan(value) else pytest.approx(value, abs=TOLERANCE)), name


def test_every_column_of_three_cells_is_ranked_and_counted_right(oracle, as_sets):
    states = list(itertools.product([0.0, 1.0, math.nan], repeat=3))
    scores = list(itertools.product([-1.0, 0.0, 2.0], repeat=3))
    columns = list(itertools.product(states, scores))
    truth = np.array([states for states, _ in columns], dtype=np.float32).T
    logits = np.array([scores for _, scores in columns], dtype=np.float32).T
    lines = evaluate(logits, as_sets(truth), kind="logits").labels
    for line, (column_states, column_scores) in zip(lines, columns, strict=True):
        pairs = [(s, y == 1) for s, y in zip(column_scores, column_states, strict=True) if not math.isnan(y)]
        counts = oracle.outcomes([(s >= 0, y) for s, y in pairs])
        for found, value in (
            (line.average_precision, oracle.average_precision(pairs)),
            (line.auroc, oracle.auroc(pairs)),
            (line.precision, oracle.precision(*counts)),
            (line.recall, oracle.recall(*counts)),
            (line.f1, oracle.f1(*counts)),
        ):
            assert found == (None if math.isnan(value) else pytest.approx(value, abs=TOLERANCE))


def test_every_row_of_four_cells_is_ranked_right(as_sets):
    states = list(itertools.product([0.0, 1.0, math.nan], repeat=4))
    scores = list(itertools.product([-1.0, 0.0, 2.0], repeat=4))
    rows = list(itertools.product(states, scores))
    truth = np.array([states for states, _ in rows], dtype=np.float32)
    logits = np.array([scores for _, scores in rows], dtype=np.float32)
    known = read_truth(as_sets(truth))
    ranks = rank_by_row(logits, known)
    entry = 0
    for row_states, row_scores in rows:
        cells = [(j, row_scores[j], row_states[j] == 1) for j in range(4) if not math.isnan(row_states[j])]
        for label, score, positive in cells:
            if positive:
                assert ranks.cells_at_or_above[entry] == sum(s >= score for _, s, _ in cells)
                assert ranks.positives_at_or_above[entry] == sum(y and s >= score for _, s, y in cells)
                assert ranks.places[entry] == sum(s > score or (s == score and j < label) for j, s, _ in cells)
                entry += 1
    assert entry == len(ranks.places)


def test_every_row_of_three_cells_has_every_figure_of_its_ranks(oracle, as_sets):
    weights = np.array([2.5, 1.5, 3.5])
    rows = list(
        itertools.product(
            itertools.product([0.0, 1.0, math.nan], repeat=3), [-1.0, 0.0, 2.0], (-1.0, 0.0, 2.0), (-1.0, 0.0, 2.0)
        )
    )
    truth = np.array([states for states, *_ in rows], dtype=np.float32)
    logits = np.array([scores for _, *scores in rows], dtype=np.float32)
    known = replace(read_truth(as_sets(truth)), inverse_propensities=weights)
    values = ranking_values(rank_by_row(logits, known))
    for row, (states, *scores) in enumerate(rows):
        expected = oracle.row_figures([scores], [states]) | oracle.propensity_figures([scores], [states], weights)
        assert set(values) == set(expected)
        for name, value in expected.items():
            assert values[name][row] == pytest.approx(value, abs=TOLERANCE, nan_ok=True), (name, states, scores)


EVERY_TABLE = list(
    itertools.product(itertools.product([0.0, 1.0, math.nan], repeat=4), itertools.product([-1.0, 0.0, 2.0], repeat=4))
)


def assert_tables(tables, oracle, as_sets):
    for states, values in tables:
        truth, scores = np.reshape(states, (2, 2)), np.reshape(values, (2, 2))
        figures = evaluate(scores.astype(np.float32), as_sets(truth), kind="logits").figures
        assert_figures(figures, oracle.ranked_figures(scores.tolist(), truth.tolist(), 2))
        assert_figures(figures, oracle.row_figures(scores.tolist(), truth.tolist()))
        at_half = oracle.decided_figures((scores >= 0).tolist(), truth.tolist(), 2)
        assert_figures(figures, {f"{name}_at_half": value for name, value in at_half.items()})


def test_tables_of_two_by_two_have_every_figure(oracle, as_sets):
    # Every 67th: 67 is prime to the 3 of states and scores, so that all of both occur.
    assert_tables(EVERY_TABLE[::67], oracle, as_sets)


@pytest.mark.slow
def test_every_table_of_two_by_two_has_every_figure(oracle, as_sets):
    assert_tables(EVERY_TABLE, oracle, as_sets)


@pytest.mark.parametrize("num_labels", [11, 12, 13, 60])
def test_rows_with_few_and_with_many_positives_are_ranked_alike(num_labels, as_sets):
    generator = np.random.default_rng(num_labels)
    logits = generator.integers(0, 9, (5, num_labels)).astype(np.float32)
    truth = generator.choice([1.0, 1.0, 1.0, 0.0, math.nan], (5, num_labels)).astype(np.float32)
    truth[0] = 1.0
    ranks = rank_by_row(logits, read_truth(as_sets(truth)))
    expected = [
        sum(
            logits[i, k] > logits[i, j] or (logits[i, k] == logits[i, j] and k < j)
            for k in range(num_labels)
            if not math.isnan(truth[i, k])
        )
        for i in range(5)
        for j in range(num_labels)
        if truth[i, j] == 1
    ]
    assert ranks.places.tolist() == expected


def test_ranks_of_float64_scores_tell_apart_what_float32_cannot(as_sets):
    scores = np.array([[1.0], [1.0 + 1e-12], [1.0 - 1e-12]])
    truth = as_sets(np.array([[0.0], [1.0], [0.0]]))
    assert mean_average_precision(scores, truth).value == 1.0
    assert evaluate(scores, truth, kind="logits").value("map_micro") == 1.0
    assert mean_average_precision(scores.astype(np.float32), truth).value == pytest.approx(1 / 3)


def test_both_zeros_tie(as_sets):
    scores = np.array([[0.0], [-0.0]], dtype=np.float32)
    ranks = [rank(scores, read_truth(as_sets(np.array([[1.0], [0.0]])))) for rank in (rank_by_label, rank_pooled)]
    assert [rank.cells_at_or_above.tolist() for rank in ranks] == [[2], [2]]


def test_infinite_scores_rank_at_the_ends(oracle, as_sets):
    scores = np.array([[np.inf, 1.0], [-np.inf, np.inf], [0.0, -np.inf], [np.inf, 3e38]], dtype=np.float32)
    truth = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [0.0, 0.0]])
    figures = evaluate(scores, as_sets(truth), kind="logits").figures
    assert_figures(figures, oracle.ranked_figures(scores.tolist(), truth.tolist(), 2))
    assert_figures(figures, oracle.row_figures(scores.tolist(), truth.tolist()))
    assert figures["bce"].value is None, "an infinite loss has no place in strict JSON"


def test_saturated_logits_are_ranked_where_their_sigmoids_tie(as_sets):
    logits = np.array([[40.0], [60.0], [50.0]], dtype=np.float32)
    truth = as_sets(np.array([[0.0], [1.0], [1.0]]))
    assert mean_average_precision(logits, truth).value == 1.0
    probs = torch.sigmoid(torch.from_numpy(logits))
    assert mean_average_precision(probs, truth).value == pytest.approx(2 / 3)


def test_targets_and_label_sets_are_judged_alike(table, as_sets):
    logits, truth = table
    sets = as_sets(truth)
    by_sets = evaluate(logits, sets, kind="logits")
    targets = SparseTargets.from_label_sets(sets)
    by_targets = evaluate(torch.from_numpy(logits), targets, kind="logits")
    assert by_targets.figures == by_sets.figures
    dense = evaluate(logits, SparseTargets.from_dense(torch.from_numpy(truth)), kind="logits")
    assert dense.figures == by_sets.figures


def test_prevalence_baseline_is_the_evaluation_of_the_training_prevalence(table, as_sets):
    logits, truth = table
    num_labels = truth.shape[1]
    positives = np.arange(num_labels) % 7
    counts = LabelCounts(positives=positives, known=np.full(num_labels, 8))
    evaluation = evaluate(logits, as_sets(truth), kind="logits", train_counts=counts)
    scores = np.tile((positives / 8).astype(np.float32), (len(truth), 1))
    own = evaluate(scores, as_sets(truth), kind="probs", train_counts=counts)
    baseline = evaluation.baselines["predict prevalence"]
    assert list(baseline) == list(evaluation.figures)
    for name, value in baseline.items():
        # Counted by label instead of cell by cell: the sums are of other terms.
        assert value == (None if own.value(name) is None else pytest.approx(own.value(name), abs=TOLERANCE)), name
