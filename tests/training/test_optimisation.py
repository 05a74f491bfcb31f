import math
from itertools import pairwise
from typing import Any

import pytest
import timm
import torch
from torch import nn

from manyhot.errors import TrainingError
from manyhot.training.optimisation import OptimisationSettings, lr_factor, make_optimiser, parameter_groups


def test_the_rate_rises_to_its_peak_in_a_line_and_falls_to_zero_in_half_a_cosine() -> None:
    factors = [lr_factor(step, warmup_steps=10, total_steps=110) for step in range(111)]
    assert factors[:10] == [pytest.approx((step + 1) / 10) for step in range(10)]
    assert factors[10] == 1.0
    assert factors[60] == pytest.approx(0.5)
    assert factors[110] == pytest.approx(0.0, abs=1e-12)
    assert all(earlier > later for earlier, later in pairwise(factors[10:]))


@pytest.mark.parametrize(("warmup", "total"), [(0, 1), (1, 1), (5, 5), (0, 3), (1, 2)])
def test_short_trainings_have_rates_too(warmup: int, total: int) -> None:
    factors = [lr_factor(step, warmup_steps=warmup, total_steps=total) for step in range(total)]
    assert all(0 < factor <= 1 for factor in factors)
    assert 0 <= lr_factor(total, warmup_steps=warmup, total_steps=total) <= 1


def test_only_weights_decay() -> None:
    encoder = timm.create_model("test_vit", num_classes=2)
    groups = parameter_groups(encoder, weight_decay=0.1)
    names = {id(parameter): name for name, parameter in encoder.named_parameters()}
    decaying = {names[id(parameter)] for parameter in groups[0]["params"]}
    spared = {names[id(parameter)] for parameter in groups[1]["params"]}
    assert decaying | spared == set(names.values())
    assert all(name.endswith("weight") and "norm" not in name for name in decaying)
    assert {"pos_embed", "cls_token"} <= spared


def test_names_that_an_inner_encoder_spares_are_spared_in_the_whole() -> None:
    model = nn.ModuleDict({"encoder": timm.create_model("test_vit", num_classes=0), "head": nn.Linear(64, 2)})
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    decaying, spared = parameter_groups(model, weight_decay=0.1)
    assert "encoder.pos_embed" in {names[id(parameter)] for parameter in spared["params"]}
    assert "head.weight" in {names[id(parameter)] for parameter in decaying["params"]}


def test_frozen_weights_are_in_no_group() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    model[0].requires_grad_(False)
    assert sum(len(group["params"]) for group in parameter_groups(model, weight_decay=0.1)) == 2


def test_a_model_in_which_nothing_learns_is_refused() -> None:
    with pytest.raises(TrainingError, match="no weight of the model learns"):
        make_optimiser(nn.Linear(2, 2).requires_grad_(False), OptimisationSettings(lr=0.1, total_steps=3))


def test_a_step_is_adamw_by_the_book() -> None:
    """One step from zero moments moves each weight by lr × sign(gradient), after decay by lr × decay × weight."""
    model = nn.Linear(3, 1, bias=True).double()
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    optimiser, _ = make_optimiser(model, OptimisationSettings(lr=0.1, total_steps=4, warmup_steps=2, weight_decay=0.5))
    model(torch.tensor([[1.0, -2.0, 3.0]], dtype=torch.float64)).sum().backward()
    optimiser.step()
    lr = 0.1 * 0.5  # the first of two steps of warm-up
    expected = before["weight"] * (1 - lr * 0.5) - lr * torch.tensor([[1.0, -1.0, 1.0]], dtype=torch.float64)
    torch.testing.assert_close(model.weight.detach(), expected, rtol=0, atol=1e-8)  # AdamW's epsilon is 1e-8
    torch.testing.assert_close(model.bias.detach(), before["bias"] - lr, rtol=0, atol=1e-8)


@pytest.mark.parametrize(
    "changes",
    [{"lr": 0.0}, {"lr": math.nan}, {"lr": math.inf}, {"total_steps": 0}, {"warmup_steps": 9}, {"weight_decay": -1.0}],
)
def test_settings_without_sense_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(TrainingError):
        OptimisationSettings(**({"lr": 0.1, "total_steps": 8} | changes))
