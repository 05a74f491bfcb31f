"""Decisions on labels they were not fitted on: macro- and micro-F1 of each rule on test, against 0.5, predict-all and own best F.

    python benchmarks/decisions.py power-law
    python benchmarks/decisions.py goemotions --data ../shared/data/text_goemotions
    python benchmarks/decisions.py posters --data ../shared/data/posters
    python benchmarks/decisions.py promises

Three seeds; the worst margin is the claim. `cross-fitted` are the figures of the default on its validation samples, each
decided by a decision that has not seen it.

power-law: 1,000 labels by Zipf's law, the k-th on 0.5/k of the samples, so that half of them have at most five positives
among 5,000 validation samples; true log-odds normal, with a standard deviation of 3 exp(0.3 N) a label; logits miscalibrated,
2 × log-odds + 1 + 0.3 N a label; 20,000 test samples. `--signal` tries other standard deviations than 3.
goemotions: TF-IDF of words and pairs, logistic regression a label; `dev.tsv` is test, 6,000 drawn rows of `train.tsv` validation.
promises: 100 validation splits of 600 samples, 20 labels; how often the rate on 20,000 new samples is at most the level, 0.1.
posters: logistic regression a label on 16 × 16 thumbnails; 70 % train, 15 % validation, 15 % test by seed.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from main_job import cpu_model
from scipy.special import expit, logit

from manyhot.decisions import (
    FalseDiscoveryRate,
    FalseNegativeRate,
    best_thresholds,
    cross_fit,
    fit_decision,
    plug_in_thresholds,
)
from manyhot.labels import LabelSets, LabelSpace

RESULTS = Path(__file__).parent / "results"
NUM_LABELS, VALIDATION, TEST_CHUNK, TEST_CHUNKS = 1_000, 5_000, 5_000, 4
RULES = ("plug-in", "best-f", "global")


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Validation logits with their truth, and test in chunks; log-odds where the truth behind the labels is known."""

    logits: np.ndarray
    truth: np.ndarray
    test: list[tuple[np.ndarray, np.ndarray, np.ndarray | None]]
    min_positives: int


def power_law(seed: int, signal: float) -> Problem:
    """Return the synthetic problem of a seed."""
    rng = np.random.default_rng(seed)
    prevalence = 0.5 / np.arange(1, NUM_LABELS + 1)
    spread = signal * np.exp(0.3 * rng.normal(size=NUM_LABELS))
    centre = centres(prevalence, spread)
    error = 0.3 * rng.normal(size=NUM_LABELS)

    def draw(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        log_odds = centre + spread * rng.normal(size=(size, NUM_LABELS))
        return 2.0 * log_odds + 1.0 + error, rng.random(log_odds.shape) < expit(log_odds), log_odds

    logits, truth, _ = draw(VALIDATION)
    return Problem(logits=logits, truth=truth, test=[draw(TEST_CHUNK) for _ in range(TEST_CHUNKS)], min_positives=1)


def centres(prevalence: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Return the means of normal log-odds of a given spread under which labels occur as often as they should; bisection."""
    points, weights = np.polynomial.hermite_e.hermegauss(61)
    low, high = np.full(prevalence.shape, -80.0), np.full(prevalence.shape, 20.0)
    for _ in range(80):
        middle = 0.5 * (low + high)
        shares = expit(middle[:, None] + spread[:, None] * points) @ (weights / weights.sum())
        low, high = np.where(shares < prevalence, middle, low), np.where(shares < prevalence, high, middle)
    return 0.5 * (low + high)


def goemotions(seed: int, folder: Path) -> Problem:
    """Return TF-IDF logits of GoEmotions; the seed draws the validation rows."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    names = (folder / "labels.txt").read_text().split()

    def read(name: str) -> tuple[list[str], np.ndarray]:
        rows = [line.split("\t") for line in (folder / name).read_text(encoding="utf-8").splitlines()]
        truth = np.zeros((len(rows), len(names)), dtype=bool)
        for row, (_, ids, *_) in enumerate(rows):
            truth[row, [int(label) for label in ids.split(",")]] = True
        return [row[0] for row in rows], truth

    texts, truth = read("train.tsv")
    test_texts, test_truth = read("dev.tsv")
    order = np.random.default_rng(seed).permutation(len(texts))
    val, train = order[:6_000], order[6_000:]
    vectoriser = TfidfVectorizer(ngram_range=(1, 2), min_df=3, sublinear_tf=True)
    features = vectoriser.fit_transform([texts[row] for row in train])
    parts = [vectoriser.transform([texts[row] for row in val]), vectoriser.transform(test_texts)]
    logits = regress(features, truth[train], parts, strength=4.0)
    test = [(logits[1], test_truth, None)]
    return Problem(logits=logits[0], truth=truth[val], test=test, min_positives=5)


def posters(seed: int, folder: Path) -> Problem:
    """Return logits of poster thumbnails; the seed draws the splits."""
    import cv2

    from manyhot.data.decoding import decode_image

    labels = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
    names = sorted({genre for genres in labels.values() for genre in genres})
    truth = np.array([[name in genres for name in names] for genres in labels.values()])
    pixels = np.stack(
        [
            cv2.resize(decode_image(folder / "images" / file), (16, 16), interpolation=cv2.INTER_AREA).ravel()
            for file in labels
        ]
    )
    order = np.random.default_rng(seed).permutation(len(truth))
    train, val, test = np.split(order, [round(0.7 * len(order)), round(0.85 * len(order))])
    features = (pixels - pixels[train].mean(axis=0)) / pixels[train].std(axis=0)
    logits = regress(features[train], truth[train], [features[val], features[test]], strength=1e-4)
    return Problem(logits=logits[0], truth=truth[val], test=[(logits[1], truth[test], None)], min_positives=5)


def regress(features: object, truth: np.ndarray, parts: list, *, strength: float) -> list[np.ndarray]:
    """Return the logits of one logistic regression a label on each part; a label without positives gets its log-odds."""
    from sklearn.linear_model import LogisticRegression

    columns: list[list[np.ndarray]] = [[] for _ in parts]
    for label in range(truth.shape[1]):
        positives = truth[:, label]
        if positives.any():
            model = LogisticRegression(C=strength, max_iter=300).fit(features, positives)
        for column, part in zip(columns, parts, strict=True):
            rare = np.full(part.shape[0], logit(1.0 / (len(truth) + 2.0)))
            column.append(model.decision_function(part) if positives.any() else rare)
    return [np.stack(column, axis=1) for column in columns]


def run_seed(problem: Problem) -> dict[str, dict[str, float]]:
    """Return macro- and micro-F1 on test of every rule, of the default on validation cross-fitted, and how long fits took."""
    sets = sets_of(problem.truth)
    started = time.process_time()
    decisions = {rule: fit_decision(problem.logits, sets, rule=rule) for rule in RULES}
    seconds = time.process_time() - started
    own = best_thresholds(expit(problem.logits), sets)
    found = {rule: [decision.preds(logits) for logits, _, _ in problem.test] for rule, decision in decisions.items()}
    found["half"] = [logits >= 0 for logits, _, _ in problem.test]
    found["predict all"] = [np.ones(truth.shape, dtype=bool) for _, truth, _ in problem.test]
    found["own best F"] = [expit(logits) >= own for logits, _, _ in problem.test]
    if problem.test[0][2] is not None:
        known = [expit(log_odds) for _, _, log_odds in problem.test if log_odds is not None]
        thresholds = plug_in_thresholds(np.concatenate(known))
        found["true posterior"] = [probs >= thresholds for probs in known]
    truths = [truth for _, truth, _ in problem.test]
    figures = {name: f1(zip(preds, truths, strict=True), problem.min_positives) for name, preds in found.items()}
    held_out = cross_fit(problem.logits, sets).preds
    figures["cross-fitted"] = f1([(held_out, problem.truth)], problem.min_positives)
    fitted = decisions["plug-in"].preds(problem.logits)
    figures["flattering"] = f1([(fitted, problem.truth)], problem.min_positives)
    return figures | {"cpu": {"seconds": round(seconds, 2)}}


def sets_of(truth: np.ndarray) -> LabelSets:
    """Return a truth table as label sets."""
    return LabelSets.from_dense(
        truth.astype(np.float64), LabelSpace(names=tuple(f"label {label}" for label in range(truth.shape[1])))
    )


def f1(parts: Iterator[tuple[np.ndarray, np.ndarray]] | list, min_positives: int) -> dict[str, float]:
    """Return macro-F1 over labels of enough positives, and micro-F1 over all cells, from counts over all parts."""
    counts = np.array(
        [((preds & truth).sum(axis=0), preds.sum(axis=0), truth.sum(axis=0)) for preds, truth in parts]
    ).sum(axis=0)
    hits, predicted, positives = counts
    judged = positives >= min_positives
    macro = float((2.0 * hits[judged] / (predicted + positives)[judged]).mean())
    return {"macro": round(macro, 4), "micro": round(float(2.0 * hits.sum() / (predicted + positives).sum()), 4)}


def margins(job: str, figures: dict[str, dict[str, float]]) -> dict[str, float]:
    """Return what the claims are about."""
    ours = figures["plug-in"]
    gap = {f"cross-fitted against test, {kind}": abs(figures["cross-fitted"][kind] - ours[kind]) for kind in ours}
    if job == "power-law":
        over = {f"{kind} over own best F": ours[kind] - figures["own best F"][kind] for kind in ours}
    else:
        best = max(figures["half"]["macro"], figures["predict all"]["macro"])
        over = {
            "macro over the better": ours["macro"] - best,
            "macro over half": ours["macro"] - figures["half"]["macro"],
        }
    return {name: round(value, 4) for name, value in (over | gap).items()}


def promises() -> dict[str, dict[str, float]]:
    """Return for each promise how often it was kept, and the mean and the largest rate on new samples."""

    def draw(rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
        log_odds = np.linspace(-3.0, 0.0, 20) + 2.0 * rng.normal(size=(size, 20))
        return 2.0 * log_odds + 1.0, rng.random(log_odds.shape) < expit(log_odds)

    new, new_truth = draw(np.random.default_rng(1_000), 20_000)
    counted = new_truth.any(axis=1)
    kept: dict[str, dict[str, float]] = {}
    for rate in (FalseNegativeRate, FalseDiscoveryRate):
        for confidence in (None, 0.95):
            rates = np.empty(100)
            for seed in range(100):
                logits, truth = draw(np.random.default_rng(seed), 600)
                rule = rate(level=0.1, confidence=confidence)
                preds = fit_decision(logits, sets_of(truth), rule=rule).preds(new)
                missed = 1.0 - (preds & new_truth)[counted].sum(axis=1) / new_truth[counted].sum(axis=1)
                wrong = (preds & ~new_truth).sum(axis=1) / np.maximum(preds.sum(axis=1), 1)
                rates[seed] = (missed if rate is FalseNegativeRate else wrong).mean()
            name = f"{rate.name}, {'in expectation' if confidence is None else f'confidence {confidence:g}'}"
            kept[name] = {"kept": int((rates <= 0.1).sum()), "mean": round(float(rates.mean()), 4)}
            kept[name]["worst"] = round(float(rates.max()), 4)
            print(name, kept[name], flush=True)
    return kept


def write(line: dict[str, object]) -> None:
    """Append a line to the results."""
    with (RESULTS / "decisions.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def main() -> None:
    """Run one job for each seed and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("job", choices=("power-law", "goemotions", "posters", "promises"))
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--signal", type=float, default=3.0, help="of power-law")
    flags = parser.parse_args()
    if flags.job == "promises":
        write({"benchmark": "decisions promises", "cpu": cpu_model(), "results": promises()})
        return
    results: list[dict[str, object]] = []
    every: list[dict[str, float]] = []
    for seed in flags.seeds:
        if flags.job == "power-law":
            problem = power_law(seed, flags.signal)
        else:
            problem = {"goemotions": goemotions, "posters": posters}[flags.job](seed, flags.data)
        figures = run_seed(problem)
        every.append(margins(flags.job, figures))
        results.append({"seed": seed, "figures": figures, "margins": every[-1]})
        for name, values in figures.items():
            print(
                f"seed {seed} {name:16}", " ".join(f"{kind} {value:.4g}" for kind, value in values.items()), flush=True
            )
    worst = {name: (max if "against" in name else min)(found[name] for found in every) for name in every[0]}
    print("worst", json.dumps(worst))
    line = {"benchmark": f"decisions {flags.job}", "cpu": cpu_model(), "signal": flags.signal, "results": results}
    write(line | {"worst": worst})


if __name__ == "__main__":
    main()
