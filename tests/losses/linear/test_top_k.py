"""The best labels from a stream of chunks are those of all logits, ties to the lower id."""

import pytest
import torch

from manyhot.errors import ScoreError, UsageError
from manyhot.losses.linear import LinearOptions, top_k

every_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


@every_dtype
@pytest.mark.parametrize("chunk_size", [1, 7, 41, None])
@pytest.mark.parametrize("k", [1, 5, 60])
@pytest.mark.parametrize("levels", [2, 1_000])
def test_best_labels_are_those_of_a_stable_sort(dtype, chunk_size, k, levels):
    generator = torch.Generator().manual_seed(0)
    # Whole numbers: sums are exact in every order, and with two levels nearly all logits tie.
    features = torch.randint(-levels, levels, (17, 3), generator=generator).to(dtype)
    weight = torch.randint(-1, 2, (41, 3), generator=generator).to(dtype)
    bias = torch.randint(-1, 2, (41,), generator=generator).to(dtype)
    scores, ids = (features @ weight.T + bias).sort(dim=1, descending=True, stable=True)
    best = top_k(features, weight, k, bias=bias, options=LinearOptions(chunk_size=chunk_size))
    assert torch.equal(best.scores, scores[:, :k])
    assert torch.equal(best.label_ids, ids[:, :k])


@every_dtype
def test_minus_infinity_is_a_score(dtype):
    weight = torch.tensor([[-torch.inf], [1.0], [-torch.inf]], dtype=dtype)
    best = top_k(torch.ones(1, 1, dtype=dtype), weight, 3, options=LinearOptions(chunk_size=1))
    assert best.label_ids.tolist() == [[1, 0, 2]]


@every_dtype
def test_a_logit_that_is_nan_names_its_sample(dtype):
    features = torch.ones(3, 2, dtype=dtype)
    features[1] = torch.nan
    with pytest.raises(ScoreError, match="sample 1 has a logit that is NaN"):
        top_k(features, torch.ones(4, 2, dtype=dtype), 2)


def test_no_labels_and_no_samples_have_no_best():
    assert top_k(torch.ones(2, 3), torch.ones(0, 3), 5).label_ids.shape == (2, 0)
    assert top_k(torch.ones(0, 3), torch.ones(4, 3), 2).label_ids.shape == (0, 2)


def test_k_below_one_is_refused():
    with pytest.raises(UsageError, match="k is 0"):
        top_k(torch.ones(2, 3), torch.ones(4, 3), 0)


@pytest.mark.parametrize("size", [0, 2, 7])
def test_a_bias_of_other_labels_is_refused(size, without_shape_checks):
    with pytest.raises(UsageError, match=rf"bias has shape \({size},\) for 6 labels"):
        top_k(torch.ones(3, 4), torch.ones(6, 4), 2, bias=torch.zeros(size))


def test_autocast_changes_no_score():
    generator = torch.Generator().manual_seed(0)
    features, weight = torch.randn(5, 33, generator=generator), torch.randn(50, 33, generator=generator)
    expected = top_k(features, weight, 9)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = top_k(features, weight, 9)
    assert torch.equal(found.scores, expected.scores)
    assert torch.equal(found.label_ids, expected.label_ids)
