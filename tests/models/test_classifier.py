from dataclasses import replace

import pytest
import torch

from manyhot.errors import ModelError
from manyhot.models.build import build_model
from manyhot.models.classifier import freeze_encoder
from manyhot.models.heads import LinearHead
from manyhot.models.initialisation import initialise_head
from manyhot.models.spec import ModelSpec


def images(num_samples: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (num_samples, 3, 32, 32), dtype=torch.uint8, generator=generator)


def test_uint8_and_float_pictures_give_the_same_logits(spec: ModelSpec) -> None:
    model = build_model(spec).eval()
    torch.testing.assert_close(model(images()), model(images().float() / 255))


def test_pictures_are_normalised_as_the_spec_says(spec: ModelSpec) -> None:
    model = build_model(spec).eval()
    mean = torch.tensor(spec.preprocessing.mean, dtype=torch.float64).view(1, 3, 1, 1)
    std = torch.tensor(spec.preprocessing.std, dtype=torch.float64).view(1, 3, 1, 1)
    normalised = ((images().double() / 255 - mean) / std).float()
    torch.testing.assert_close(model(images()), model.head(model.encoder(normalised)))


def test_mean_and_std_are_part_of_the_spec_and_not_of_the_weights(spec: ModelSpec) -> None:
    assert {key.partition(".")[0] for key in build_model(spec).state_dict()} == {"encoder", "head"}


def test_logits_are_float32_under_bf16_autocast(spec: ModelSpec) -> None:
    model = build_model(spec).eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(images())
    assert logits.dtype == torch.float32
    # More than bf16's 8 bits of mantissa: the head itself did not run in bf16.
    assert not torch.equal(logits, logits.bfloat16().float())


@pytest.mark.parametrize(("num_samples", "num_labels"), [(1, 1), (2, 41)])
def test_a_row_a_sample_and_a_column_a_label(spec: ModelSpec, num_samples: int, num_labels: int) -> None:
    model = build_model(replace(spec, num_labels=num_labels)).eval()
    assert model(images(num_samples)).shape == (num_samples, num_labels)


def test_one_seed_gives_one_model(spec: ModelSpec) -> None:
    torch.manual_seed(3)
    first = build_model(spec).state_dict()
    torch.manual_seed(3)
    second = build_model(spec).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_frozen_encoder_keeps_weights_and_batch_statistics_while_the_head_learns(spec: ModelSpec) -> None:
    model = build_model(spec)
    freeze_encoder(model)
    model.train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    optimiser = torch.optim.SGD([parameter for parameter in model.parameters() if parameter.requires_grad], lr=0.1)
    model(images()).sum().backward()
    optimiser.step()
    changed = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {"head.weight", "head.bias"}
    assert model.head.training
    assert not model.encoder.training


def test_freezing_keeps_evaluation_mode(spec: ModelSpec) -> None:
    model = build_model(spec).eval()
    freeze_encoder(model)
    assert not model.training


def test_a_new_head_starts_at_the_prevalence_of_each_label(spec: ModelSpec) -> None:
    torch.manual_seed(0)
    model = build_model(spec).eval()
    prevalence = torch.tensor([0.01, 0.1, 0.5, 0.9, 0.3])
    initialise_head(model.head, torch.logit(prevalence))
    with torch.no_grad():
        probs = torch.sigmoid(model(images()))
    # The random weights still add their share: within a factor of two of the odds.
    assert torch.allclose(torch.logit(probs), torch.logit(prevalence).expand(3, -1), atol=0.7)
    torch.testing.assert_close(model.head.bias.data, torch.logit(prevalence))


def test_head_weights_have_the_spread_of_kaiming() -> None:
    torch.manual_seed(0)
    head = LinearHead(400, 300)
    initialise_head(head, torch.zeros(300))
    weight = head.weight.detach()
    assert float(weight.abs().max()) <= 400**-0.5
    assert float(weight.std()) == pytest.approx((3 * 400) ** -0.5, rel=0.02)  # 120,000 draws


def test_starting_logits_must_be_finite_and_one_a_label() -> None:
    head = LinearHead(2, 3)
    with pytest.raises(ModelError, match="3 labels, but starts at 2"):
        initialise_head(head, torch.zeros(2))
    with pytest.raises(ModelError, match="label 1 is not finite"):
        initialise_head(head, torch.tensor([0.0, float("inf"), 0.0]))
