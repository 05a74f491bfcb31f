"""Each usual mistake, made for real in a small training, is found by its name; a sound training has none."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from manyhot.errors import TargetError
from manyhot.labels import LabelCounts
from manyhot.losses import BCEWithLogitsLoss, starting_logits
from manyhot.losses.diagnosis import diagnose_history, diagnose_logits, final_activation
from manyhot.targets import SparseTargets

PREVALENCE = torch.tensor([0.3, 0.1, 0.05, 0.02])


def data() -> tuple[Tensor, Tensor]:
    """Features and the labels that they show, dense."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(600, 6, generator=generator)
    scores = features @ torch.randn(6, 4, generator=generator)
    return features, (scores > scores.quantile(1 - PREVALENCE, dim=0).diagonal()).float()


def trained(
    end: nn.Module | None = None, *, bias: bool = True, epochs: int = 6, lr: float = 0.03
) -> tuple[Tensor, list[float]]:
    """Return the outputs of a model that ends in `end` on its data, and its mean loss of each epoch."""
    torch.manual_seed(0)
    features, dense = data()
    head = nn.Linear(6, 4)
    counts = LabelCounts(
        positives=dense.sum(dim=0).long().numpy(), known=dense.shape[0] * (dense[0] >= 0).long().numpy()
    )
    with torch.no_grad():
        head.bias.copy_(starting_logits(BCEWithLogitsLoss(), counts) if bias else torch.zeros(4))
    model = nn.Sequential(head, end or nn.Identity())
    optimiser, losses = torch.optim.AdamW(model.parameters(), lr=lr), []
    for _ in range(epochs):
        of_epoch = []
        for rows in torch.randperm(600).split(60):
            optimiser.zero_grad()
            loss = BCEWithLogitsLoss()(model(features[rows]), dense[rows])
            loss.backward()
            optimiser.step()
            of_epoch.append(float(loss.detach()))
        losses.append(sum(of_epoch) / len(of_epoch))
    return model(features).detach(), losses


def names(findings: object) -> list[str]:
    return [finding.name for finding in findings]  # type: ignore[attr-defined] - findings of either function


def prevalence_loss() -> float:
    dense = data()[1]
    share = dense.mean(dim=0)
    return float(nn.functional.binary_cross_entropy(share.expand_as(dense), dense))


def test_a_sound_training_has_no_finding():
    logits, losses = trained()
    targets = SparseTargets.from_dense(data()[1])
    assert diagnose_logits(logits, targets, logits > 0) == ()
    assert diagnose_logits(logits) == ()
    assert (
        diagnose_history(losses, [0.4, 0.5, 0.6, 0.7, 0.7, 0.7], prevalence_loss=prevalence_loss(), val_loss=losses[-1])
        == ()
    )


@pytest.mark.parametrize(
    ("end", "name", "word"),
    [
        (nn.Sigmoid(), "sigmoid-twice", "take the sigmoid out"),
        (nn.Softmax(dim=1), "softmax-for-multi-label", "take the softmax out"),
        (nn.LogSoftmax(dim=1), "softmax-for-multi-label", "take the softmax out"),
        (nn.ReLU(), "no-negative-logits", "can call nothing unlikely"),
    ],
    ids=["sigmoid", "softmax", "log-softmax", "relu"],
)
def test_a_model_that_ends_in_an_activation_is_found_by_its_outputs(end: nn.Module, name: str, word: str):
    # Under a ReLU a bias below 0 would leave zeros alone: a collapse of its own name.
    is_relu = isinstance(end, nn.ReLU)
    outputs, _ = trained(end, bias=not is_relu, epochs=2, lr=1e-3 if is_relu else 0.03)
    outputs = 3 * outputs if is_relu else outputs
    for targets in (None, SparseTargets.from_dense(data()[1])):
        found = diagnose_logits(outputs, targets)
        assert names(found) == [name]
        assert word in found[0].message
        assert found[0].severity == "error"


def test_logits_between_0_and_1_are_sound_where_most_cells_are_positive():
    logits = 0.2 + 0.6 * torch.rand(100, 4, generator=torch.Generator().manual_seed(0))
    dense = (torch.rand(100, 4, generator=torch.Generator().manual_seed(1)) < torch.sigmoid(logits)).float()
    assert diagnose_logits(logits, SparseTargets.from_dense(dense)) == ()


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (torch.sigmoid, "a sigmoid"),
        (lambda z: torch.softmax(z, dim=1).float().view(3, 4), "a softmax"),
        (lambda z: torch.log_softmax(z, dim=1).double(), "the logarithm of a softmax"),
        (torch.relu, "a ReLU"),
        (torch.tanh, "a tanh"),
        (lambda z: z, None),
        (lambda z: torch.sigmoid(z) @ torch.ones(4, 4), None),
    ],
)
def test_the_end_of_a_model_is_read_from_its_gradient(end: Callable[[Tensor], Tensor], expected: str | None):
    assert final_activation(end(nn.Linear(2, 4)(torch.ones(3, 2)))) == expected


def test_outputs_without_a_gradient_say_nothing_of_their_end():
    assert final_activation(torch.sigmoid(torch.ones(2, 2))) is None


def test_a_head_that_sees_nothing_is_a_collapse():
    # Features that a dead ReLU stopped: all that is left is the bias.
    torch.manual_seed(0)
    features, dense = data()
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4))
    with torch.no_grad():
        model[0].bias.fill_(-100.0)
    found = diagnose_logits(model(features), SparseTargets.from_dense(dense))
    assert names(found) == ["constant-logits"]
    assert "looks at nothing" in found[0].message


def test_predictions_without_a_single_positive_are_a_collapse_to_all_negative():
    logits, _ = trained(epochs=1, lr=1e-4)
    targets = SparseTargets.from_dense(data()[1])
    found = diagnose_logits(logits, targets, torch.zeros_like(logits, dtype=torch.bool))
    assert "all-negative" in names(found)
    none = SparseTargets.from_lists([[]] * 600, num_labels=4)
    assert names(diagnose_logits(logits, none, torch.zeros_like(logits, dtype=torch.bool))) == []


def test_logits_that_are_no_numbers_are_counted_by_sample():
    logits = torch.zeros(20, 3)
    logits[3] = torch.nan
    logits[7, 1] = torch.inf
    (found,) = diagnose_logits(logits)
    assert (found.name, found.count) == ("logits-not-finite", 2)


@pytest.mark.parametrize("shape", [(0, 4), (1, 200), (9, 50), (20, 4)])
def test_few_cells_say_nothing(shape: tuple[int, int]):
    assert diagnose_logits(torch.full(shape, 0.5)) == ()


def test_targets_of_another_shape_are_refused():
    with pytest.raises(TargetError, match="4 samples"):
        diagnose_logits(torch.zeros(3, 2), SparseTargets.from_lists([[]] * 4, num_labels=2))


def test_a_bias_that_starts_at_zero_is_found_in_the_first_epoch():
    _, losses = trained(bias=False, lr=1e-3)
    (found,) = diagnose_history(losses, prevalence_loss=prevalence_loss())
    assert found.name == "missing-prevalence-bias"
    assert f"{losses[0]:.3g}" in found.message
    assert "in no epoch" in found.message


def test_a_loss_that_stands_still_is_found():
    _, losses = trained(lr=1e-9)
    assert names(diagnose_history(losses, prevalence_loss=prevalence_loss())) == ["loss-not-falling"]


def test_a_training_that_diverges_is_named_by_its_epoch():
    assert names(diagnose_history([0.3, 0.2, float("inf"), float("nan")])) == ["loss-not-finite"]
    assert "epoch 3" in diagnose_history([0.3, 0.2, float("inf"), float("nan")])[0].message


def test_a_validation_figure_that_stays_is_found_and_undefined_ones_are_not():
    assert names(diagnose_history([0.3, 0.2, 0.1], [0.1000, 0.1004, 0.1001])) == ["val-not-moving"]
    assert diagnose_history([0.3, 0.2, 0.1], [float("nan")] * 3) == ()


def test_learning_by_heart_is_found_in_the_gap_of_losses_or_in_a_falling_figure():
    torch.manual_seed(0)
    features, dense = data()
    model = nn.Sequential(nn.Linear(6, 512), nn.ReLU(), nn.Linear(512, 4))
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.02)
    noise = dense[torch.randperm(600)][:60]
    for _ in range(60):
        optimiser.zero_grad()
        loss = BCEWithLogitsLoss()(model(features[:60]), noise)
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        val_loss = float(BCEWithLogitsLoss()(model(features[60:]), dense[60:]))
    (gap,) = diagnose_history([0.4, float(loss.detach())], val_loss=val_loss)
    assert gap.name == "train-val-gap"
    (fallen,) = diagnose_history([0.4, 0.3, 0.1], [0.4, 0.6, 0.3])
    assert "fell from 0.600 in epoch 2 to 0.300" in fallen.message
