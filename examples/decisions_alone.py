"""Decisions without training: calibrate logits of any model, fit thresholds, and see what 0.5 would have cost."""

import numpy as np

from manyhot.decisions import fit_decision
from manyhot.labels import LabelSets, LabelSpace
from manyhot.metrics import evaluate

# Logits of a model that ranks well and is far too unsure of rare labels, for 2,000 samples and 20 labels.
generator = np.random.default_rng(0)
prevalence = np.geomspace(0.3, 0.01, 20)
truth_matrix = generator.random((2_000, 20)) < prevalence
noise = generator.normal(size=truth_matrix.shape)
logits = (2.0 * truth_matrix + noise + np.log(prevalence) - 1.0).astype(np.float32)
truth = LabelSets.from_dense(truth_matrix.astype(np.float32), LabelSpace(names=tuple(f"label {i}" for i in range(20))))

# Fit on one half, judge on the other: never on the samples that the thresholds were fitted on.
val, test = range(1_000), range(1_000, 2_000)
decision = fit_decision(logits[:1_000], truth.take(val), rule="plug-in", beta=1.0)
preds = decision.preds(logits[1_000:])
evaluation = evaluate(logits[1_000:], truth.take(test), kind="logits", preds=preds)

print("macro-F1 with fitted thresholds:", evaluation.figures["f1_macro"].value)
print("macro-F1 with 0.5 for everything:", evaluation.figures["f1_macro_at_half"].value)
print("macro-F1 of predicting every label:", evaluation.baselines["predict all"]["f1_macro"])
for name, threshold in zip(truth.space.names[:3], decision.thresholds, strict=False):
    print(f"{name}: positive from a calibrated probability of {threshold:.2f}")
print("labels of the first sample:", [truth.space.names[label] for label in np.flatnonzero(preds[0])])
