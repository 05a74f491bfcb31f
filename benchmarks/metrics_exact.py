"""All figures from one matrix of scores, against torchmetrics and scikit-learn: CPU seconds of one thread, and memory.

    python benchmarks/metrics_exact.py curves     AP, AUROC and best F1 of each label at 5,000 × 11,000, against torchmetrics' AP
    python benchmarks/metrics_exact.py all        every figure there, against the sum of six of torchmetrics'
    python benchmarks/metrics_exact.py few        six figures at 40,000 × 80, against torchmetrics and scikit-learn
    python benchmarks/metrics_exact.py memory     what `evaluate` needs beyond scores and truth

The scores are logits of a calibrated model: a label's logits are normal with a spread of 2 around its own mean, and a cell
is positive with the probability that its logit says. The means are such that prevalence falls by a power law; 3.6 of 1,000
cells are positive at 11,000 labels, and 36 at 80. torchmetrics is given probabilities (which spares it a sigmoid) and dense
targets that are made beforehand, and checks nothing. Runs take turns; medians of CPU time count.
"""

import argparse
import gc
import json
import statistics
import time
import tracemalloc
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tables import cpu_model

from manyhot.labels import Csr, LabelSets, LabelSpace, count_cells
from manyhot.metrics import auroc, average_precision, best_f, evaluate, rank_positives
from manyhot.metrics.curves import PositiveRanks
from manyhot.metrics.device_ranks import rank_on_device
from manyhot.metrics.truth import read_truth

SPREAD = 2.0
Times = dict[str, list[float]]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Logits of a calibrated model, and the labels that they predict."""

    logits: np.ndarray
    truth: LabelSets

    def dense(self) -> np.ndarray:
        """Return the truth as a matrix of int64, as the baselines take it."""
        matrix = np.zeros(self.logits.shape, dtype=np.int64)
        matrix[self.truth.positives.row_ids(), self.truth.positives.ids.astype(np.int64)] = 1
        return matrix


def make_judged(num_samples: int, num_labels: int, density: float) -> Judged:
    """Return logits and truth with so large a share of positives."""
    rng = np.random.default_rng(0)
    prevalence = 1.0 / (np.arange(num_labels) + 10)
    prevalence = rng.permutation(np.minimum(prevalence * density * num_labels / prevalence.sum(), 0.6))
    # The mean logit of each label, from a table of the prevalence that a mean gives.
    means, steps = np.linspace(-25, 10, 2000), np.linspace(-5, 5, 101)
    weights = np.exp(-(steps**2) / 2) / np.exp(-(steps**2) / 2).sum()
    given = (weights / (1 + np.exp(-(means[:, np.newaxis] + SPREAD * steps)))).sum(axis=1)
    centre = np.interp(prevalence, given, means).astype(np.float32)
    logits = np.empty((num_samples, num_labels), dtype=np.float32)
    rows, labels = [], []
    for start in range(0, num_samples, 250):
        block = rng.standard_normal((min(250, num_samples - start), num_labels), dtype=np.float32) * SPREAD + centre
        row, label = np.nonzero(rng.random(block.shape, dtype=np.float32) < 1 / (1 + np.exp(-block)))
        logits[start : start + len(block)] = block
        rows.append(row + start)
        labels.append(label)
    positives = Csr.from_pairs(np.concatenate(rows), np.concatenate(labels), num_samples)
    space = LabelSpace(names=tuple(f"label {label}" for label in range(num_labels)))
    return Judged(logits=logits, truth=LabelSets(space=space, positives=positives))


def cpu_seconds(call: Callable[[], object]) -> float:
    """Return the CPU seconds of a call."""
    gc.collect()
    started = time.process_time()
    call()
    return time.process_time() - started


def take_turns(calls: dict[str, Callable[[], object]], runs: int) -> Times:
    """Return the CPU seconds of each call, the calls taking turns; the first call of each does not count."""
    times: Times = {name: [] for name in calls}
    for run in range(runs + 1):
        for name, call in calls.items():
            seconds = cpu_seconds(call)
            if run:
                times[name].append(seconds)
    return times


def curves_of(ranks: PositiveRanks) -> tuple[object, ...]:
    """Return average precision, AUROC and best F1 of each label."""
    return average_precision(ranks), auroc(ranks), best_f(ranks)


def torch_figures(judged: Judged) -> dict[str, Callable[[], object]]:
    """Return six figures of torchmetrics: macro AP, AUROC and F1, LRAP, coverage, ranking loss."""
    from torchmetrics.functional import classification as tm

    probs, dense = torch.sigmoid(torch.from_numpy(judged.logits)), torch.from_numpy(judged.dense())
    options = {"num_labels": dense.shape[1], "validate_args": False}
    return {
        "ap": lambda: tm.multilabel_average_precision(probs, dense, average=None, **options),
        "auroc": lambda: tm.multilabel_auroc(probs, dense, average=None, **options),
        "f1": lambda: tm.multilabel_f1_score(probs, dense, average="macro", **options),
        "lrap": lambda: tm.multilabel_ranking_average_precision(probs, dense, **options),
        "coverage": lambda: tm.multilabel_coverage_error(probs, dense, **options),
        "ranking loss": lambda: tm.multilabel_ranking_loss(probs, dense, **options),
    }


def sklearn_figures(judged: Judged) -> dict[str, Callable[[], object]]:
    """Return the same six of scikit-learn."""
    from sklearn import metrics as sk

    logits, dense = judged.logits, judged.dense()
    return {
        "ap": lambda: sk.average_precision_score(dense, logits, average=None),
        "auroc": lambda: sk.roc_auc_score(dense, logits, average=None),
        "f1": lambda: sk.f1_score(dense, logits >= 0, average="macro", zero_division=0),
        "lrap": lambda: sk.label_ranking_average_precision_score(dense, logits),
        "coverage": lambda: sk.coverage_error(dense, logits),
        "ranking loss": lambda: sk.label_ranking_loss(dense, logits),
    }


def six_figures(judged: Judged) -> tuple[object, ...]:
    """Return our six, from one pass over columns, one over rows, one over cells."""
    from manyhot.metrics.counts import count_above
    from manyhot.metrics.ranking import rank_by_row, ranking_values
    from manyhot.metrics.ranks import rank_by_label

    truth = read_truth(judged.truth)
    ranks = rank_by_label(judged.logits, truth)
    half = count_above(judged.logits, np.zeros(truth.num_labels), truth).labels
    return average_precision(ranks), auroc(ranks), half.f_beta(1), ranking_values(rank_by_row(judged.logits, truth))


def measure_curves(runs: int) -> dict[str, object]:
    """Compare AP, AUROC and best F1 with torchmetrics' AP alone."""
    judged = make_judged(5_000, 11_000, 0.0036)
    tensor = torch.from_numpy(judged.logits)
    calls = {
        "torchmetrics AP": torch_figures(judged)["ap"],
        "manyhot": lambda: curves_of(rank_positives(judged.logits, judged.truth)),
        "manyhot in torch": lambda: curves_of(rank_on_device(tensor, read_truth(judged.truth))),
    }
    return summary(take_turns(calls, runs), "torchmetrics AP")


def measure_all(runs: int) -> dict[str, object]:
    """Compare every figure with the sum of six of torchmetrics'."""
    judged = make_judged(5_000, 11_000, 0.0036)
    counts, figures = count_cells(judged.truth), torch_figures(judged)
    calls = {
        "torchmetrics, six figures": lambda: [figure() for figure in figures.values()],
        "manyhot, every figure": lambda: evaluate(judged.logits, judged.truth, kind="logits", train_counts=counts),
    }
    return summary(take_turns(calls, runs), "torchmetrics, six figures")


def measure_few(runs: int) -> dict[str, object]:
    """Compare six figures at 40,000 × 80 with both libraries."""
    judged = make_judged(40_000, 80, 0.036)
    theirs = {"torchmetrics": torch_figures(judged), "scikit-learn": sklearn_figures(judged)}
    calls: dict[str, Callable[[], object]] = {"manyhot": lambda: six_figures(judged)}
    for library, figures in theirs.items():
        calls[library] = lambda figures=figures: [figure() for figure in figures.values()]
    times = take_turns(calls, runs)
    found = summary(times, "torchmetrics")
    median = {name: statistics.median(seconds) for name, seconds in times.items()}
    return found | {"ratio to scikit-learn": round(median["scikit-learn"] / median["manyhot"], 1)}


def measure_memory(_runs: int) -> dict[str, object]:
    """Return the most that evaluating holds beyond scores and truth, its result included."""
    judged = make_judged(5_000, 11_000, 0.0036)
    counts = count_cells(judged.truth)
    evaluate(judged.logits, judged.truth, kind="logits", train_counts=counts)
    tracemalloc.start(1)
    evaluation = evaluate(judged.logits, judged.truth, kind="logits", train_counts=counts)
    return {
        "evaluate needs, MB": round(tracemalloc.get_traced_memory()[1] / 1e6, 1),
        "figures": len(evaluation.figures),
    }


def summary(times: Times, baseline: str) -> dict[str, object]:
    """Return medians, spreads, and how many times as long the baseline takes."""
    median = {name: statistics.median(seconds) for name, seconds in times.items()}
    return {
        "cpu_s": {name: [round(value, 4) for value in (median[name], min(s), max(s))] for name, s in times.items()},
        "ratio": {name: round(median[baseline] / median[name], 1) for name in times if name != baseline},
    }


MEASURES = {"curves": measure_curves, "all": measure_all, "few": measure_few, "memory": measure_memory}


def main() -> None:
    """Measure one claim, print it, and append it as a JSON line where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=MEASURES)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    line = json.dumps(
        {"what": options.what, "cpu": cpu_model(), "runs": options.runs, **MEASURES[options.what](options.runs)}
    )
    print(line)
    if options.out is not None:
        with options.out.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


if __name__ == "__main__":
    main()
