"""Each protocol gives the values of the library or the definition that it is named after."""

import math

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from torchmetrics.functional import classification as tm

from manyhot.errors import UsageError
from manyhot.labels import LabelCounts, LabelSets, LabelSpace
from manyhot.metrics import evaluate
from manyhot.metrics.protocols import PROTOCOL_NAMES, PROTOCOLS, protocol_named

# Both sides sum the same float64 terms in another order.
TOLERANCE = 1e-12
# torchmetrics divides and sums in float32.
SINGLE = 2e-6


def judged_table(ties, *, full_rows=False):
    """Logits, truth and decisions; rows without labels, and either a label that never occurs or rows of all labels."""
    generator = np.random.default_rng(7)
    truth = (generator.random((97, 13)) < generator.uniform(0.05, 0.6, 13)).astype(np.float32)
    truth[:5] = 0.0
    if full_rows:
        truth[5:8] = 1.0
    else:
        truth[:, 3] = 0.0
    logits = generator.normal(size=truth.shape) + truth - 0.8
    if ties:
        logits = np.round(logits * 3) / 3
    logits = logits.astype(np.float32)
    preds = logits > -0.3
    preds[:3] = False
    return logits, truth, preds


@pytest.fixture(scope="module", params=[False, True], ids=["all scores different", "many ties"])
def ties(request):
    return request.param


@pytest.fixture(scope="module", params=[False, True], ids=["an absent label", "full rows"])
def table(request, ties):
    return judged_table(ties, full_rows=request.param)


def names_without_bands(evaluation):
    return {name: figure.value for name, figure in evaluation.figures.items() if "_min1" not in name}


def judge(table, as_sets, protocol, **options):
    logits, truth, preds = table
    return evaluate(logits, as_sets(truth), kind="logits", preds=preds, protocol=protocol, **options)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning", "ignore:No positive class found")
def test_scikit_learn_is_reproduced(table, as_sets):
    logits, truth, preds = table
    truth = truth.astype(int)
    found = judge(table, as_sets, "sklearn")
    expected = {
        "auroc_micro": sk.roc_auc_score(truth, logits, average="micro"),
        "auroc_macro": sk.roc_auc_score(truth, logits, average="macro"),
        "lrap": sk.label_ranking_average_precision_score(truth, logits),
        "coverage_error": sk.coverage_error(truth, logits),
        "ranking_loss": sk.label_ranking_loss(truth, logits),
    }
    for average in ("macro", "micro", "weighted"):
        expected[f"map_{average}"] = sk.average_precision_score(truth, logits, average=average)
    for decision, suffix in ((preds, ""), (logits >= 0, "_at_half")):
        for average in ("macro", "micro", "weighted"):
            expected[f"precision_{average}{suffix}"] = sk.precision_score(truth, decision, average=average)
            expected[f"recall_{average}{suffix}"] = sk.recall_score(truth, decision, average=average)
            expected[f"f1_{average}{suffix}"] = sk.f1_score(truth, decision, average=average)
            expected[f"f2_{average}{suffix}"] = sk.fbeta_score(truth, decision, beta=2, average=average)
        expected[f"f1_samples{suffix}"] = sk.f1_score(truth, decision, average="samples")
        expected[f"f2_samples{suffix}"] = sk.fbeta_score(truth, decision, beta=2, average="samples")
        expected[f"jaccard_samples{suffix}"] = sk.jaccard_score(truth, decision, average="samples")
        expected[f"subset_accuracy{suffix}"] = sk.accuracy_score(truth, decision)
        expected[f"hamming_loss{suffix}"] = sk.hamming_loss(truth, decision)
    # An undefined label leaves scikit-learn's mean undefined.
    assert math.isnan(expected["auroc_macro"]) == (truth[:, 3].sum() == 0)
    expected = {name: None if math.isnan(value) else value for name, value in expected.items()}
    assert names_without_bands(found) == pytest.approx(expected, abs=TOLERANCE)


def of_torchmetrics(logits, truth, preds):
    logits, truth, count = torch.from_numpy(logits), torch.from_numpy(truth).int(), truth.shape[1]
    expected = {
        "map_micro": tm.multilabel_average_precision(logits, truth, count, average="micro"),
        "auroc_macro": tm.multilabel_auroc(logits, truth, count, average="macro"),
        "auroc_micro": tm.multilabel_auroc(logits, truth, count, average="micro"),
        "lrap": tm.multilabel_ranking_average_precision(logits, truth, count),
        "coverage_error": tm.multilabel_coverage_error(logits, truth, count),
        "ranking_loss": tm.multilabel_ranking_loss(logits, truth, count),
    }
    for average in ("macro", "weighted"):
        expected[f"map_{average}"] = tm.multilabel_average_precision(logits, truth, count, average=average)
    for decision, suffix in ((torch.from_numpy(preds).int(), ""), (logits, "_at_half")):
        for average in ("macro", "micro", "weighted"):
            for name, function in (
                ("precision", tm.multilabel_precision),
                ("recall", tm.multilabel_recall),
                ("f1", tm.multilabel_f1_score),
            ):
                expected[f"{name}_{average}{suffix}"] = function(decision, truth, count, average=average)
            f2 = tm.multilabel_fbeta_score(decision, truth, beta=2.0, num_labels=count, average=average)
            expected[f"f2_{average}{suffix}"] = f2
        expected[f"subset_accuracy{suffix}"] = tm.multilabel_exact_match(decision, truth, count)
        expected[f"hamming_loss{suffix}"] = tm.multilabel_hamming_distance(decision, truth, count)
    return {name: float(value) for name, value in expected.items()}


@pytest.mark.filterwarnings("ignore:No positive samples", "ignore:No negative samples")
def test_torchmetrics_is_reproduced(table, as_sets):
    found = judge(table, as_sets, "torchmetrics")
    assert names_without_bands(found) == pytest.approx(of_torchmetrics(*table), abs=SINGLE)


@pytest.mark.filterwarnings("ignore:No positive samples", "ignore:No negative samples")
def test_sigmoids_tie_where_those_of_torchmetrics_do(as_sets):
    logits, truth, preds = judged_table(ties=False)
    logits = logits * 30
    logits[0, 0] = 0.0
    found = evaluate(logits, as_sets(truth), kind="logits", protocol="torchmetrics", preds=preds)
    expected = of_torchmetrics(logits, truth, preds)
    for name in ("map_macro", "map_micro", "auroc_macro", "recall_micro_at_half"):
        assert found.value(name) == pytest.approx(expected[name], abs=SINGLE)
    # The same logits without the sigmoid are another ranking.
    plain = evaluate(logits, as_sets(truth), kind="logits").value("map_micro")
    assert abs(plain - expected["map_micro"]) > 100 * SINGLE


def test_a_label_without_positives_counts_where_the_protocol_counts_it(as_sets):
    truth = np.array([[1.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    logits = np.array([[3.0, 1.0], [1.0, 2.0], [2.0, 3.0]])
    found = {
        name: evaluate(logits, as_sets(truth), kind="logits", protocol=name).figures.get("map_macro")
        for name in PROTOCOL_NAMES
    }
    assert found.pop("xc") is None
    values = {name: (round(figure.value, 6), figure.defined) for name, figure in found.items()}
    assert values == {
        "manyhot": (1.0, 1),
        "sklearn": (0.5, 2),
        "torchmetrics": (0.5, 2),
        "asl": (50.0, 2),
        "voc07": (1.0, 1),
        "voc10": (1.0, 1),
        "coco101": (1.0, 1),
        "openimages": (1.0, 1),
    }


def test_unknown_cells_take_part_in_no_protocol(random_table, as_sets):
    logits, truth = random_table(41, 6, seed=3, unknown=0.4)
    other = np.where(np.isnan(truth), logits + 5, logits).astype(np.float32)
    for protocol in PROTOCOL_NAMES:
        first, second = (evaluate(one, as_sets(truth), kind="logits", protocol=protocol) for one in (logits, other))
        assert first.figures == second.figures, protocol


def test_open_images_gives_positives_to_their_ancestors():
    space = LabelSpace(names=("animal", "cat", "dog"), parents=((), (0,), (0,)))
    truth = LabelSets.from_lists([[1], [2], []], space, exceptions=[[2], [], [0]], unlisted="unknown")
    logits = np.array([[1.0, 2.0, 0.0], [3.0, 0.0, 1.0], [2.0, 9.0, 9.0]])
    found = evaluate(logits, truth, kind="logits", protocol="openimages")
    # animal: positives in rows 0 and 1, a verified negative in row 2, in the order + - +.
    assert [label.average_precision for label in found.labels] == pytest.approx([(1 + 2 / 3) / 2, 1.0, 1.0])
    plain = evaluate(logits, truth, kind="logits")
    assert plain.figures["map_macro"].defined == 2
    assert found.figures["map_macro"].defined == 3


def test_extreme_classification_counts_rows_without_labels(random_table, as_sets):
    logits, truth = random_table(37, 11, seed=9)
    found = evaluate(logits, as_sets(truth), kind="logits", protocol="xc")
    order = np.argsort(-logits, axis=1, kind="stable")
    gains = 1 / np.log2(np.arange(2, 7))
    for k in (1, 3, 5):
        hits = np.take_along_axis(truth, order[:, :k], axis=1)
        positives = truth.sum(axis=1)
        assert (positives == 0).any()
        best = np.array([gains[: min(k, int(count))].sum() for count in np.maximum(positives, 1)])
        expected = {
            f"precision_at_{k}": hits.sum(axis=1).mean() / k,
            f"recall_at_{k}": (hits.sum(axis=1) / np.maximum(positives, 1)).mean(),
            f"ndcg_at_{k}": ((hits * gains[:k]).sum(axis=1) / best).mean(),
        }
        for name, value in expected.items():
            assert found.value(name) == pytest.approx(value, abs=1e-7), name
            assert found.figures[name].defined == 37


def propensity_scored(truth, order, weights, k):
    """PSP@k and PSnDCG@k as quotients of sums over samples, in loops."""
    found, best, gained, ideal = 0.0, 0.0, 0.0, 0.0
    for row, labels in zip(truth, order, strict=True):
        own = sorted((weights[label] for label in range(len(row)) if row[label]), reverse=True)
        norm = sum(1 / math.log2(place + 2) for place in range(min(k, len(own))))
        for place in range(k):
            hit = weights[labels[place]] if row[labels[place]] else 0.0
            most = own[place] if place < len(own) else 0.0
            found, best = found + hit, best + most
            if own:
                gained += hit / math.log2(place + 2) / norm
                ideal += most / math.log2(place + 2) / norm
    return found / best, gained / ideal


def test_propensities_weigh_sums_over_samples(random_table, as_sets):
    logits, truth = random_table(37, 11, seed=9)
    counts = LabelCounts(positives=np.arange(11) ** 2, known=np.full(11, 300))
    found = evaluate(logits, as_sets(truth), kind="logits", protocol="xc", train_counts=counts)
    scale = (math.log(300) - 1) * 2.5**0.55
    weights = [1 + scale * (count + 1.5) ** -0.55 for count in counts.positives.tolist()]
    order = np.argsort(-logits, axis=1, kind="stable").tolist()
    for k in (1, 3, 5):
        expected = propensity_scored(truth.tolist(), order, weights, k)
        values = (found.value(f"psp_at_{k}"), found.value(f"psndcg_at_{k}"))
        assert values == pytest.approx(expected, abs=TOLERANCE)


def test_baselines_follow_the_protocol_too(table, as_sets):
    _, truth, _ = table
    counts = LabelCounts(positives=truth.sum(axis=0).astype(np.int64) + 1, known=np.full(13, 200))
    found = judge(table, as_sets, "sklearn", train_counts=counts).baselines
    never = np.zeros_like(truth)
    options = {"average": "macro", "zero_division": 0}
    assert found["predict nothing"]["f1_macro"] == 0.0
    assert found["predict all"]["f1_macro"] == pytest.approx(sk.f1_score(truth, never + 1, **options), abs=TOLERANCE)
    # A constant score ties everywhere: average precision is the share of positives, 0 for a label without.
    assert found["predict prevalence"]["map_macro"] == pytest.approx(truth.mean(axis=0).mean(), abs=1e-7)


def test_every_protocol_says_what_differs_in_one_line():
    assert [protocol.name for protocol in PROTOCOLS] == list(PROTOCOL_NAMES)
    for protocol in PROTOCOLS:
        assert 0 < len(protocol.difference) <= 60
        assert "\n" not in protocol.difference


def test_the_evaluation_names_its_protocol(table, as_sets):
    for name in PROTOCOL_NAMES:
        found = judge(table, as_sets, name)
        assert found.protocol == name
        assert found.figures
        assert type(found).from_dict(found.to_dict()) == found


@pytest.mark.usefixtures("without_shape_checks")
def test_an_unknown_protocol_is_refused_with_the_nearest(table, as_sets):
    with pytest.raises(UsageError, match="did you mean 'sklearn'"):
        judge(table, as_sets, "sklern")
    assert protocol_named("asl").name == "asl"
