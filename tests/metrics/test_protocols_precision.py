"""Average precisions of other protocols, from ranks of positives, against plain definitions that walk sorted lists."""

import math

import numpy as np
import pytest

from manyhot.metrics.curves import average_precision
from manyhot.metrics.protocols_precision import enveloped_precision, interpolated_precision, sorted_precision
from manyhot.metrics.ranks import rank_by_label
from manyhot.metrics.truth import read_truth

# Sums of the same float64 terms in another order.
TOLERANCE = 1e-12


def curve_of(scores, positive):
    """Return (recall, precision) at each distinct score, highest first, by counting cells one by one."""
    total = sum(positive)
    points = []
    for level in sorted(set(scores), reverse=True):
        reached = [good for score, good in zip(scores, positive, strict=True) if score >= level]
        points.append((sum(reached) / total, sum(reached) / len(reached)))
    return points


def best_at(points, recall):
    return max((precision for reached, precision in points if reached >= recall), default=0.0)


def mean_over_levels(scores, positive, levels):
    if not any(positive):
        return math.nan
    points = curve_of(scores, positive)
    return math.fsum(best_at(points, level) for level in levels) / len(levels)


def area_under_envelope(scores, positive):
    """The area of rectangles between the recalls that occur, as high as the best precision from there on."""
    if not any(positive):
        return math.nan
    points = curve_of(scores, positive)
    area, before = 0.0, 0.0
    for recall, _ in points:
        area += (recall - before) * best_at(points, recall)
        before = recall
    return area


def one_by_one(scores, positive):
    """Precision at each positive down a list in which, of equal scores, what stands later in the data comes first."""
    order = sorted(range(len(scores)), key=lambda row: (-scores[row], -row))
    hits, total = 0, 0.0
    for place, row in enumerate(order, start=1):
        if positive[row]:
            hits += 1
            total += hits / place
    return 100 * total / (hits + 1e-8)


def columns_of(logits, truth):
    for label in range(truth.shape[1]):
        known = ~np.isnan(truth[:, label])
        yield logits[known, label].tolist(), (truth[known, label] == 1).tolist()


def expected(logits, truth, function):
    return [function(scores, positive) for scores, positive in columns_of(logits, truth)]


@pytest.fixture
def ranked(table, as_sets):
    logits, truth = table
    read = read_truth(as_sets(truth))
    return logits, truth, read, rank_by_label(logits, read)


def test_eleven_points_are_the_definition_of_voc_2007(ranked):
    logits, truth, _, ranks = ranked
    levels = np.linspace(0, 1, 11).tolist()
    found = expected(logits, truth, lambda scores, positive: mean_over_levels(scores, positive, levels))
    np.testing.assert_allclose(interpolated_precision(ranks, 11), found, atol=TOLERANCE)


def test_hundred_and_one_points_are_the_definition_of_coco(ranked):
    logits, truth, _, ranks = ranked
    levels = np.linspace(0, 1, 101).tolist()
    found = expected(logits, truth, lambda scores, positive: mean_over_levels(scores, positive, levels))
    np.testing.assert_allclose(interpolated_precision(ranks, 101), found, atol=TOLERANCE)


def test_the_mean_over_positives_is_the_area_under_the_envelope(ranked):
    logits, truth, _, ranks = ranked
    np.testing.assert_allclose(enveloped_precision(ranks), expected(logits, truth, area_under_envelope), atol=TOLERANCE)


def test_sorted_precision_counts_positives_one_by_one(ranked):
    logits, truth, read, ranks = ranked
    np.testing.assert_allclose(
        sorted_precision(ranks, logits, read), expected(logits, truth, one_by_one), rtol=TOLERANCE, atol=TOLERANCE
    )


def test_the_envelope_is_never_below_the_curve(ranked):
    *_, ranks = ranked
    plain = np.nan_to_num(average_precision(ranks))
    assert (np.nan_to_num(enveloped_precision(ranks)) >= plain - TOLERANCE).all()


def test_without_ties_sorted_order_and_groups_differ_by_the_published_epsilon_alone(random_table, as_sets):
    logits, truth = random_table(61, 13, seed=5)
    read = read_truth(as_sets(truth))
    ranks = rank_by_label(logits, read)
    positives = ranks.positives
    grouped = np.nan_to_num(average_precision(ranks)) * positives / (positives + 1e-8)
    np.testing.assert_allclose(sorted_precision(ranks, logits, read), 100 * grouped, rtol=TOLERANCE)


def test_a_recall_of_three_tenths_does_not_reach_the_level_of_the_usual_codes(as_sets):
    # linspace(0, 1, 11)[3] is 0.30000000000000004: three positives of ten, ranked first, do not get there.
    scores = np.array([[float(-row)] for row in range(20)])
    truth = np.array([[1.0] if row < 3 or 10 <= row < 17 else [0.0] for row in range(20)])
    precision = interpolated_precision(rank_by_label(scores, read_truth(as_sets(truth))), 11)
    assert precision == pytest.approx([(3 * 1 + 8 * (10 / 17)) / 11], abs=TOLERANCE)


def test_of_tied_samples_the_later_comes_first(as_sets):
    truth = np.array([[1.0], [0.0]])
    for order, value in (([0, 1], 50.0), ([1, 0], 100.0)):
        read = read_truth(as_sets(truth[order]))
        scores = np.zeros((2, 1), dtype=np.float32)
        assert sorted_precision(rank_by_label(scores, read), scores, read) == pytest.approx([value], rel=1e-7)
