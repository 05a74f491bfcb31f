"""The figures that most questions ask for, in the order in which they are shown."""

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
