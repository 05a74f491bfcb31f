"""The whole job from Python: train on a folder, look at the figures, predict pictures."""

from pathlib import Path

import manyhot
from manyhot.config import DataConfig, EncoderConfig, ImagesConfig, Recipe, TrainingConfig
from manyhot.runs.digits import write_pictures

if __name__ == "__main__":
    # Stand-in for your own folder: real handwritten digits, composed into pictures, with a labels.csv.
    write_pictures(Path("pictures"), {"train": 480, "val": 80, "test": 80}, seed=0)

    # `manyhot.train("pictures")` takes the defaults; a recipe changes them.
    recipe = Recipe(
        data=DataConfig(path="pictures"),
        images=ImagesConfig(size=48, flip=False),
        encoder=EncoderConfig(name="test_resnet", pretrained="none"),
        training=TrainingConfig(epochs=3),
    )
    run = manyhot.train(recipe, "run")

    evaluation = run.evaluation
    for name in ("map_macro", "f1_macro"):
        figure = evaluation.figures[name]
        baseline = evaluation.baselines["predict prevalence"][name]
        print(
            f"{name}: {figure.value:.3f} over {figure.defined} of {figure.total} labels; prevalence alone: {baseline}"
        )

    pictures = sorted(Path("pictures").rglob("*.png"))[:3]
    predictions = run.predict(pictures)
    for reference, labels in zip(predictions.references, predictions.labels(), strict=True):
        print(reference, labels)
