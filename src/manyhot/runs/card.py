"""The model card: what a bundle is, for whoever finds it without the run around it."""

from manyhot.config import Recipe
from manyhot.labels import LabelSpace
from manyhot.metrics import Evaluation

SHOWN_FIGURES = ("map_macro", "map_micro", "auroc_macro", "f1_macro", "f1_micro", "f1_samples", "lrap", "ece_macro")
MAX_SHOWN_LABELS = 50


def model_card(recipe: Recipe, space: LabelSpace, evaluation: Evaluation) -> str:
    """Return the card as Markdown: labels, figures beside the baselines, how it was made, how to use it."""
    shown = ", ".join(f"`{name}`" for name in space.names[:MAX_SHOWN_LABELS])
    more = len(space) - MAX_SHOWN_LABELS
    return "\n".join(
        [
            "# A manyhot model",
            "",
            (
                f"A `{recipe.encoder.name}` with a {recipe.head.kind} head that says of a picture which of {len(space):,} "
                "labels it carries, any number of them."
            ),
            "",
            "## Use",
            "",
            "    manyhot predict BUNDLE picture.jpg",
            "",
            (
                'or, from Python, `manyhot.Run("BUNDLE").predict("picture.jpg")`. Pictures are resized to '
                f"{recipe.images.size} × {recipe.images.size} pixels; the decision that ships with the model was fitted on "
                "validation samples, never on the test split."
            ),
            "",
            "## Figures",
            "",
            (
                f"On the {evaluation.split} split of {evaluation.num_samples:,} samples, protocol `{evaluation.protocol}`; "
                "`defined` says over how many labels or samples a figure is taken."
            ),
            "",
            *_figure_table(evaluation),
            "",
            "## Labels",
            "",
            shown + (f" and {more:,} more, in `bundle.json`" if more > 0 else ""),
            "",
            "## Limits",
            "",
            (
                "The figures hold for data like those it was trained and measured on. A label with few positives among "
                "them is judged by few; its row in `metrics.json` says how many."
            ),
            "",
        ]
    )


def _figure_table(evaluation: Evaluation) -> list[str]:
    baselines = list(evaluation.baselines)
    names = [name for name in SHOWN_FIGURES if name in evaluation.figures]
    rows = [["figure", "model", *baselines, "defined"], ["---"] * (len(baselines) + 3)]
    for name in names:
        figure = evaluation.figures[name]
        beside = [_number(evaluation.baselines[baseline].get(name)) for baseline in baselines]
        rows.append([f"`{name}`", _number(figure.value), *beside, f"{figure.defined:,} / {figure.total:,}"])
    return [f"| {' | '.join(row)} |" for row in rows]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
