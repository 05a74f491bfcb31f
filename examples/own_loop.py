"""manyhot's parts in a plain PyTorch loop: sparse targets, the loss, and figures over the whole test split.

The data are real: two handwritten digits side by side, labelled with both.
"""

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

from manyhot.labels import LabelSets, LabelSpace, count_cells, log_odds, split_samples
from manyhot.losses import BCEWithLogitsLoss
from manyhot.metrics import evaluate
from manyhot.targets import SparseTargets

torch.manual_seed(0)
pixels, numbers = load_digits(return_X_y=True)
pairs = np.random.default_rng(0).permutation(len(numbers))[:1_796].reshape(-1, 2)
features = torch.from_numpy(pixels[pairs].reshape(len(pairs), -1) / 16).float()
sets = LabelSets.from_lists(numbers[pairs].tolist(), LabelSpace(names=tuple("0123456789")))

parts = split_samples(sets, (0.8, 0.2), seed=0)
train, test = np.flatnonzero(parts == 0), np.flatnonzero(parts == 1)

# Logits at the end, no sigmoid: the loss contains it. The bias starts at the log-odds of each label.
head = nn.Linear(128, sets.num_labels)
with torch.no_grad():
    head.bias.copy_(torch.from_numpy(log_odds(count_cells(sets.take(train)))))
model = nn.Sequential(nn.Linear(128, 128), nn.ReLU(), head)
loss_of = BCEWithLogitsLoss()
optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)

for epoch in range(15):
    total = 0.0
    for rows in np.array_split(np.random.default_rng(epoch).permutation(train), 12):
        loss = loss_of(model(features[rows]), SparseTargets.from_label_sets(sets.take(rows)))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        total += loss.item() / 12
    if epoch % 5 == 4:
        print(f"epoch {epoch + 1}: loss {total:.4f}")

# Scores of the whole split, then one evaluation: never a mean over batches.
with torch.inference_mode():
    evaluation = evaluate(model(features[test]), sets.take(test), kind="logits")
for name in ("map_macro", "f1_macro_at_half", "subset_accuracy_at_half"):
    figure = evaluation.figures[name]
    print(f"{name}: {figure.value:.3f}, defined for {figure.defined} of {figure.total}")
