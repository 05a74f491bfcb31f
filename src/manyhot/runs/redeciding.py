"""Another decision for a finished run, from the logits that it saved: no training, no picture is opened."""

import logging
from dataclasses import replace

from manyhot.config import DecisionConfig
from manyhot.errors import RunError
from manyhot.metrics import Evaluation
from manyhot.recipes import save_recipe
from manyhot.runs.finishing import finish
from manyhot.runs.ground import resumed_ground
from manyhot.runs.run import Run
from manyhot.runs.writing import read_logits

log = logging.getLogger("manyhot")


def decide_again(run: Run, config: DecisionConfig) -> Evaluation:
    """Give a finished run another decision, and return its figures on the test split.

    The decision is fitted on the run's validation logits and judged on its test logits; bundle, report, figures, predictions
    and the recipe's `[decision]` are written anew. The weights stay as they are. Choosing between decisions by their test
    figures flatters the one that is chosen: `metrics-val.json` holds the cross-fitted figures to choose by.

    Args:
        run: Finished, with its data where they were.
        config: The decision wanted.

    Raises:
        RunError: If the run is a bundle alone, is not finished, or its data have changed.
    """
    if run.is_bundle or not run.is_finished:
        raise RunError(f"{run.folder}: another decision takes a finished run, with the logits that it saved")
    ground = resumed_ground(run)
    ground = replace(ground, recipe=replace(ground.recipe, decision=config))
    logits = {split: read_logits(run.folder / f"predictions-{split}.parquet") for split in ("val", "test")}
    for split, values in logits.items():
        if values.shape != (len(ground.splits.rows(split)), ground.manifest.labels.num_labels):
            raise RunError(f"{run.folder}: predictions-{split}.parquet does not fit the run's splits; train it again")
    bundle = run.bundle
    evaluation = finish(ground, bundle.spec, bundle.model, logits)
    save_recipe(ground.recipe, run.folder / "recipe.toml")
    return evaluation
