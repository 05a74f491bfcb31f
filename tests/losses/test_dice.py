"""Dice loss: its definition over pooled pixels, and what every loss promises, for masks."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from manyhot.errors import TargetError, UsageError
from manyhot.losses import DiceLoss, dice_loss

NAN = float("nan")


def batch() -> tuple[Tensor, Tensor, Tensor]:
    """Return logits, masks and known pixels of two pictures, one label of which nobody looked at."""
    generator = torch.Generator().manual_seed(20)
    logits = torch.randn(2, 3, 4, 5, generator=generator, dtype=torch.float64)
    masks = torch.rand(2, 3, 4, 5, generator=generator) < 0.4
    known = torch.rand(2, 3, 4, 5, generator=generator) < 0.7
    known[:, 2] = False
    return logits, masks, known


def test_pixels_of_the_batch_are_pooled():
    logits, masks, known = batch()
    losses = []
    for label in range(2):
        both = probs = true = 0.0
        for place in np.ndindex(2, 4, 5):
            index = (place[0], label, *place[1:])
            if known[index]:
                p, y = 1 / (1 + math.exp(-float(logits[index]))), float(masks[index])
                both, probs, true = both + p * y, probs + p, true + y
        losses.append(1 - (2 * both + 1) / (probs + true + 1))
    value = DiceLoss()(logits, masks, known)
    assert value.item() == pytest.approx(math.fsum(losses) / 2, rel=1e-12)
    torch.testing.assert_close(dice_loss(logits, masks, known, reduction="none")[:2], torch.tensor(losses).double())
    assert dice_loss(logits, masks, known, reduction="sum").item() == pytest.approx(math.fsum(losses), rel=1e-12)


def test_a_pixel_that_is_nan_is_unknown():
    logits, masks, known = batch()
    dense = masks.double().masked_fill(~known, NAN)
    assert torch.equal(dice_loss(logits, dense), dice_loss(logits, masks, known))
    fewer = known.clone()
    fewer[0, 0, 0] = False
    assert torch.equal(dice_loss(logits, dense, fewer), dice_loss(logits, masks, fewer))


def test_unknown_pixels_change_nothing():
    logits, masks, known = batch()
    changed = torch.where(known, logits, 1e4)
    assert torch.equal(dice_loss(changed, masks, known), dice_loss(logits, masks, known))
    changed.requires_grad_()
    dice_loss(changed, masks, known).backward()
    assert changed.grad is not None
    assert (changed.grad[~known] == 0).all()


def test_the_gradient_is_that_of_the_value():
    logits, masks, known = batch()
    assert torch.autograd.gradcheck(lambda z: dice_loss(z, masks, known), logits.requires_grad_())


def test_the_order_of_pictures_and_pixels_does_not_matter():
    logits, masks, known = batch()
    expected = dice_loss(logits, masks, known)
    torch.testing.assert_close(dice_loss(logits.flip(0, 2), masks.flip(0, 2), known.flip(0, 2)), expected)


@pytest.mark.parametrize("shape", [(0, 3, 2, 2), (1, 1, 1, 1), (2, 1), (2, 3, 0, 4)])
@pytest.mark.parametrize("size", [0.0, 1e4, -1e4])
def test_any_batch_has_a_finite_loss_and_gradient(shape: tuple[int, ...], size: float):
    logits = torch.full(shape, size, requires_grad=True)
    value = dice_loss(logits, torch.zeros(shape, dtype=torch.bool))
    value.backward()
    assert value.isfinite()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_are_computed_in_float32(dtype: torch.dtype):
    logits, masks, known = batch()
    value = dice_loss(logits.to(dtype), masks, known)
    assert value.dtype == torch.float32
    assert torch.equal(value, dice_loss(logits.to(dtype).float(), masks, known))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
def test_masks_of_whole_numbers_are_refused(dtype: torch.dtype, without_shape_checks: None):
    with pytest.raises(TargetError, match=r"masks > 0"):
        dice_loss(torch.zeros(1, 1, 2), torch.tensor([[[0, 255]]]).to(dtype))


@pytest.mark.usefixtures("without_shape_checks")
def test_masks_of_another_size_are_refused():
    with pytest.raises(TargetError, match=r"\(1, 1, 2\), targets \(1, 1, 3\)"):
        dice_loss(torch.zeros(1, 1, 2), torch.zeros(1, 1, 3))


@pytest.mark.parametrize(
    ("settings", "message"), [({"reduction": "maen"}, "did you mean 'mean'"), ({"smooth": 0.0}, "smooth is 0.0")]
)
def test_settings_that_make_no_sense_are_refused_in_both_forms(settings: dict, message: str):
    with pytest.raises(UsageError, match=message):
        DiceLoss(**settings)
    with pytest.raises(UsageError, match=message):
        dice_loss(torch.zeros(1, 1), torch.zeros(1, 1), **settings)


@pytest.mark.slow
@pytest.mark.usefixtures("without_shape_checks")
def test_the_loss_compiles_without_a_graph_break():
    logits, masks, known = batch()
    compiled = torch.compile(DiceLoss(), fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(logits, masks, known), dice_loss(logits, masks, known))
