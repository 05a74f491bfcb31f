"""Memory of batches comes back only when nobody can see it."""

import gc

import numpy as np
import pytest
import torch

from manyhot.data.buffers import BatchBuffers

SHAPE = (4, 3, 5, 7)
needs_no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="pinned memory is lent by torch")


@needs_no_gpu
@pytest.mark.parametrize("view", ["slice", "array", "permuted", "reshaped", "detached"])
def test_any_view_keeps_a_batch_from_being_overwritten(view: str) -> None:
    buffers = BatchBuffers(max_kept=3)
    batch = buffers.take(SHAPE)
    place = batch.data_ptr()
    views = {
        "slice": lambda: batch[1:2],
        "array": lambda: batch.numpy()[0],
        "permuted": lambda: batch.permute(0, 2, 3, 1),
        "reshaped": lambda: batch.view(-1),
        "detached": batch.detach,
    }
    kept = views[view]()
    del batch, views
    gc.collect()
    assert buffers.take(SHAPE).data_ptr() != place
    del kept
    gc.collect()
    assert any(other.data_ptr() == place for other in [buffers.take(SHAPE), buffers.take(SHAPE)])


@needs_no_gpu
def test_no_more_is_kept_than_agreed() -> None:
    buffers = BatchBuffers(max_kept=2)
    batches = [buffers.take(SHAPE) for _ in range(5)]
    batches.clear()
    assert len(buffers._free) == 2


@needs_no_gpu
def test_memory_that_is_too_small_is_not_used() -> None:
    buffers = BatchBuffers(max_kept=2)
    small = buffers.take((1, 3, 2, 2))
    del small
    assert buffers.take(SHAPE).shape == SHAPE


def test_empty_batches_have_a_shape() -> None:
    assert BatchBuffers(max_kept=1).take((0, 3, 5, 7)).shape == (0, 3, 5, 7)


def test_batches_may_be_written_to() -> None:
    batch = BatchBuffers(max_kept=1).take(SHAPE)
    batch[2].numpy()[...] = np.arange(105, dtype=np.uint8).reshape(3, 5, 7)
    assert batch[2].sum() == 105 * 104 // 2
