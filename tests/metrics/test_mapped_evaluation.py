"""A model of fine labels judged on coarse ones: the single-label tests of two papers, and labels without links."""

import json
import math

import numpy as np
import pytest

from manyhot.errors import LabelError, ScoreError
from manyhot.labels import LabelSets, LabelSpace
from manyhot.labels.mapping import LabelMapping
from manyhot.labels.unannotating import unannotate
from manyhot.metrics import evaluate
from manyhot.metrics.mapped import evaluate_mapped

COARSE = LabelSpace(names=("cat", "dog", "zebra"))
FINE = LabelSpace(names=("tabby", "siamese", "beagle", "tree"))
MAPPING = LabelMapping.from_names(COARSE, FINE, {"cat": ["tabby", "siamese"], "dog": "beagle"})


def space_of(count: int) -> LabelSpace:
    return LabelSpace(names=tuple(f"label {index}" for index in range(count)))


def softmax(row):
    exponentials = [math.exp(value - max(row)) for value in row]
    return [value / math.fsum(exponentials) for value in exponentials]


@pytest.mark.real_data
def test_mean_softmax_repeats_the_decision_among_sixteen_classes(shared_data):
    indices = json.loads((shared_data / "label_spaces/sixteen_classes_to_imagenet_index.json").read_text())
    shapes = json.loads((shared_data / "cue_conflict/labels.json").read_text())
    names = tuple(sorted(indices))
    truth = [entry["shape"] for entry in shapes.values()][:150]
    fine = space_of(1000)
    logits = np.random.default_rng(0).normal(size=(len(truth), 1000)).astype(np.float32)
    for row, name in enumerate(truth):
        logits[row, indices[name][row % len(indices[name])]] += 4.5

    right = 0
    for row, name in enumerate(truth):
        probs = softmax([float(value) for value in logits[row]])
        means = [math.fsum(probs[index] for index in indices[known]) / len(indices[known]) for known in names]
        right += names[means.index(max(means))] == name

    coarse = LabelSpace(names=names)
    mapping = LabelMapping.from_names(
        coarse, fine, {name: [f"label {index}" for index in found] for name, found in indices.items()}
    )
    sets = LabelSets.from_names([[name] for name in truth], coarse)
    figure = evaluate_mapped(logits, sets, mapping, how="mean-softmax").figures["argmax_accuracy"]
    assert 0.2 < right / len(truth) < 0.95
    assert (figure.value, figure.defined) == (pytest.approx(right / len(truth), abs=1e-15), len(truth))


@pytest.mark.real_data
def test_restrict_repeats_the_decision_among_two_hundred_of_a_thousand(shared_data):
    kept = json.loads((shared_data / "label_spaces/imagenet_to_imagenet_a.json").read_text())
    pairs = sorted(((int(small), int(large)) for large, small in kept.items() if int(small) >= 0))
    generator = np.random.default_rng(1)
    truth = generator.integers(0, len(pairs), size=90)
    logits = generator.normal(size=(90, 1000)).astype(np.float32)
    for row, label in enumerate(truth):
        logits[row, pairs[label][1]] += 2.5

    right = sum(
        max(range(len(pairs)), key=lambda label: (logits[row, pairs[label][1]], -label)) == truth[row]
        for row in range(90)
    )
    coarse, fine = space_of(len(pairs)), space_of(1000)
    mapping = LabelMapping.from_names(coarse, fine, {f"label {small}": f"label {large}" for small, large in pairs})
    sets = LabelSets.from_lists([[int(label)] for label in truth], coarse)
    assert len(pairs) == 200
    assert evaluate_mapped(logits, sets, mapping, how="restrict").value("argmax_accuracy") == right / 90


@pytest.mark.parametrize("how", ["max", "logsumexp", "noisy-or", "mean-softmax"])
def test_each_way_judges_the_scores_of_its_definition(how):
    generator = np.random.default_rng(2)
    logits = generator.normal(size=(23, 4)) * 3
    truth = LabelSets.from_lists([[0], [1], [0, 1], [], [1]] * 4 + [[0], [0], [1]], COARSE)
    expected = {
        "max": lambda row: (max(row[:2]), row[2]),
        "logsumexp": lambda row: (math.log(math.exp(row[0]) + math.exp(row[1])), row[2]),
        "noisy-or": lambda row: (
            math.log(1 / ((1 - 1 / (1 + math.exp(-row[0]))) * (1 - 1 / (1 + math.exp(-row[1])))) - 1),
            row[2],
        ),
        "mean-softmax": lambda row: ((softmax(row)[0] + softmax(row)[1]) / 2, softmax(row)[2]),
    }[how]
    scores = np.array([[*expected(row.tolist()), 0.0] for row in logits])
    kind = "probs" if how == "mean-softmax" else "logits"
    plain = evaluate(scores, unannotate(truth, np.array([False, False, True])), kind=kind)
    mapped = evaluate_mapped(logits, truth, MAPPING, how=how)
    for name, figure in plain.figures.items():
        assert mapped.figures[name].value == pytest.approx(figure.value, abs=1e-12), name


def test_a_label_without_links_is_judged_nowhere_and_its_rows_are_kept_and_counted():
    truth = LabelSets.from_lists([[0], [2], [1]], COARSE)
    evaluation = evaluate_mapped(np.eye(3, 4), truth, MAPPING, how="max")
    assert evaluation.num_samples == 3
    assert evaluation.labels[2].known == 0
    assert (evaluation.figures["argmax_accuracy"].defined, evaluation.figures["argmax_accuracy"].total) == (2, 3)


def test_a_truth_of_other_labels_is_refused():
    truth = LabelSets.from_lists([[0]], LabelSpace(names=("dog", "cat", "zebra")))
    with pytest.raises(LabelError, match="align them"):
        evaluate_mapped(np.zeros((1, 4)), truth, MAPPING, how="max")


def test_nan_among_the_fine_logits_is_refused():
    logits = np.zeros((2, 4))
    logits[1, 1] = np.nan
    with pytest.raises(ScoreError, match="sample 1, label 'cat'"):
        evaluate_mapped(logits, LabelSets.from_lists([[0], []], COARSE), MAPPING, how="max")


def test_labels_that_become_unknown_take_exceptions_confidence_and_sources_with_them():
    space = LabelSpace(names=("a", "b", "c"))
    sets = LabelSets.from_lists([[0], [1, 2], []], space, exceptions=[[1], [], [0, 2]])
    rest = unannotate(sets, np.array([True, False, False]))
    expected = sets.to_multi_hot()
    expected[:, 0] = np.nan
    np.testing.assert_array_equal(rest.to_multi_hot(), expected)
    assert rest.num_samples == 3
    assert unannotate(sets, np.zeros(3, dtype=bool)) is sets


def test_a_choice_of_another_length_is_refused():
    with pytest.raises(LabelError, match="one for each of 3"):
        unannotate(LabelSets.from_lists([[0]], COARSE), np.array([True]))
