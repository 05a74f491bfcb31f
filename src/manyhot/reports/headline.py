"""The figures that most questions ask for, in the order in which they are shown."""

import re
from collections.abc import Iterable

HEADLINE = {
    "map_macro": "mean average precision: how well each label's positives are ranked first",
    "map_micro": "average precision of all cells pooled",
    "auroc_macro": "chance that a positive is ranked above a negative of the same label",
    "f1_macro": "F1 of each label with the bundle's thresholds, averaged",
    "f1_micro": "F1 of all cells pooled",
    "f1_samples": "F1 of each sample, averaged",
    "f1_macro_at_half": "F1 of each label at threshold 0.5, averaged",
    "precision_macro": "share of predicted labels that are right",
    "recall_macro": "share of true labels that are found",
    "subset_accuracy": "samples whose labels are all right",
    "cell_accuracy": "cells that are right; flatters where labels are rare",
    "lrap": "label ranking average precision",
    "precision_at_1": "samples whose best label is right",
    "ece_macro": "calibration error: how far probabilities are from frequencies; 0 is best",
}
SIDE_BY_SIDE = (
    ("map_macro", "map_weighted", "map_micro"),
    (
        *("auroc_macro", "auroc_micro"),
        *("f1_macro", "f1_micro", "f1_weighted", "f1_samples", "subset_accuracy", "hamming_loss"),
        *("f1_macro_at_half", "f1_micro_at_half", "f1_samples_at_half", "subset_accuracy_at_half"),
        *("lrap", "coverage_error", "ranking_loss"),
    ),
    (
        *("precision_at_1", "precision_at_3", "precision_at_5", "recall_at_5", "ndcg_at_1", "ndcg_at_3", "ndcg_at_5"),
        *("psp_at_1", "psp_at_3", "psp_at_5", "psndcg_at_1", "psndcg_at_3", "psndcg_at_5"),
    ),
)
"""The figures to show under several protocols, those together that the same protocols define."""

_BANDED = re.compile(r"(map_macro|f1_macro)_min(\d+)")


def headline_of(names: Iterable[str]) -> list[str]:
    """Return the figures to show of those there are: the headline, each macro figure followed by its `_min5` where asked.

    `_min1` is left out: labels without a positive have no such figure anyway, so the plain row says the same.

    >>> headline_of(["f1_macro", "map_macro", "map_macro_min5", "f1_macro_min1", "lrap_at_half"])
    ['map_macro', 'map_macro_min5', 'f1_macro']
    """
    present = list(names)
    banded = [(match[1], name) for name in present if (match := _BANDED.fullmatch(name)) and match[2] != "1"]
    shown: list[str] = []
    for figure in HEADLINE:
        shown += [figure] if figure in present else []
        shown += [name for plain, name in banded if plain == figure]
    return shown
