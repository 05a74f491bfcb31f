"""Claims about labels that hold for any data: hypothesis looks for a counterexample."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from manyhot.labels import Csr, LabelSets, LabelSpace, count_cells, split_samples
from manyhot.losses import BCEWithLogitsLoss
from manyhot.targets import SparseTargets

# No deadline: the first example may wait for numba or torch.
modest = settings(max_examples=40, deadline=None, derandomize=True)

rows_of_ids = st.lists(st.lists(st.integers(0, 12), max_size=8), max_size=12)
states = hnp.arrays(
    np.float64, st.tuples(st.integers(0, 9), st.integers(1, 7)), elements=st.sampled_from([0.0, 1.0, float("nan")])
)


def space_of(num_labels: int) -> LabelSpace:
    return LabelSpace(names=tuple(f"label {label}" for label in range(num_labels)))


@modest
@given(rows_of_ids)
def test_rows_are_sets(rows: list[list[int]]):
    csr = Csr.from_lists(rows)
    csr.check(13, "rows")
    assert [csr.row(row).tolist() for row in range(csr.num_rows)] == [sorted(set(row)) for row in rows]


@modest
@given(rows_of_ids, st.data())
def test_taking_twice_is_taking_the_taken(rows: list[list[int]], data: st.DataObject):
    csr = Csr.from_lists(rows)
    indices = st.lists(st.integers(0, max(len(rows) - 1, 0)), max_size=10 if rows else 0)
    first = np.array(data.draw(indices), dtype=np.int64)
    taken = csr.take(first)
    assert [taken.row(row).tolist() for row in range(taken.num_rows)] == [
        csr.row(row).tolist() for row in first.tolist()
    ]
    backwards = np.arange(len(first))[::-1]
    assert taken.take(backwards).ids.tolist() == csr.take(first[backwards]).ids.tolist()


@modest
@given(states)
def test_dense_states_survive_every_form(matrix: np.ndarray):
    sets = LabelSets.from_dense(matrix, space_of(matrix.shape[1]))
    np.testing.assert_array_equal(sets.to_multi_hot(), matrix)
    np.testing.assert_array_equal(SparseTargets.from_label_sets(sets).to_multi_hot().numpy(), matrix)
    np.testing.assert_array_equal(SparseTargets.from_dense(torch.from_numpy(matrix)).to_multi_hot().numpy(), matrix)


@modest
@given(states)
def test_counts_are_those_of_the_dense_states(matrix: np.ndarray):
    counts = count_cells(LabelSets.from_dense(matrix, space_of(matrix.shape[1])))
    assert counts.positives.tolist() == (matrix == 1).sum(axis=0).tolist()
    assert counts.negatives.tolist() == (matrix == 0).sum(axis=0).tolist()


@modest
@given(states, st.integers(0, 2**32 - 1))
def test_the_loss_is_the_mean_of_the_known_cells(matrix: np.ndarray, seed: int):
    dense = torch.from_numpy(matrix)
    logits = 5 * torch.randn(dense.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    known = ~dense.isnan()
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits[known], dense[known], reduction="sum")
    value = BCEWithLogitsLoss()(logits, SparseTargets.from_dense(dense))
    torch.testing.assert_close(value, expected / known.sum().clamp(min=1), rtol=1e-12, atol=0)


@modest
@given(
    rows_of_ids,
    st.lists(st.integers(0, 5), min_size=1, max_size=4).filter(lambda weights: sum(weights) > 0),
    st.integers(0, 2**32 - 1),
)
def test_a_split_has_the_sizes_asked_for(rows: list[list[int]], weights: list[int], seed: int):
    fractions = np.array(weights) / sum(weights)
    part_of = split_samples(LabelSets.from_lists(rows, space_of(13)), fractions.tolist(), seed=seed)
    sizes = np.bincount(part_of, minlength=len(weights))
    assert len(part_of) == len(rows)
    assert (np.abs(sizes - fractions * len(rows)) < 1 + 1e-6).all()
    assert (sizes[fractions == 0] == 0).all()


@modest
@given(rows_of_ids, st.data(), st.integers(0, 2**32 - 1))
def test_a_group_is_in_one_part(rows: list[list[int]], data: st.DataObject, seed: int):
    groups = np.array(data.draw(st.lists(st.integers(0, 4), min_size=len(rows), max_size=len(rows))), dtype=np.int64)
    part_of = split_samples(LabelSets.from_lists(rows, space_of(13)), (0.5, 0.3, 0.2), seed=seed, groups=groups)
    assert len(set(zip(groups.tolist(), part_of.tolist(), strict=True))) == len(set(groups.tolist()))
