"""A batch's labels: the same three states as the label sets they come from."""

import numpy as np
import pytest
import torch

from manyhot.errors import LabelError, TargetError
from manyhot.labels import Csr, LabelSets, LabelSource, LabelSpace
from manyhot.targets import SparseTargets

ABC = LabelSpace(names=("a", "b", "c"))
NAN = float("nan")

EVERY_KIND = {
    "complete": LabelSets.from_lists([[0, 2], [], [1]], ABC),
    "no-positives": LabelSets.from_lists([[], []], ABC),
    "no-samples": LabelSets.from_lists([], ABC),
    "unknown-exceptions": LabelSets.from_lists([[0, 2], [], [1]], ABC, exceptions=[[1], [0], []]),
    "verified-negatives": LabelSets.from_lists([[0], []], ABC, exceptions=[[1], [2]], unlisted="unknown"),
    "nothing-known": LabelSets.from_lists([[], []], ABC, unlisted="unknown"),
    "partly-annotated": LabelSets(
        space=ABC, positives=Csr.from_lists([[0, 2], []]), sources=(LabelSource(annotated=(1, 2)),)
    ),
    "three-sources": LabelSets(
        space=ABC,
        positives=Csr.from_lists([[0], [0], [2], []]),
        exceptions=Csr.from_lists([[1], [1], [1], [1]]),
        sources=(LabelSource(), LabelSource(unlisted="unknown"), LabelSource(annotated=(0, 1))),
        source_ids=np.array([0, 1, 2, 2], dtype=np.uint16),
    ),
    "one-label": LabelSets.from_lists([[0], []], LabelSpace(names=("a",))),
}


@pytest.mark.parametrize("sets", EVERY_KIND.values(), ids=EVERY_KIND)
def test_targets_have_the_cells_of_their_label_sets(sets: LabelSets):
    targets = SparseTargets.from_label_sets(sets)
    np.testing.assert_array_equal(targets.to_multi_hot().numpy(), sets.to_multi_hot())
    assert targets.is_complete == sets.is_complete
    known = targets.known_mask()
    np.testing.assert_array_equal(True if known is None else known.numpy(), sets.known_mask())


@pytest.mark.parametrize("sets", EVERY_KIND.values(), ids=EVERY_KIND)
def test_dense_and_sparse_targets_agree(sets: LabelSets):
    dense = torch.from_numpy(sets.to_multi_hot())
    torch.testing.assert_close(SparseTargets.from_dense(dense).to_multi_hot(), dense, equal_nan=True)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.float64])
def test_dense_targets_may_be_of_any_dtype(dtype: torch.dtype):
    targets = SparseTargets.from_dense(torch.tensor([[1, 0], [0, 0]], dtype=dtype))
    assert targets.is_complete
    assert targets.to_multi_hot().tolist() == [[1, 0], [0, 0]]


def test_a_batch_is_a_label_set_of_some_rows():
    sets = EVERY_KIND["three-sources"]
    batch = SparseTargets.from_label_sets(sets.take([3, 1, 1]))
    np.testing.assert_array_equal(batch.to_multi_hot().numpy(), sets.to_multi_hot()[[3, 1, 1]])


def test_confidences_come_along():
    sets = LabelSets(space=ABC, positives=Csr.from_lists([[0, 1]]), confidence=np.array([0.25, 1.0]))
    values = SparseTargets.from_label_sets(sets).values
    assert values is not None
    assert (values.tolist(), values.dtype) == ([0.25, 1.0], torch.float32)


def test_targets_do_not_share_memory_with_read_only_labels():
    sets = LabelSets.from_lists([[0], [2]], ABC, exceptions=[[1], []])
    arrays = (sets.positives.indptr, sets.positives.ids)
    for array in arrays:
        array.setflags(write=False)
    targets = SparseTargets.from_label_sets(sets)
    targets.row_offsets.add_(1)
    targets.label_ids.add_(1)
    assert [array.tolist() for array in arrays] == [[0, 1, 2], [0, 2]]


def test_row_ids_skip_rows_without_positives():
    targets = SparseTargets.from_lists([[], [2, 0], [], [1], []], num_labels=3)
    assert targets.row_ids().tolist() == [1, 1, 3]
    assert targets.label_ids.tolist() == [0, 2, 1]


@pytest.mark.parametrize("sets", EVERY_KIND.values(), ids=EVERY_KIND)
def test_moving_keeps_everything_but_the_device(sets: LabelSets):
    moved = SparseTargets.from_label_sets(sets).to("meta")
    assert moved.device.type == "meta"
    # No value can be read on the meta device: building the mask never waits for one.
    known = moved.known_mask()
    assert moved.to_multi_hot().shape == (sets.num_samples, sets.num_labels)
    assert known is None or known.shape == (sets.num_samples, sets.num_labels)


@pytest.mark.parametrize("value", [-1.0, 2.0, 1.5])
def test_a_value_that_is_no_state_is_refused(value: float):
    with pytest.raises(TargetError, match=r"1 \(positive\), 0 \(negative\), NaN \(unknown\) and confidences"):
        SparseTargets.from_dense(torch.tensor([[value, 1.0]]))


def test_a_value_between_is_a_positive_of_that_confidence():
    targets = SparseTargets.from_dense(torch.tensor([[0.25, 0.0, 1.0], [float("nan"), 0.5, 0.0]]))
    assert targets.label_ids.tolist() == [0, 2, 1]
    assert targets.values is not None
    assert targets.values.tolist() == [0.25, 1.0, 0.5]
    assert SparseTargets.from_dense(torch.tensor([[1.0, 0.0]])).values is None


def test_multi_hot_rows_are_no_lists_of_ids():
    with pytest.raises(TargetError, match=r"multi-hot.*from_dense"):
        SparseTargets.from_lists([[0, 1, 0], [1, 0, 0]], num_labels=3)
    assert SparseTargets.from_lists([[0, 1], [1, 0]], num_labels=2).label_ids.tolist() == [0, 1, 0, 1]


def test_dense_targets_have_two_dimensions(without_shape_checks: None):
    with pytest.raises(TargetError, match=r"shape \(3,\); expected \(samples, labels\)"):
        SparseTargets.from_dense(torch.zeros(3))


def test_an_id_outside_the_labels_is_refused():
    with pytest.raises(LabelError, match="targets: row 0 has label id 2, but there are 2 labels"):
        SparseTargets.from_lists([[2]], num_labels=2)


@pytest.mark.parametrize("shape", [(2, 4), (3, 3), (6,)])
def test_logits_of_another_shape_are_refused_with_both_shapes(shape: tuple[int, ...], without_shape_checks: None):
    targets = SparseTargets.from_lists([[0], []], num_labels=3)
    with pytest.raises(TargetError, match=r"the targets describe 2 samples × 3 labels; is the head's width"):
        targets.check_matches(torch.zeros(shape))


def test_logits_on_another_device_are_refused_with_the_mend():
    targets = SparseTargets.from_lists([[0]], num_labels=2)
    with pytest.raises(TargetError, match=r"logits are on meta, targets on cpu; call targets.to\(logits.device\)"):
        targets.check_matches(torch.zeros(1, 2, device="meta"))


def test_ids_that_are_padded_as_torch_pads_them_are_refused():
    with pytest.raises(TargetError, match=r"row 1 holds -1, with which .* pads its ids; leave it out"):
        SparseTargets.from_lists([[0, 3], [2, -1]], num_labels=4)


@pytest.mark.parametrize("source_ids", [None, torch.tensor([0, 1, 1])])
@pytest.mark.parametrize("exception_known", [False, True])
@pytest.mark.parametrize("has_unlisted", [False, True])
def test_known_cells_are_counted_as_the_mask_counts_them(
    source_ids: torch.Tensor | None, exception_known: bool, has_unlisted: bool
):
    targets = SparseTargets(
        row_offsets=torch.tensor([0, 2, 2, 3]),
        label_ids=torch.tensor([0, 3, 4], dtype=torch.int32),
        num_labels=5,
        unlisted_known=torch.tensor([[True, False, True, False, True], [False] * 5]) if has_unlisted else None,
        source_ids=source_ids,
        exception_offsets=torch.tensor([0, 1, 3, 3]),
        exception_ids=torch.tensor([1, 0, 2], dtype=torch.int32),
        exception_known=torch.tensor([exception_known, True]),
    )
    known = targets.known_mask()
    assert known is not None
    assert targets.num_known() == known.sum()
