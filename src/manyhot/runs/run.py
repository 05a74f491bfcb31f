"""The folder that a training leaves, and what can be asked of it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from manyhot.config import DecisionConfig, Recipe
from manyhot.errors import RunError
from manyhot.recipes import load_recipe

if TYPE_CHECKING:
    from manyhot.bundle import Bundle
    from manyhot.metrics import Evaluation
    from manyhot.runs.predicting import Predictions


@dataclass(frozen=True, init=False)
class Run:
    """A run folder, or a bundle on its own.

    Args:
        folder: The folder.

    Raises:
        RunError: If the folder holds neither a run nor a bundle.
    """

    folder: Path

    def __init__(self, folder: str | Path) -> None:
        object.__setattr__(self, "folder", Path(folder))
        if not self.folder.is_dir():
            raise RunError(f"{self.folder}: there is no such run; give the folder that `manyhot train` wrote")
        if not (self.is_bundle or (self.folder / "recipe.toml").is_file()):
            raise RunError(
                f"{self.folder}: holds neither recipe.toml nor bundle.json, so it is neither a run nor a bundle"
            )

    @property
    def is_bundle(self) -> bool:
        """Whether the folder is a bundle on its own, without the run around it."""
        return (self.folder / "bundle.json").is_file()

    @property
    def is_finished(self) -> bool:
        """Whether training and evaluation came to their end."""
        from manyhot.files import current_folder

        return (self.folder / "metrics.json").is_file() and current_folder(self.folder / "bundle").is_dir()

    @cached_property
    def recipe(self) -> Recipe:
        """The resolved recipe that the run was made by."""
        if self.is_bundle:
            raise RunError(f"{self.folder}: is a bundle without its run; the recipe stayed in the run folder")
        return load_recipe(self.folder / "recipe.toml")

    @cached_property
    def bundle(self) -> "Bundle":
        """The trained model with its label space and decision."""
        from manyhot.bundle import load_bundle
        from manyhot.files import current_folder

        folder = self.folder if self.is_bundle else self.folder / "bundle"
        if not current_folder(folder).is_dir():
            raise RunError(
                f"{self.folder}: the run has no bundle yet; finish it with: manyhot train --resume --out {self.folder}"
            )
        return load_bundle(folder)

    @cached_property
    def evaluation(self) -> "Evaluation":
        """The figures on the run's own test split."""
        from manyhot.metrics import Evaluation

        path = self.folder / "metrics.json"
        try:
            return Evaluation.from_dict(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise RunError(f"{path}: missing; the run is not finished") from None
        except (json.JSONDecodeError, KeyError) as error:
            raise RunError(f"{path}: cannot be read ({error}); evaluate the run again") from None

    def predict(self, inputs: str | Path | Sequence[str | Path]) -> "Predictions":
        """Return the predictions for images, folders of images, or tables that name images.

        Files that cannot be read are listed in `failures` and do not stop the others.
        """
        from manyhot.runs.predicting import predict

        listed = [inputs] if isinstance(inputs, str | Path) else inputs
        return predict(self, [Path(item) for item in listed])

    def decide(self, decision: DecisionConfig) -> "Run":
        """Return this run with another decision, fitted on the logits that it saved: nothing is trained.

        The bundle, the figures and the report in the folder are written anew.
        """
        from manyhot.runs.redeciding import decide_again

        return decide_again(self, decision)
