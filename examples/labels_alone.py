"""Labels without training: three states, counts, a stratified split. NumPy only, torch is never loaded."""

import sys

import numpy as np

from manyhot.labels import LabelSets, LabelSpace, cardinality, count_cells, split_samples

# From names. A sample without labels is a sample of negatives, and stays.
sets = LabelSets.from_names([["dress", "red"], ["red"], [], ["dress", "N/A"]] * 10)
counts = count_cells(sets)
for name, positives, prevalence in zip(sets.space.names, counts.positives, counts.prevalence, strict=True):
    print(f"{name}: {positives} of {sets.num_samples} samples, {prevalence:.0%}")
print(f"{cardinality(sets):.2f} labels a sample")

# Every part of a split gets its share of every label, rare ones first.
parts = split_samples(sets, (0.5, 0.25, 0.25), seed=0)
for part, split in enumerate(("train", "val", "test")):
    rows = np.flatnonzero(parts == part)
    print(split, len(rows), "samples, positives", count_cells(sets.take(rows)).positives.tolist())

# Unknown is a state of its own: NaN in a dense matrix.
space = LabelSpace(names=("red", "dress"), groups=("colour", "type"))
partial = LabelSets.from_dense(np.array([[1, 0], [np.nan, 1], [0, np.nan]]), space)
print("known cells of each label:", count_cells(partial).known.tolist())

assert "torch" not in sys.modules
