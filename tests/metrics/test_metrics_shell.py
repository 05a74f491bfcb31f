"""Our figures as a torchmetrics Metric: what its users do with metrics, on one process."""

import copy
import pickle

import pytest
import torch
from torchmetrics import MetricCollection

from manyhot.errors import ScoreError, UsageError
from manyhot.metrics import evaluate
from manyhot.metrics.metric import EvaluationMetric
from manyhot.targets import SparseTargets


@pytest.fixture
def batches():
    """Logits, targets and ids of three batches of unequal size, and the value of `map_macro` over all."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(20, 4, generator=generator)
    targets = (torch.rand(20, 4, generator=generator) < 0.4).float()
    expected = evaluate(logits, SparseTargets.from_dense(targets), kind="logits").value("map_macro")
    parts = [(logits[rows], SparseTargets.from_dense(targets[rows]), rows) for rows in torch.arange(20).split(9)]
    return parts, expected


def updated(batches, metric):
    for logits, targets, ids in batches:
        metric.update(logits, targets, sample_ids=ids)
    return metric


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda metric: pickle.loads(pickle.dumps(metric))])
def test_a_copy_keeps_its_batches_and_leaves_those_of_the_first_alone(batches, duplicate):
    parts, expected = batches
    metric = updated(parts, EvaluationMetric(kind="logits"))
    twin = duplicate(metric)
    assert twin.compute() == {"map_macro": pytest.approx(expected, abs=0)}
    twin.reset()
    updated(parts[:1], twin)
    assert metric.compute() == {"map_macro": pytest.approx(expected, abs=0)}
    assert twin.evaluation().num_samples == 9


def test_an_epoch_after_a_reset_forgets_the_one_before(batches):
    parts, expected = batches
    metric = updated(parts, EvaluationMetric(kind="logits"))
    metric.compute()
    metric.reset()
    assert updated(parts, metric).compute() == {"map_macro": pytest.approx(expected, abs=0)}


def test_a_batch_after_a_figure_changes_the_figure(batches):
    parts, expected = batches
    metric = updated(parts[:2], EvaluationMetric(kind="logits"))
    assert metric.compute()["map_macro"] != expected
    assert updated(parts[2:], metric).compute() == {"map_macro": pytest.approx(expected, abs=0)}


def test_collections_of_torchmetrics_take_it(batches):
    parts, expected = batches
    collection = MetricCollection({"exact": EvaluationMetric(kind="logits")})
    for logits, targets, ids in parts:
        collection.update(logits, targets, sample_ids=ids)
    assert collection.compute() == {"map_macro": pytest.approx(expected, abs=0)}


def test_what_is_undefined_is_nan_and_what_is_unknown_is_refused(batches):
    empty = SparseTargets.from_lists([[], []], 4)
    metric = EvaluationMetric(kind="logits", figures=("map_macro", "map_marco"))
    metric.update(torch.zeros(2, 4), empty)
    with pytest.raises(ScoreError, match="did you mean 'map_macro'"):
        metric.compute()
    metric = EvaluationMetric(kind="logits")
    metric.update(torch.zeros(2, 4), empty)
    assert metric.compute()["map_macro"].isnan()
    with pytest.raises(UsageError, match="name at least one"):
        EvaluationMetric(kind="logits", figures=())
