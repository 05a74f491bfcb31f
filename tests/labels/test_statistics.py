"""Counts of labels, against the dense matrix with NaN for unknown cells."""

import numpy as np
import pytest

from manyhot.labels import (
    Csr,
    LabelCounts,
    LabelSets,
    LabelSource,
    LabelSpace,
    cardinality,
    constant_labels,
    count_cells,
    density,
    empty_labels,
    log_odds,
)

ABC = LabelSpace(names=("a", "b", "c"))


def three_sources() -> LabelSets:
    return LabelSets(
        space=ABC,
        positives=Csr.from_lists([[0], [0], [2], [], [1]]),
        exceptions=Csr.from_lists([[1], [1], [1], [0, 2], []]),
        sources=(LabelSource(), LabelSource(unlisted="unknown", annotated=(0,)), LabelSource(annotated=(0, 1))),
        source_ids=np.array([0, 1, 2, 2, 1], dtype=np.uint16),
    )


@pytest.mark.parametrize(
    "sets",
    [
        LabelSets.from_lists([[0], [], [0, 2]], ABC),
        LabelSets.from_lists([[0], [], [0, 2]], ABC, exceptions=[[1], [0], []]),
        LabelSets.from_lists([[0], [], [0, 2]], ABC, exceptions=[[1], [0], []], unlisted="unknown"),
        LabelSets(space=ABC, positives=Csr.from_lists([[0, 2], [1]]), sources=(LabelSource(annotated=(1, 2)),)),
        three_sources(),
        LabelSets.from_names([], ABC),
    ],
    ids=["complete", "unknown-exceptions", "verified-negatives", "partly-annotated", "three-sources", "no-samples"],
)
def test_counts_are_those_of_the_dense_matrix(sets: LabelSets):
    dense = sets.to_multi_hot()
    counts = count_cells(sets)
    assert counts.positives.tolist() == (dense == 1).sum(axis=0).tolist()
    assert counts.known.tolist() == (~np.isnan(dense)).sum(axis=0).tolist()
    assert counts.negatives.tolist() == (dense == 0).sum(axis=0).tolist()
    assert counts.positives.dtype == counts.known.dtype == np.int64


def test_prevalence_is_a_share_of_known_cells_and_nan_without_any():
    counts = count_cells(LabelSets.from_lists([[0], []], ABC, exceptions=[[], [1]], unlisted="unknown"))
    np.testing.assert_array_equal(counts.prevalence, [1.0, 0.0, np.nan])


def test_cardinality_counts_rows_without_labels():
    assert cardinality(LabelSets.from_lists([[0, 1, 2], [], [], [1]], ABC)) == 1.0


def test_density_is_over_known_cells():
    sets = LabelSets.from_lists([[0], []], ABC, exceptions=[[1], []], unlisted="unknown")
    assert density(sets) == 0.5
    assert density(LabelSets.from_lists([[0], [1, 2]], ABC)) == 0.5


def test_means_over_nothing_are_nan():
    assert np.isnan(cardinality(LabelSets.from_names([], ABC)))
    assert np.isnan(density(LabelSets.from_names([[]], ABC, unlisted="unknown")))


def test_a_constant_label_is_positive_in_every_known_cell():
    sets = LabelSets.from_lists([[0, 1], [0]], ABC, exceptions=[[], [1]])
    assert constant_labels(sets).tolist() == [0, 1]
    assert empty_labels(sets).tolist() == [2]


def test_a_label_without_known_cells_is_empty_and_not_constant():
    sets = LabelSets.from_lists([[0], []], ABC, unlisted="unknown")
    assert constant_labels(sets).tolist() == [0]
    assert empty_labels(sets).tolist() == [1, 2]


def test_log_odds_are_those_of_the_smoothed_prevalence_and_always_finite():
    counts = LabelCounts(positives=np.array([0, 3, 10, 0]), known=np.array([10, 10, 10, 0]))
    smoothed = (counts.positives + 1) / (counts.known + 2)
    np.testing.assert_allclose(log_odds(counts), np.log(smoothed / (1 - smoothed)), rtol=1e-12, atol=1e-15)


@pytest.mark.real_data
def test_white_is_constant_on_clothes_tiny(shared_data):
    import json

    rows = json.loads((shared_data / "clothes_tiny" / "labels.json").read_text(encoding="utf-8"))
    names = [[row["type"], *row["colors"]] for row in rows.values()]
    sets = LabelSets.from_names(names)
    assert [sets.space.names[label] for label in constant_labels(sets)] == ["White"]
