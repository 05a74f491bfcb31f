"""Every figure in plain Python, from its definition: loops over pairs of cells, no ranks, no counts shared."""

import math

UNDEFINED = math.nan


def cells_of(scores, truth):
    """Return the known cells as (row, label, score, positive)."""
    return [
        (i, j, float(scores[i][j]), truth[i][j] == 1)
        for i in range(len(scores))
        for j in range(len(scores[i]))
        if not math.isnan(truth[i][j])
    ]


def mean(values):
    """Return the mean of the values that are not NaN; NaN if there is none."""
    kept = [value for value in values if not math.isnan(value)]
    return math.fsum(kept) / len(kept) if kept else UNDEFINED


def weighted(values, weights):
    kept = [(value, weight) for value, weight in zip(values, weights, strict=True) if not math.isnan(value)]
    total = sum(weight for _, weight in kept)
    return math.fsum(value * weight for value, weight in kept) / total if total else UNDEFINED


def ratio(numerator, denominator):
    return numerator / denominator if denominator else UNDEFINED


def average_precision(pairs):
    """Pairs of (score, positive)."""
    positives = [score for score, positive in pairs if positive]
    return mean(
        [
            sum(1 for other, positive in pairs if positive and other >= score)
            / sum(1 for other, _ in pairs if other >= score)
            for score in positives
        ]
    )


def auroc(pairs):
    positives = [score for score, positive in pairs if positive]
    negatives = [score for score, positive in pairs if not positive]
    right = sum((a > b) + 0.5 * (a == b) for a in positives for b in negatives)
    return ratio(right, len(positives) * len(negatives))


def outcomes(pairs):
    """Return TP, FP, FN, TN of pairs (decided, positive)."""
    return (
        sum(1 for decided, positive in pairs if decided and positive),
        sum(1 for decided, positive in pairs if decided and not positive),
        sum(1 for decided, positive in pairs if not decided and positive),
        sum(1 for decided, positive in pairs if not decided and not positive),
    )


def precision(tp, fp, fn, tn):
    return ratio(tp, tp + fp)


def recall(tp, fp, fn, tn):
    return ratio(tp, tp + fn)


def f_beta(tp, fp, fn, tn, beta):
    return ratio((1 + beta**2) * tp, (1 + beta**2) * tp + beta**2 * fn + fp)


def f1(tp, fp, fn, tn):
    return f_beta(tp, fp, fn, tn, 1)


def f2(tp, fp, fn, tn):
    return f_beta(tp, fp, fn, tn, 2)


def jaccard(tp, fp, fn, tn):
    return ratio(tp, tp + fp + fn)


def accuracy(tp, fp, fn, tn):
    return ratio(tp + tn, tp + fp + fn + tn)


def balanced_accuracy(tp, fp, fn, tn):
    return UNDEFINED if tp + fn == 0 or tn + fp == 0 else (tp / (tp + fn) + tn / (tn + fp)) / 2


def mcc(tp, fp, fn, tn):
    margins = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return ratio(tp * tn - fp * fn, math.sqrt(margins))


def columns(cells, num_labels):
    return [[cell for cell in cells if cell[1] == j] for j in range(num_labels)]


def rows(cells, num_samples):
    return [[cell for cell in cells if cell[0] == i] for i in range(num_samples)]


def ranked_figures(scores, truth, num_labels):
    cells = cells_of(scores, truth)
    by_label = [[(s, y) for _, _, s, y in column] for column in columns(cells, num_labels)]
    precisions = [average_precision(pairs) for pairs in by_label]
    pooled = [(s, y) for _, _, s, y in cells]
    return {
        "map_macro": mean(precisions),
        "map_weighted": weighted(precisions, [sum(y for _, y in pairs) for pairs in by_label]),
        "map_micro": average_precision(pooled),
        "auroc_macro": mean([auroc(pairs) for pairs in by_label]),
        "auroc_micro": auroc(pooled),
    }


def decided_figures(decisions, truth, num_labels):
    cells = cells_of(decisions, truth)
    by_label = [outcomes([(d, y) for _, _, d, y in column]) for column in columns(cells, num_labels)]
    by_row = [outcomes([(d, y) for _, _, d, y in row]) for row in rows(cells, len(truth))]
    pooled = outcomes([(d, y) for _, _, d, y in cells])
    supports = [tp + fn for tp, _, fn, _ in by_label]
    figures = {}
    for name, function in (("precision", precision), ("recall", recall), ("f1", f1), ("f2", f2)):
        values = [function(*counts) for counts in by_label]
        figures[f"{name}_macro"] = mean(values)
        figures[f"{name}_weighted"] = weighted(values, supports)
        figures[f"{name}_micro"] = function(*pooled)
    for name, function in (("f1", f1), ("f2", f2), ("jaccard", jaccard)):
        both_empty = [tp + fp + fn == 0 for tp, fp, fn, _ in by_row]
        values = [1.0 if empty else function(*counts) for empty, counts in zip(both_empty, by_row, strict=True)]
        figures[f"{name}_samples"] = mean(values)
    precisions = [precision(*counts) for counts in by_label]
    figures["cp"] = mean([0.0 if math.isnan(value) else value for value in precisions])
    figures["cr"] = mean([recall(*counts) for counts in by_label])
    figures["cf1"] = harmonic(figures["cp"], figures["cr"])
    figures["op"], figures["or"], figures["of1"] = precision(*pooled), recall(*pooled), f1(*pooled)
    figures["subset_accuracy"] = mean(
        [UNDEFINED if not sum(counts) else float(counts[1] + counts[2] == 0) for counts in by_row]
    )
    figures["cell_accuracy"] = accuracy(*pooled)
    figures["hamming_loss"] = ratio(pooled[1] + pooled[2], sum(pooled))
    figures["balanced_accuracy_macro"] = mean([balanced_accuracy(*counts) for counts in by_label])
    figures["mcc_macro"] = mean([mcc(*counts) for counts in by_label])
    return figures


def harmonic(a, b):
    if math.isnan(a) or math.isnan(b):
        return UNDEFINED
    return 2 * a * b / (a + b) if a + b else 0.0


def order_of(row):
    """Return the cells of a row from the best down, the lowest label first among ties."""
    return sorted(row, key=lambda cell: (-cell[2], cell[1]))


def best_decisions(scores, truth, count):
    decisions = [[0] * len(row) for row in scores]
    for row in rows(cells_of(scores, truth), len(truth)):
        for i, j, _, _ in order_of(row)[:count]:
            decisions[i][j] = 1
    return decisions


def row_figures(scores, truth):
    collected = {}

    def add(name, value):
        collected.setdefault(name, []).append(value)

    for row in rows(cells_of(scores, truth), len(truth)):
        positives = [s for _, _, s, y in row if y]
        negatives = [s for _, _, s, y in row if not y]
        if not positives:
            continue
        add("lrap", average_precision([(s, y) for _, _, s, y in row]))
        add("coverage_error", sum(1 for _, _, s, _ in row if s >= min(positives)))
        if negatives:
            wrong = sum(a <= b for a in positives for b in negatives)
            add("ranking_loss", wrong / (len(positives) * len(negatives)))
        right = [y for _, _, _, y in order_of(row)]
        add("one_error", float(not right[0]))
        for k in (1, 3, 5):
            add(f"precision_at_{k}", sum(right[:k]) / k)
            add(f"recall_at_{k}", sum(right[:k]) / len(positives))
            gain = math.fsum(y / math.log2(rank + 2) for rank, y in enumerate(right[:k]))
            ideal = math.fsum(1 / math.log2(rank + 2) for rank in range(min(k, len(positives))))
            add(f"ndcg_at_{k}", gain / ideal)
        if len(positives) == 1:
            add("argmax_accuracy", float(right[0]))
            add("top5_accuracy", float(sum(right[:5])))
    names = ["lrap", "coverage_error", "ranking_loss", "one_error", "argmax_accuracy", "top5_accuracy"]
    names += [f"{name}_at_{k}" for name in ("precision", "recall", "ndcg") for k in (1, 3, 5)]
    return {name: mean(collected.get(name, [])) for name in names}


def calibration_error(triples, bins=15):
    """Triples of (score, probability, positive)."""
    members = [[] for _ in range(bins)]
    for score, prob, positive in triples:
        below = sum(1 for other, _, _ in triples if other < score)
        members[below * bins // len(triples)].append(prob - positive)
    return ratio(math.fsum(abs(math.fsum(differences)) for differences in members), len(triples))


def probabilities(values, kind):
    """Return (probability, −log of it, −log of its opposite) of each value, without overflow."""
    if kind == "logits":
        return [
            [(1 / (1 + math.exp(-z)) if z > -700 else 0.0, softplus(-z), softplus(z)) for z in row] for row in values
        ]
    return [[(p, surprise(p), surprise(1 - p)) for p in row] for row in values]


def softplus(z):
    return max(z, 0.0) + math.log1p(math.exp(-abs(z)))


def surprise(p):
    return -math.log(p) if p > 0 else math.inf


def probability_figures(values, truth, num_labels, kind, least_positives=10):
    probs = probabilities(values, kind)
    cells = [(i, j, s, *probs[i][j], y) for i, j, s, y in cells_of(values, truth)]
    by_label = [[(s, p, y) for _, other, s, p, _, _, y in cells if other == j] for j in range(num_labels)]
    errors = [
        calibration_error(triples) if sum(y for _, _, y in triples) >= least_positives else UNDEFINED
        for triples in by_label
    ]
    return {
        "brier": mean([(p - y) ** 2 for _, _, _, p, _, _, y in cells]),
        "bce": mean([(loss if y else other) for _, _, _, _, loss, other, y in cells]),
        "ece_macro": mean(errors),
        "ece_micro": calibration_error([(s, p, y) for _, _, s, p, _, _, y in cells]),
    }


def inverse_propensities(positives, samples, a=0.55, b=1.5):
    scale = (math.log(samples) - 1) * (b + 1) ** a
    return [1 + scale * (count + b) ** -a for count in positives]


def propensity_figures(scores, truth, weights):
    collected = {}
    for row in rows(cells_of(scores, truth), len(truth)):
        heaviest = sorted((weights[j] for _, j, _, y in row if y), reverse=True)
        if not heaviest:
            continue
        found = [weights[j] * y for _, j, _, y in order_of(row)]
        for k in (1, 3, 5):
            psp = math.fsum(found[:k]) / math.fsum(heaviest[:k])
            gain, best = (
                math.fsum(weight / math.log2(rank + 2) for rank, weight in enumerate(order[:k]))
                for order in (found, heaviest)
            )
            collected.setdefault(f"psp_at_{k}", []).append(psp)
            collected.setdefault(f"psndcg_at_{k}", []).append(gain / best)
    names = [f"{name}_at_{k}" for name in ("psp", "psndcg") for k in (1, 3, 5)]
    return {name: mean(collected.get(name, [])) for name in names}
