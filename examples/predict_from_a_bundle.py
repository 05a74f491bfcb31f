"""Predict from a bundle: one folder with weights, labels, preprocessing and decision; no data and no training stack."""

from pathlib import Path

import numpy as np

import manyhot
from manyhot.config import DataConfig, EncoderConfig, ImagesConfig, Recipe, TrainingConfig
from manyhot.data.augmentation import EvaluationTransform
from manyhot.data.decoding import decode_image
from manyhot.runs.digits import write_pictures

if __name__ == "__main__":
    # Somebody trained this, some other day, on some other machine.
    write_pictures(Path("pictures"), {"train": 320, "val": 80, "test": 80}, seed=0)
    recipe = Recipe(
        data=DataConfig(path="pictures"),
        images=ImagesConfig(size=32, flip=False),
        encoder=EncoderConfig(name="test_resnet", pretrained="none"),
        training=TrainingConfig(epochs=1),
    )
    manyhot.train(recipe, "run")

    # Checksums are compared while it loads; a changed file is refused by name.
    bundle = manyhot.load_bundle(Path("run/bundle"))
    print(len(bundle.space), "labels, encoder", bundle.spec.encoder)

    # The short way takes files, whatever is wrong with some of them.
    predictions = manyhot.Run(Path("run/bundle")).predict("pictures")
    print(len(predictions.references), "predicted,", len(predictions.failures), "could not be read")

    # The long way hands over pixels: 8-bit RGB as the bundle's size wants them.
    resize = EvaluationTransform(bundle.spec.preprocessing.image_size)
    paths = sorted(Path("pictures").rglob("*.png"))[:4]
    images = np.stack([resize(decode_image(path), None) for path in paths]).transpose(0, 3, 1, 2)
    logits = bundle.logits(images)
    for path, probs, preds in zip(paths, bundle.decision.probs(logits), bundle.decision.preds(logits), strict=True):
        names = [f"{bundle.space.names[label]} ({probs[label]:.2f})" for label in np.flatnonzero(preds)]
        print(path.name, ", ".join(names) or "no label")
