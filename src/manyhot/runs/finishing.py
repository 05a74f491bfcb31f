"""From logits on val and test to all that a finished run holds: decision, predictions, figures, bundle, report."""

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Float32

from manyhot.bundle import save_bundle
from manyhot.decisions import CrossFitted, Decision
from manyhot.files import write_json
from manyhot.metrics import Evaluation, evaluate
from manyhot.models.spec import ModelSpec
from manyhot.reports.reliability import ReliabilityCurve
from manyhot.runs.card import model_card
from manyhot.runs.deciding import cross_decide, decide
from manyhot.runs.ground import Ground
from manyhot.runs.reporting import reliability_curves, write_report
from manyhot.runs.writing import PredictedRows, write_predictions

if TYPE_CHECKING:
    from manyhot.models.classifier import Classifier

log = logging.getLogger("manyhot")

SHOWN = ("f1_macro", "f1_micro")


def finish(
    ground: Ground, spec: ModelSpec, model: "Classifier", logits: Mapping[str, Float[np.ndarray, "n l"]]
) -> Evaluation:
    """Fit the decision on val, judge it on test, and write all of it; return the figures on test.

    Validation predictions, in `predictions-val.parquet` and `metrics-val.json`, are cross-fitted: each sample is decided by a
    decision that has not seen it, so that they can stand beside those of test.

    Args:
        ground: What the run stands on.
        spec: What the model was made from.
        model: The trained model.
        logits: Of the splits `val` and `test`.
    """
    splits = ground.splits
    truth = {split: ground.manifest.labels.take(splits.rows(split)) for split in ("val", "test")}
    decision = decide(ground.recipe.decision, logits["val"], truth["val"])
    for note in decision.notes:
        log.info("decision: %s", note)
    held_out = cross_decide(ground.recipe.decision, logits["val"], truth["val"])
    if held_out is not None:
        _save_predictions(ground, "val", logits["val"], held_out.probs, held_out.preds)
        _save_validation(ground, logits["val"], held_out)
    else:
        _save_predictions(ground, "val", logits["val"], decision.probs(logits["val"]), decision.preds(logits["val"]))
    probs, preds = decision.probs(logits["test"]), decision.preds(logits["test"])
    _save_predictions(ground, "test", logits["test"], probs, preds)
    evaluation = evaluate(
        logits["test"],
        truth["test"],
        kind="logits",
        probs=probs,
        preds=preds,
        thresholds=decision.thresholds,
        train_counts=ground.counts,
        split="test",
    )
    _save(ground, spec, model, decision, evaluation, curves=reliability_curves(probs, truth["test"]))
    return evaluation


def _save_validation(ground: Ground, logits: Float[np.ndarray, "n l"], held_out: CrossFitted) -> None:
    evaluation = evaluate(
        logits,
        ground.manifest.labels.take(ground.splits.rows("val")),
        kind="logits",
        probs=held_out.probs,
        preds=held_out.preds,
        train_counts=ground.counts,
        split="val",
    )
    shown = ", ".join(f"{name} {evaluation.figures[name].value:.3f}" for name in SHOWN if _is_defined(evaluation, name))
    log.info("validation, cross-fitted in %d folds: %s", held_out.folds, shown)
    write_json(ground.folder / "metrics-val.json", evaluation.to_dict())


def _is_defined(evaluation: Evaluation, name: str) -> bool:
    return name in evaluation.figures and evaluation.figures[name].value is not None


def _save_predictions(
    ground: Ground,
    split: str,
    logits: Float[np.ndarray, "n l"],
    probs: Float32[np.ndarray, "n l"],
    preds: Bool[np.ndarray, "n l"],
) -> None:
    references = ground.manifest.references()
    rows = PredictedRows(
        references=[references[row] for row in ground.splits.rows(split)], probs=probs, preds=preds, logits=logits
    )
    path = ground.folder / f"predictions-{split}.parquet"
    write_predictions(path, ground.manifest.labels.space, [rows], with_logits=True)


def _save(
    ground: Ground,
    spec: ModelSpec,
    model: "Classifier",
    decision: Decision,
    evaluation: Evaluation,
    *,
    curves: Sequence[ReliabilityCurve],
) -> None:
    space = ground.manifest.labels.space
    save_bundle(
        ground.folder / "bundle",
        model=model.cpu(),
        spec=spec,
        space=space,
        decision=decision,
        evaluation=evaluation.to_dict(),
        card=model_card(ground.recipe, space, evaluation),
        train_counts=ground.counts,
    )
    write_report(ground.folder, evaluation, decision, ground.manifest.labels, curves=curves)
    # Last: its presence says that the run is finished.
    write_json(ground.folder / "metrics.json", evaluation.to_dict())
