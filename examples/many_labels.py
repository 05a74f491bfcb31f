"""Ten thousand labels in a plain PyTorch loop: the head learns in chunks, and no matrix of samples × labels ever exists.

The data are made up: each label has a direction, and a sample lies where its labels point.
"""

import numpy as np
import torch
from torch import nn

from manyhot.labels import LabelSets, LabelSpace, count_cells, log_odds
from manyhot.losses import BCEWithLogitsLoss
from manyhot.losses.linear import FusedLinearHead
from manyhot.metrics import evaluate_best
from manyhot.targets import SparseTargets

NUM_SAMPLES, NUM_LABELS, WIDTH = 6_000, 10_000, 32
torch.manual_seed(0)
torch.set_num_threads(1)
rng = np.random.default_rng(0)

# A few labels a sample, the first ones often, most of them hardly ever.
chances = 1 / np.arange(1, NUM_LABELS + 1) ** 1.5
drawn = rng.choice(NUM_LABELS, (NUM_SAMPLES, 3), p=chances / chances.sum())
sets = LabelSets.from_lists(
    [np.unique(row).tolist() for row in drawn], LabelSpace(names=tuple(map(str, range(NUM_LABELS))))
)
directions = torch.randn(NUM_LABELS, WIDTH)
samples = nn.functional.normalize(directions[torch.from_numpy(drawn)].sum(dim=1), dim=1)
train, test = np.arange(5_000), np.arange(5_000, NUM_SAMPLES)

# Biases start at the log-odds of each label; rows of weights at 0.
encoder = nn.Linear(WIDTH, WIDTH)
head = FusedLinearHead(
    WIDTH,
    NUM_LABELS,
    loss=BCEWithLogitsLoss(reduction="sample_mean"),
    lr=20.0,
    weights="bfloat16",
    bias=torch.from_numpy(log_odds(count_cells(sets.take(train)))),
)
optimiser = torch.optim.Adam(encoder.parameters(), lr=1e-3)

for epoch in range(3):
    total = 0.0
    for rows in np.array_split(np.random.default_rng(epoch).permutation(train), 20):
        # The head has learnt when this returns; the backward pass is the encoder's.
        loss = head(encoder(samples[rows]), SparseTargets.from_label_sets(sets.take(rows)))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        total += loss.item() / 20
    print(f"epoch {epoch + 1}: loss {total:.3f}")

with torch.inference_mode():
    best = head.eval().top_k(encoder(samples[test]), k=5)
figures = evaluate_best(best.label_ids, sets.take(test), train_counts=count_cells(sets.take(train)))
for name in ("precision_at_1", "precision_at_5", "psp_at_5"):
    print(f"{name}: {figures[name]}")
