"""Protocols: whose conventions the figures follow. They change what is counted and how, never the data.

`manyhot` is the table in docs/figures.md. Any other protocol gives the figures that its library, challenge or paper
defines, under our names and with its values, and no others. Unknown cells take part in none of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
import torch
from jaxtyping import Float, Float64, Num
from torch import Tensor

from manyhot.errors import UsageError, did_you_mean
from manyhot.labels import Hierarchy, LabelSets, expand_positives
from manyhot.metrics.bands import Bands, macro_figures
from manyhot.metrics.counts import divide
from manyhot.metrics.curves import average_precision
from manyhot.metrics.decided import figures_of_counts
from manyhot.metrics.figures import Figure, ratio_figure
from manyhot.metrics.parts import DecisionPart, Parts, figures_of_parts
from manyhot.metrics.protocols_extreme import extreme_figures, extreme_values
from manyhot.metrics.protocols_precision import enveloped_precision, interpolated_precision, sorted_precision
from manyhot.metrics.protocols_zeroed import (
    zeroed_decisions,
    zeroed_precision,
    zeroed_rankings,
    zeroed_samples,
)
from manyhot.metrics.ranking import RowRanks, ranking_values
from manyhot.metrics.ranks import PositiveRanks
from manyhot.metrics.rows import RowValues, Values
from manyhot.metrics.scores import Kind
from manyhot.metrics.truth import Truth
from manyhot.targets import SparseTargets

ProtocolName = Literal["manyhot", "sklearn", "torchmetrics", "asl", "voc07", "voc10", "coco101", "openimages", "xc"]
PROTOCOL_NAMES: tuple[ProtocolName, ...] = get_args(ProtocolName)

Matrix: TypeAlias = Num[np.ndarray, "n l"] | Num[Tensor, "n l"]
Labels: TypeAlias = LabelSets | SparseTargets
Columns: TypeAlias = dict[str, Float64[np.ndarray, " l"]]
DecisionFigures: TypeAlias = Callable[[DecisionPart, Bands, str], dict[str, Figure]]
LabelPrecision: TypeAlias = Callable[[PositiveRanks, Float[np.ndarray, "n l"], Truth], Float64[np.ndarray, " l"]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Protocol:
    """One set of conventions.

    Args:
        name: As in `evaluate(..., protocol=NAME)`.
        difference: One line on what it does otherwise than `manyhot`.
        figures: All figures that it defines, from the parts of an evaluation.
        decided: Those of a decision, with a suffix after each name.
        columns: What it says of each label, from what `manyhot` says; NaN for what it does not define.
        label_precision: The average precision of each label, from the ranks of its positives.
        row_values: What the order of a sample's labels gives.
        read_scores: What it makes of the scores before they are ranked.
        read_truth: What it makes of the labels.
        is_half_positive: Whether a probability of exactly one half is predicted `_at_half`.
    """

    name: ProtocolName
    difference: str
    figures: Callable[[Parts, Bands], dict[str, Figure]]
    decided: DecisionFigures
    columns: Callable[[Columns], Columns]
    label_precision: LabelPrecision = lambda ranks, _scores, _truth: average_precision(ranks)
    row_values: RowValues = ranking_values
    read_scores: Callable[[Matrix, Kind], tuple[Matrix, Kind]] = lambda scores, kind: (scores, kind)
    read_truth: Callable[[Labels], Labels] = lambda truth: truth
    is_half_positive: bool = True


def protocol_named(name: str) -> Protocol:
    """Return the protocol of a name.

    Raises:
        UsageError: If there is none; the message names the nearest.

    >>> protocol_named("voc07").difference
    'AP is the mean of the envelope at 11 recalls'
    """
    for protocol in PROTOCOLS:
        if protocol.name == name:
            return protocol
    raise UsageError(
        f"protocol is {name!r}{did_you_mean(name, PROTOCOL_NAMES)} (there are {', '.join(PROTOCOL_NAMES)})"
    )


def _no_decision(_part: DecisionPart, _bands: Bands, _suffix: str) -> dict[str, Figure]:
    return {}


def _decisions(parts: Parts, bands: Bands, decided: DecisionFigures) -> dict[str, Figure]:
    figures = decided(parts.half, bands, "_at_half")
    return figures if parts.decided is None else figures | decided(parts.decided, bands, "")


def _sklearn_figures(parts: Parts, bands: Bands) -> dict[str, Figure]:
    figures = zeroed_precision(parts, bands)
    for name, figure in macro_figures("auroc_macro", parts.auroc, bands).items():
        # scikit-learn takes the mean over all labels: one that is undefined leaves the mean undefined.
        value = figure.value if figure.defined == figure.total else None
        figures[name] = Figure(value, figure.defined, figure.total)
    figures["auroc_micro"] = ratio_figure(parts.pooled_auroc, 1, int(parts.known.sum()), parts.cells)
    return figures | zeroed_rankings(parts) | _decisions(parts, bands, _sklearn_decisions)


def _sklearn_decisions(part: DecisionPart, bands: Bands, suffix: str) -> dict[str, Figure]:
    return zeroed_decisions(part, bands, suffix) | zeroed_samples(part, suffix)


def _torchmetrics_figures(parts: Parts, bands: Bands) -> dict[str, Figure]:
    figures = zeroed_precision(parts, bands)
    figures |= macro_figures("auroc_macro", np.nan_to_num(parts.auroc), bands)
    pooled = float(np.nan_to_num(parts.pooled_auroc))
    figures["auroc_micro"] = ratio_figure(pooled, 1, int(parts.known.sum()), parts.cells)
    return figures | zeroed_rankings(parts) | _decisions(parts, bands, zeroed_decisions)


def _sigmoids(scores: Matrix, kind: Kind) -> tuple[Matrix, Kind]:
    if kind == "probs":
        return scores, kind
    # W: torch does not take arrays that cannot be written, such as memory maps.
    tensor = scores if isinstance(scores, Tensor) else torch.from_numpy(np.require(scores, requirements="W"))
    return torch.sigmoid(tensor), "probs"


def _values_by_position(ranks: RowRanks) -> Values:
    positives = ranks.positives
    # Of tied labels the higher id stands first; each pair of positives is counted once, and is no error.
    above = ranks.cells_above + ranks.cells_at_or_above - 1 - ranks.places
    wrong = ranks.sum_rows(above.astype(np.float64)) - positives * (positives - 1) / 2
    return ranking_values(ranks) | {"ranking_loss": divide(wrong, positives * (ranks.known - positives))}


def _precision_figures(parts: Parts, bands: Bands) -> dict[str, Figure]:
    return macro_figures("map_macro", parts.average_precision, bands)


def _open_images_figures(parts: Parts, bands: Bands) -> dict[str, Figure]:
    names = (*(f"map_macro{band}" for band in bands), "map_weighted", "map_micro")
    figures = figures_of_parts(parts, bands)
    return {name: figures[name] for name in names}


def _with_ancestors(truth: Labels) -> Labels:
    if isinstance(truth, SparseTargets) or truth.space.parents is None:
        return truth
    return expand_positives(Hierarchy.of(truth.space), truth, conflicts="unknown")


def _all_zeroed(columns: Columns) -> Columns:
    # Balanced accuracy is left as it is: the libraries take the mean over the classes that are there.
    kept = ("balanced_accuracy", "threshold")
    return {name: values if name in kept else np.nan_to_num(values) for name, values in columns.items()}


def _zeroed_but_auroc(columns: Columns) -> Columns:
    return _all_zeroed(columns) | {"auroc": columns["auroc"]}


def _precision_alone(columns: Columns) -> Columns:
    kept = ("average_precision", "threshold")
    return {name: values if name in kept else np.full(len(values), np.nan) for name, values in columns.items()}


def _none(columns: Columns) -> Columns:
    return {name: np.full(len(values), np.nan) for name, values in columns.items()}


def _of_precision(
    name: ProtocolName,
    difference: str,
    label_precision: LabelPrecision,
) -> Protocol:
    return Protocol(
        name=name,
        difference=difference,
        figures=_precision_figures,
        decided=_no_decision,
        columns=_precision_alone,
        label_precision=label_precision,
    )


MANYHOT = Protocol(
    name="manyhot",
    difference="the undefined is left out and counted; ties are grouped",
    figures=figures_of_parts,
    decided=lambda part, bands, suffix: figures_of_counts(part.labels, part.samples, bands, suffix),
    columns=lambda columns: columns,
)
PROTOCOLS: tuple[Protocol, ...] = (
    MANYHOT,
    Protocol(
        name="sklearn",
        difference="undefined counts 0, LRAP 1; macro AUROC needs all labels",
        figures=_sklearn_figures,
        decided=_sklearn_decisions,
        columns=_zeroed_but_auroc,
    ),
    Protocol(
        name="torchmetrics",
        difference="undefined counts 0, LRAP 1; sigmoids tie; p > 0.5",
        figures=_torchmetrics_figures,
        decided=zeroed_decisions,
        columns=_all_zeroed,
        row_values=_values_by_position,
        read_scores=_sigmoids,
        is_half_positive=False,
    ),
    _of_precision("asl", "per cent; no positives counts 0; of ties the later first", sorted_precision),
    _of_precision(
        "voc07",
        "AP is the mean of the envelope at 11 recalls",
        lambda ranks, _scores, _truth: interpolated_precision(ranks, 11),
    ),
    _of_precision(
        "voc10",
        "AP is the area under the envelope",
        lambda ranks, _scores, _truth: enveloped_precision(ranks),
    ),
    _of_precision(
        "coco101",
        "AP is the mean of the envelope at 101 recalls",
        lambda ranks, _scores, _truth: interpolated_precision(ranks, 101),
    ),
    Protocol(
        name="openimages",
        difference="positives hold for their ancestors; verified cells only",
        figures=_open_images_figures,
        decided=_no_decision,
        columns=_precision_alone,
        read_truth=_with_ancestors,
    ),
    Protocol(
        name="xc",
        difference="samples without labels count 0",
        figures=extreme_figures,
        decided=_no_decision,
        columns=_none,
        row_values=extreme_values,
    ),
)
"""All of them, in the order in which they are shown."""
