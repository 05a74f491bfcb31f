"""Where scikit-learn's conventions agree with ours, so do the values."""

import numpy as np
import pytest
from sklearn import metrics as sk

from manyhot.metrics import evaluate

# Both sides sum the same float64 terms in another order.
TOLERANCE = 1e-12


@pytest.fixture(scope="module", params=[0, 7], ids=["all scores different", "many ties"])
def judged(request, as_sets):
    """Logits, truth and decisions in which everything is defined: each label and each row has both states."""
    generator = np.random.default_rng(3)
    truth = (generator.random((83, 19)) < generator.uniform(0.05, 0.6, 19)).astype(np.float32)
    truth[np.arange(83), generator.integers(0, 19, 83)] = 1.0
    truth[:, 0] = np.arange(83) % 2
    logits = generator.normal(size=truth.shape) + truth - 1
    if request.param:
        logits = np.round(logits * request.param) / request.param
    logits = logits.astype(np.float32)
    preds = logits > -0.3
    return logits, truth.astype(int), preds, evaluate(logits, as_sets(truth), kind="logits", preds=preds)


def test_average_precision_agrees(judged):
    logits, truth, _, evaluation = judged
    for average in ("macro", "micro", "weighted"):
        expected = sk.average_precision_score(truth, logits, average=average)
        assert evaluation.value(f"map_{average}") == pytest.approx(expected, abs=TOLERANCE)


def test_auroc_agrees(judged):
    logits, truth, _, evaluation = judged
    for average in ("macro", "micro"):
        expected = sk.roc_auc_score(truth, logits, average=average)
        assert evaluation.value(f"auroc_{average}") == pytest.approx(expected, abs=TOLERANCE)


@pytest.mark.parametrize("average", ["macro", "micro", "weighted"])
def test_precision_recall_and_f_agree(judged, average):
    _, truth, preds, evaluation = judged
    options = {"average": average, "zero_division": np.nan}
    expected = {
        "precision": sk.precision_score(truth, preds, **options),
        "recall": sk.recall_score(truth, preds, **options),
        "f1": sk.f1_score(truth, preds, **options),
        "f2": sk.fbeta_score(truth, preds, beta=2, **options),
    }
    for name, value in expected.items():
        assert evaluation.value(f"{name}_{average}") == pytest.approx(value, abs=TOLERANCE)


def test_figures_by_sample_agree(judged):
    _, truth, preds, evaluation = judged
    options = {"average": "samples", "zero_division": 1}
    expected = {
        "f1_samples": sk.f1_score(truth, preds, **options),
        "f2_samples": sk.fbeta_score(truth, preds, beta=2, **options),
        "jaccard_samples": sk.jaccard_score(truth, preds, **options),
        "subset_accuracy": sk.accuracy_score(truth, preds),
        "hamming_loss": sk.hamming_loss(truth, preds),
    }
    for name, value in expected.items():
        assert evaluation.value(name) == pytest.approx(value, abs=TOLERANCE), name


def test_ranking_figures_agree(judged):
    logits, truth, _, evaluation = judged
    expected = {
        "lrap": sk.label_ranking_average_precision_score(truth, logits),
        "coverage_error": sk.coverage_error(truth, logits),
        "ranking_loss": sk.label_ranking_loss(truth, logits),
    }
    for name, value in expected.items():
        assert evaluation.value(name) == pytest.approx(value, abs=TOLERANCE), name


def test_ndcg_agrees_where_nothing_ties(as_sets):
    # Of tied labels we take the lowest first; scikit-learn averages over their orders.
    generator = np.random.default_rng(4)
    truth = (generator.random((31, 19)) < 0.2).astype(np.float32)
    truth[:, 3] = 1.0
    logits = generator.permutation(31 * 19).reshape(31, 19).astype(np.float32)
    evaluation = evaluate(logits, as_sets(truth), kind="logits")
    for k in (1, 3, 5):
        expected = sk.ndcg_score(truth, logits, k=k)
        assert evaluation.value(f"ndcg_at_{k}") == pytest.approx(expected, abs=TOLERANCE)


def test_proper_scores_and_correlations_agree(judged):
    logits, truth, preds, evaluation = judged
    probs = 1 / (1 + np.exp(-logits.astype(np.float64)))
    assert evaluation.value("brier") == pytest.approx(sk.brier_score_loss(truth.ravel(), probs.ravel()), abs=TOLERANCE)
    assert evaluation.value("bce") == pytest.approx(sk.log_loss(truth.ravel(), probs.ravel()), abs=TOLERANCE)
    pairs = list(zip(truth.T, preds.T, strict=True))
    mcc = np.mean([sk.matthews_corrcoef(y, d) for y, d in pairs])
    assert evaluation.value("mcc_macro") == pytest.approx(mcc, abs=TOLERANCE)
    balanced = np.mean([sk.balanced_accuracy_score(y, d) for y, d in pairs])
    assert evaluation.value("balanced_accuracy_macro") == pytest.approx(balanced, abs=TOLERANCE)
