"""All that prediction needs, in one folder: weights, model specification, label space, decision, and their checksums.

No code runs on load, and nothing of the training stack is imported. One flipped byte in a weights file would load without
an error, so every file is compared with its SHA-256 first.
"""

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from manyhot.decisions import Decision
from manyhot.errors import BundleError, ManyhotError, ScoreError
from manyhot.files import current_folder, sha256_of, write_folder_atomically, write_json, write_text
from manyhot.labels import LabelCounts, LabelSpace
from manyhot.models.build import build_model
from manyhot.models.classifier import Classifier
from manyhot.models.spec import ModelSpec

FORMAT = "manyhot-bundle"
FORMAT_VERSION = 1
WEIGHTS, DESCRIPTION, METRICS, CARD = "model.safetensors", "bundle.json", "metrics.json", "README.md"
MANIFEST = "manifest.json"
_LISTED = (WEIGHTS, DESCRIPTION, METRICS, CARD)
_MEND = "copy the bundle again from where it came from, or train again"


@dataclass(frozen=True, kw_only=True, eq=False)
class Bundle:
    """A trained model with its labels and its decision.

    Args:
        model: In evaluation mode.
        spec: What the model is made of, and how pictures reach it.
        space: The label of each logit.
        decision: Logits to probabilities and predictions.
        metrics: The figures that it claims, in the schema of `metrics.json`; None where none were measured.
        train_counts: Counts of the training labels; None where they were not kept.
    """

    model: Classifier
    spec: ModelSpec
    space: LabelSpace
    decision: Decision
    metrics: dict[str, Any] | None
    train_counts: LabelCounts | None = None

    def logits(self, images: UInt8[Tensor, "n 3 h w"] | UInt8[np.ndarray, "n 3 h w"]) -> Float32[np.ndarray, "n l"]:
        """Return the logits of pictures, computed where the model lives.

        Args:
            images: RGB, resized as `spec.preprocessing` says.

        Raises:
            ScoreError: If the pictures are not uint8 or of another size.
        """
        size = self.spec.preprocessing.image_size
        pixels = torch.as_tensor(images)
        if pixels.dtype != torch.uint8 or tuple(pixels.shape[1:]) != (3, size, size):
            raise ScoreError(
                f"images are {pixels.dtype} of shape {tuple(pixels.shape)}; this bundle takes uint8 of shape "
                f"(n, 3, {size}, {size})"
            )
        device = next(self.model.parameters()).device
        with torch.inference_mode():
            return self.model(pixels.to(device)).float().cpu().numpy()


def save_bundle(
    folder: Path,
    *,
    model: Classifier,
    spec: ModelSpec,
    space: LabelSpace,
    decision: Decision,
    evaluation: Mapping[str, Any] | None,
    card: str,
    train_counts: LabelCounts | None = None,
) -> None:
    """Write a bundle: built beside its place and put there whole, also over an older bundle.

    Args:
        folder: Absent, empty, or an unchanged bundle; its parent must exist.
        model: Its weights are written as they are, from whatever device.
        spec: What the model was built from.
        space: The label of each logit.
        decision: Fitted on validation samples.
        evaluation: The figures that the bundle claims, as `Evaluation.to_dict` gives them.
        card: The model card, as Markdown.
        train_counts: Counts of the training labels, for the baselines of later evaluations.

    Raises:
        BundleError: If the parts do not belong together, or the folder holds what is not ours to replace.

    >>> from tempfile import TemporaryDirectory
    >>> from manyhot.decisions import Calibration
    >>> from manyhot.models.spec import Preprocessing
    >>> plain = Preprocessing(image_size=32, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    >>> spec = ModelSpec(encoder="test_resnet", num_labels=2, preprocessing=plain)
    >>> decision = Decision(calibration=Calibration.identity(2), thresholds=np.array([0.5, np.inf]),
    ...     reasons=("threshold 0.5: fixed", "never predicted: no validation positives"), rule="half", beta=1.0)
    >>> with TemporaryDirectory() as parent:
    ...     save_bundle(Path(parent, "bundle"), model=build_model(spec), spec=spec, evaluation=None,
    ...         space=LabelSpace(names=("cat", "dog")), decision=decision, card="# Cats and dogs")
    ...     bundle = load_bundle(Path(parent, "bundle"))
    >>> bundle.space.names, bundle.decision.thresholds, bundle.logits(np.zeros((1, 3, 32, 32), dtype=np.uint8)).shape
    (('cat', 'dog'), array([0.5, inf]), (1, 2))
    """
    _check_parts(spec, space, decision, train_counts)
    if folder.is_dir() and any(folder.iterdir()):
        _check_replaceable(folder)
    description = {
        "model": spec.to_dict(),
        "labels": space.to_dict(),
        "decision": decision.to_dict(),
        "counts": None if train_counts is None else _counts_to_dict(train_counts),
        "protocol": None if evaluation is None else evaluation.get("protocol"),
        "split": None if evaluation is None else evaluation.get("split"),
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("manyhot", "torch", "timm", "safetensors")},
    }

    def write(new: Path) -> None:
        # clone: safetensors refuses tensors that share memory, as tied weights do.
        weights = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.state_dict().items()}
        save_file(weights, new / WEIGHTS)
        write_json(new / DESCRIPTION, description)
        write_json(new / METRICS, evaluation)
        write_text(new / CARD, card)
        sums = {name: {"sha256": sha256_of(new / name), "size_bytes": (new / name).stat().st_size} for name in _LISTED}
        write_json(new / MANIFEST, {"format": FORMAT, "version": FORMAT_VERSION, "files": sums})

    try:
        write_folder_atomically(folder, (*_LISTED, MANIFEST), write)
    except FileExistsError as error:
        raise BundleError(str(error)) from None


def _check_replaceable(folder: Path) -> None:
    if not (folder / MANIFEST).is_file():
        raise BundleError(f"{folder}: holds files and is no bundle; choose another folder, nothing in it is deleted")
    try:
        _check_files(folder)
    except BundleError as error:
        # What was changed since we wrote it is no longer ours to delete.
        raise BundleError(f"{folder}: is not replaced, move it away first: {error}") from None


def load_bundle(folder: Path) -> Bundle:
    """Return the bundle in a folder, or in the `bundle` folder of a run, on the CPU and in evaluation mode.

    Torch's generator is left as it was. Files that the manifest does not list are not looked at.

    Raises:
        BundleError: If a file is missing, was changed since it was written, or is of a format that this version does not
            know. The message names the file.

    The example stands at `save_bundle`.

    >>> load_bundle(Path("no/such/folder"))
    Traceback (most recent call last):
    manyhot.errors.BundleError: no/such/folder: there is no such bundle; give the folder that `manyhot train` wrote
    """
    folder = _locate(Path(folder))
    _check_files(folder)
    spec, space, decision, counts = _read_description(folder / DESCRIPTION)
    metrics = _read_json(folder / METRICS)
    if metrics is not None and not isinstance(metrics, dict):
        raise BundleError(f"{folder / METRICS}: holds no table of figures; {_MEND}")
    model = _read_model(folder / WEIGHTS, spec)
    return Bundle(model=model, spec=spec, space=space, decision=decision, metrics=metrics, train_counts=counts)


def _locate(folder: Path) -> Path:
    for place in (current_folder(folder), current_folder(folder / "bundle")):
        if (place / MANIFEST).is_file():
            return place
    if not folder.is_dir():
        raise BundleError(f"{folder}: there is no such bundle; give the folder that `manyhot train` wrote")
    raise BundleError(f"{folder / MANIFEST}: is missing, so this is no bundle, or not a whole one; {_MEND}")


def _check_files(folder: Path) -> None:
    """Check that every file is what the manifest says.

    Raises:
        BundleError: Naming the first file that is not.
    """
    path = folder / MANIFEST
    manifest = _read_json(path)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise BundleError(f"{path}: is not the manifest of a bundle; {_MEND}")
    if manifest.get("version") != FORMAT_VERSION:
        raise BundleError(
            f"{path}: the bundle has format version {manifest.get('version')!r}, and this manyhot reads version "
            f"{FORMAT_VERSION}; install the version of manyhot that wrote it"
        )
    files = manifest.get("files")
    listed = files if isinstance(files, dict) else {}
    for name in _LISTED:
        entry = listed.get(name)
        if not isinstance(entry, dict):
            raise BundleError(f"{path}: does not list {name}; {_MEND}")
        _check_file(folder / name, entry)


def _check_file(path: Path, entry: Mapping[str, object]) -> None:
    if not path.is_file():
        raise BundleError(f"{path}: is missing; {_MEND}")
    size = path.stat().st_size
    if size != entry.get("size_bytes"):
        raise BundleError(f"{path}: has {size:,} bytes where {MANIFEST} says {entry.get('size_bytes')}; {_MEND}")
    if sha256_of(path) != entry.get("sha256"):
        raise BundleError(f"{path}: was changed or damaged, its SHA-256 is not the one in {MANIFEST}; {_MEND}")


def _read_json(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise BundleError(f"{path}: is no JSON ({error}); {_MEND}") from None


def _read_description(path: Path) -> tuple[ModelSpec, LabelSpace, Decision, LabelCounts | None]:
    data = _read_json(path)
    if not isinstance(data, dict):
        raise BundleError(f"{path}: holds no table; {_MEND}")
    for name in ("model", "labels", "decision"):
        if not isinstance(data.get(name), dict):
            raise BundleError(f"{path}: lacks the table {name!r}; {_MEND}")
    try:
        spec = ModelSpec.from_dict(data["model"])
        space = LabelSpace.from_dict(data["labels"])
        decision = Decision.from_dict(data["decision"])
        counts = _counts_from_dict(data.get("counts"))
        _check_parts(spec, space, decision, counts)
    except ManyhotError as error:
        raise BundleError(f"{path}: {error}") from None
    return spec, space, decision, counts


def _counts_to_dict(counts: LabelCounts) -> dict[str, list[int]]:
    return {"positives": counts.positives.tolist(), "known": counts.known.tolist()}


def _counts_from_dict(data: object) -> LabelCounts | None:
    if data is None:
        return None
    table = data if isinstance(data, dict) else {}
    positives, known = table.get("positives"), table.get("known")
    if not _are_counts(positives) or not _are_counts(known) or len(positives) != len(known):
        raise BundleError(f"counts must be the tables 'positives' and 'known' of one whole number a label; {_MEND}")
    if any(positive > cells for positive, cells in zip(positives, known, strict=True)):
        raise BundleError(f"counts have a label with more positives than known cells; {_MEND}")
    return LabelCounts(positives=np.array(positives, dtype=np.int64), known=np.array(known, dtype=np.int64))


def _are_counts(values: object) -> TypeGuard[list[int]]:
    # type() rather than isinstance(): true is an int to Python, and no count. 2**63 is past int64.
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**63 for value in values)


def _check_parts(spec: ModelSpec, space: LabelSpace, decision: Decision, counts: LabelCounts | None) -> None:
    widths = {"the model": spec.num_labels, "the label space": len(space), "the decision": decision.num_labels}
    if counts is not None:
        widths["the training counts"] = len(counts.positives)
    if len(set(widths.values())) > 1:
        stated = ", ".join(f"{part} has {width:,} labels" for part, width in widths.items())
        raise BundleError(f"{stated}; they must be one and the same")


def _read_model(path: Path, spec: ModelSpec) -> Classifier:
    try:
        # fork_rng: random weights are drawn only to be overwritten, and reading must change nothing.
        with torch.random.fork_rng(devices=[]):
            model = build_model(spec)
        model.load_state_dict(load_file(path))
    except (ManyhotError, SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise BundleError(f"{path}: does not fit the model that {DESCRIPTION} names: {reason}") from None
    return model.eval()
