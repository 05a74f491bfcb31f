"""Dense rows in one buffer are those of a fresh matrix, call after call."""

import numpy as np
import pytest

from manyhot.errors import LabelError
from manyhot.labels import Csr, LabelSets, LabelSource, LabelSpace
from manyhot.labels.dense_rows import DenseRows

NUM_ROWS, NUM_LABELS = 41, 17


def random_sets(sources: tuple[LabelSource, ...], *, exceptions: bool, seed: int) -> LabelSets:
    generator = np.random.default_rng(seed)
    states = generator.choice(3, size=(NUM_ROWS, NUM_LABELS), p=[0.8, 0.1, 0.1])
    positives, exceptional = (
        Csr.from_lists([np.flatnonzero(row == state).tolist() for row in states]) for state in (1, 2)
    )
    ids = generator.integers(0, len(sources), NUM_ROWS).astype(np.uint16)
    return LabelSets(
        space=LabelSpace(names=tuple(map(str, range(NUM_LABELS)))),
        positives=positives,
        exceptions=exceptional if exceptions else None,
        sources=sources,
        source_ids=ids if len(sources) > 1 else None,
    )


SOURCES = {
    "complete": (LabelSource(),),
    "unknown": (LabelSource(unlisted="unknown"),),
    "partial": (LabelSource(annotated=(0, 3, 16)),),
    "mixed": (LabelSource(), LabelSource(unlisted="unknown"), LabelSource(annotated=(1, 2))),
}


@pytest.mark.parametrize("exceptions", [False, True], ids=["plain", "exceptions"])
@pytest.mark.parametrize("sources", SOURCES.values(), ids=SOURCES)
def test_every_call_gives_what_a_fresh_matrix_holds(sources: tuple[LabelSource, ...], exceptions: bool):
    sets = random_sets(sources, exceptions=exceptions, seed=0)
    dense = DenseRows(sets, capacity=8)
    generator = np.random.default_rng(1)
    for size in (8, 3, 0, 8, 1, 5):
        rows = generator.integers(0, NUM_ROWS, size)
        np.testing.assert_array_equal(dense.take(rows), sets.take(rows).to_multi_hot())


def test_buffer_is_reused():
    dense = DenseRows(LabelSets.from_names([["a"], ["b"]]), capacity=2)
    assert np.shares_memory(dense.take([0, 1]), dense.take([1]))


def test_more_rows_than_fit_and_rows_out_of_range_are_refused():
    dense = DenseRows(LabelSets.from_names([["a"], ["b"]]), capacity=1)
    with pytest.raises(LabelError, match="2 rows do not fit the buffer of 1"):
        dense.take([0, 1])
    with pytest.raises(LabelError, match="row 2 is outside"):
        dense.take([2])
    assert dense.take([1]).tolist() == [[0, 1]]


def test_a_negative_capacity_is_refused():
    with pytest.raises(LabelError, match="the capacity is -1 rows"):
        DenseRows(LabelSets.from_names([["a"]]), capacity=-1)
