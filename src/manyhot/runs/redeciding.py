"""Another decision for a finished run, from the logits that it saved: no training, no picture is opened."""

from dataclasses import replace

from manyhot.config import DecisionConfig
from manyhot.errors import RunError
from manyhot.recipes import save_recipe
from manyhot.runs.deciding import check_decision
from manyhot.runs.finishing import finish
from manyhot.runs.ground import resumed_ground
from manyhot.runs.run import Run
from manyhot.runs.writing import read_logits


def decide_again(run: Run, config: DecisionConfig) -> Run:
    """Return a finished run with another decision, in the same folder.

    The decision is fitted on the run's validation logits and judged on its test logits; bundle, report, figures, predictions
    and the recipe's `[decision]` are written anew. The weights stay as they are. Choosing between decisions by their test
    figures flatters the one that is chosen: `metrics-val.json` holds the cross-fitted figures to choose by.

    Args:
        run: Finished, with its data where they were.
        config: The decision wanted.

    Raises:
        RunError: If the run is a bundle alone, is not finished, or its data have changed.
        LabelError: If a group is not in the label space, or ancestors are asked for and there are no parents.
        UsageError: If a cost is of no label, or constraints would break a promise.
    """
    if run.is_bundle or not run.is_finished:
        raise RunError(f"{run.folder}: another decision takes a finished run, with the logits that it saved")
    ground = resumed_ground(run)
    check_decision(config, ground.manifest.labels.space)
    logits = {split: read_logits(run.folder / f"predictions-{split}.parquet") for split in ("val", "test")}
    for split, values in logits.items():
        if values.shape != (len(ground.splits.rows(split)), ground.manifest.labels.num_labels):
            raise RunError(f"{run.folder}: predictions-{split}.parquet does not fit the run's splits; train it again")
    ground = replace(ground, recipe=replace(ground.recipe, decision=config))
    # Before the report, which shows it.
    save_recipe(ground.recipe, run.folder / "recipe.toml")
    finish(ground, run.bundle.spec, run.bundle.model, logits)
    return Run(run.folder)
