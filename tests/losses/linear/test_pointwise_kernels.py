"""The compiled pass over a chunk does what torch makes of the curves by differentiation, and products agree."""

from dataclasses import replace

import pytest
import torch

from manyhot.errors import UsageError
from manyhot.losses import BCEWithLogitsLoss
from manyhot.losses.linear import linear_bce_with_logits, products
from manyhot.losses.linear.chunks import BatchCells
from manyhot.losses.linear.curves import Asymmetric, Binary, CellRule, Curve, Focal
from manyhot.losses.linear.pointwise import differentiate, logits_to_gradient
from manyhot.losses.linear.products import ONEDNN, TORCH, choose_products, has_onednn
from manyhot.targets import SparseTargets

CURVES: tuple[Curve, ...] = (
    Binary(),
    Focal(),
    Focal(0.5, 0.9),
    Focal(9.5, None),
    Asymmetric(),
    Asymmetric(3.5, 0.25, 0.1),
    Asymmetric(0.0, 0.0, 0.5),
    Asymmetric(12.0, 3.0, 0.0),
)


@pytest.mark.parametrize("curve", CURVES, ids=str)
@pytest.mark.parametrize("spread", [0.01, 3.0, 30.0])
def test_the_compiled_pass_is_the_derivative_of_the_curve(curve, spread, make_batch):
    batch = make_batch(64, 999, "sources")
    logits = spread * torch.randn(64, 999, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rule = CellRule(curve=curve, label_weight=torch.linspace(0, 2, 999), scale=torch.tensor(0.5))
    cells, bias = BatchCells(batch.targets).of_chunk(0), batch.bias.float()
    mine, right = logits.float(), logits.float().double()
    total = logits_to_gradient(mine, cells, rule, bias)
    expected = differentiate(right, cells, replace(rule, scale=rule.scale.double()), bias.double())
    torch.testing.assert_close(total, expected, rtol=2e-6, atol=1e-30)
    # A few roundings of numbers as large as the largest slope.
    torch.testing.assert_close(mine.double(), right, rtol=2e-6, atol=2e-6 * float(right.abs().max()))


@pytest.mark.parametrize("curve", CURVES, ids=str)
def test_unknown_cells_have_no_gradient_at_all(curve, make_batch):
    batch = make_batch(17, 41, "unknown cells")
    logits = torch.full((17, 41), 5.0)
    rule = CellRule(curve=curve, label_weight=None, scale=torch.tensor(1.0))
    cells = BatchCells(batch.targets).of_chunk(0)
    logits_to_gradient(logits, cells, rule)
    known = batch.targets.known_mask()
    assert (logits[~known] == 0).all()
    assert (logits[known] != 0).all()


@pytest.mark.skipif(not has_onednn(), reason="this torch has no oneDNN")
def test_onednn_multiplies_as_exactly_as_torch():
    generator = torch.Generator().manual_seed(0)
    features, weights, gradient = (torch.randn(*s, generator=generator) for s in ((33, 65), (129, 65), (33, 129)))
    found = ONEDNN.project(features, weights)
    torch.testing.assert_close(found, features @ weights.T)
    totals = torch.ones(33, 65), torch.ones(33, 65)
    for library, total in zip((ONEDNN, TORCH), totals, strict=True):
        library.spread(total, gradient, weights)
    torch.testing.assert_close(*totals)


def test_products_can_be_named(without_shape_checks):
    features = torch.ones(2, 3)
    assert choose_products("torch", features, 4) is TORCH
    if has_onednn():
        assert choose_products("onednn", features, 4) is ONEDNN
    with pytest.raises(UsageError, match="did you mean 'onednn'"):
        choose_products("onedn", features, 4)  # pyright: ignore[reportArgumentType] - on purpose
    with pytest.raises(UsageError, match="no product for"):
        choose_products("onednn", features.double(), 4)


@pytest.mark.skipif(not has_onednn(), reason="this torch has no oneDNN")
@pytest.mark.parametrize(("speed", "expected"), [(1.15, TORCH), (2.1, ONEDNN)])
def test_a_few_percent_do_not_decide_who_multiplies(speed, expected, monkeypatch):
    # Else the next process, in which noise tips the scale, would go on with other last digits.
    monkeypatch.setattr(products, "_speed_of_second", lambda *ways: speed)
    assert products.probe_products.__wrapped__(64, 128, 32, 1) == expected


def test_probed_products_keep_gradients_exact(make_batch):
    # Large enough that the probe decides; the truth is the same head on float64.
    batch = make_batch(128, 1_500, num_features=512)
    errors = []
    for fuse in (linear_bce_with_logits, dense_bce):
        leaves = [leaf.float().requires_grad_() for leaf in (batch.input, batch.weight)]
        exact = [leaf.double().detach().requires_grad_() for leaf in leaves]
        found = torch.autograd.grad(fuse(*leaves, batch.targets), leaves)
        truth = torch.autograd.grad(dense_bce(*exact, batch.targets), exact)
        errors.append([(mine - right).norm() / right.norm() for mine, right in zip(found, truth, strict=True)])
    for mine, theirs in zip(*errors, strict=True):
        assert mine <= 2 * theirs
        assert mine <= 1e-6


def dense_bce(features: torch.Tensor, weight: torch.Tensor, targets: SparseTargets) -> torch.Tensor:
    return BCEWithLogitsLoss()(features @ weight.T, targets)
