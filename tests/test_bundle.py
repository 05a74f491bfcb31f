"""A bundle is whole and unchanged, or it is refused in one line that names the file."""

import hashlib
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from manyhot.bundle import load_bundle, save_bundle
from manyhot.decisions import Calibration, Constraints, Decision, Group
from manyhot.decisions.curves import Curve
from manyhot.errors import BundleError, ScoreError
from manyhot.labels import LabelCounts, LabelSpace
from manyhot.models.build import build_model
from manyhot.models.classifier import Classifier
from manyhot.models.spec import ModelSpec, Preprocessing

FILES = ["README.md", "bundle.json", "manifest.json", "metrics.json", "model.safetensors"]
METRICS = {"schema": 1, "protocol": "manyhot", "split": "test", "figures": {"map_macro": {"value": None}}}
COUNTS = LabelCounts(positives=np.array([3, 0, 2]), known=np.array([7, 0, 2]))
SPACE = LabelSpace(names=("N/A", "0012", "café"), groups=("kind", None, "kind"))


def spec_of(num_labels: int = 3, encoder: str = "test_resnet") -> ModelSpec:
    plain = Preprocessing(image_size=32, mean=(0.4, 0.5, 0.6), std=(0.2, 0.2, 0.3))
    return ModelSpec(encoder=encoder, num_labels=num_labels, preprocessing=plain)


def decision_of(num_labels: int = 3) -> Decision:
    return Decision(
        calibration=Calibration(scale=0.7, shift=0.1, offsets=np.linspace(-1, 1, num_labels)),
        thresholds=np.array([*np.linspace(0.2, 0.5, num_labels - 1), np.inf]),
        reasons=tuple(f"reason {index}" for index in range(num_labels)),
        rule="plug-in",
        beta=1.0,
    )


@pytest.fixture(scope="module")
def model() -> Classifier:
    torch.manual_seed(0)
    return build_model(spec_of()).eval()


@pytest.fixture
def save(model: Classifier) -> Callable[..., None]:
    def save(folder: Path, *, card: str = "# Card\n", evaluation: dict[str, object] | None = METRICS) -> None:
        save_bundle(
            folder,
            model=model,
            spec=spec_of(),
            space=SPACE,
            decision=decision_of(),
            evaluation=evaluation,
            card=card,
        )

    return save


@pytest.fixture(scope="module")
def whole(model: Classifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that no test may change."""
    folder = tmp_path_factory.mktemp("whole") / "bundle"
    save_bundle(
        folder,
        model=model,
        spec=spec_of(),
        space=SPACE,
        decision=decision_of(),
        evaluation=METRICS,
        card="# Card\n",
        train_counts=COUNTS,
    )
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """A copy of the whole bundle, to be damaged."""
    return Path(shutil.copytree(whole, tmp_path / "bundle"))


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, size=(count, 3, 32, 32), dtype=np.uint8)


def refusal(folder: Path) -> str:
    """Return the one line that refuses a bundle."""
    with pytest.raises(BundleError) as caught:
        load_bundle(folder)
    message = str(caught.value)
    assert "\n" not in message
    return message


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def resign(folder: Path, name: str) -> None:
    """Write the manifest anew for a file that was changed, as somebody with bad luck or bad intent might."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    content = (folder / name).read_bytes()
    manifest["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}
    path.write_text(json.dumps(manifest))


def test_loaded_bundle_is_what_was_saved(whole: Path, model: Classifier):
    bundle = load_bundle(whole)
    assert bundle.spec == spec_of()
    assert bundle.space == SPACE
    assert bundle.decision.to_dict() == decision_of().to_dict()
    assert bundle.metrics == METRICS
    assert not bundle.model.training
    images = pictures(5)
    with torch.inference_mode():
        expected = model(torch.from_numpy(images)).numpy()
    np.testing.assert_array_equal(bundle.logits(images), expected)
    np.testing.assert_array_equal(bundle.logits(torch.from_numpy(images)), expected)


def test_bundle_is_five_files_of_strict_json_and_weights(whole: Path):
    assert names_in(whole) == FILES
    for name in ("bundle.json", "manifest.json", "metrics.json"):
        json.loads((whole / name).read_text(encoding="utf-8"), parse_constant=pytest.fail)
    description = json.loads((whole / "bundle.json").read_text(encoding="utf-8"))
    assert description["decision"]["thresholds"][-1] is None
    assert description["protocol"] == "manyhot"
    assert description["versions"].keys() >= {"manyhot", "torch", "timm"}


def test_bundle_without_figures_says_so(save: Callable[..., None], tmp_path: Path):
    save(tmp_path / "bundle", evaluation=None)
    assert load_bundle(tmp_path / "bundle").metrics is None


def test_curves_constraints_and_promise_survive(model: Classifier, tmp_path: Path):
    decision = replace(
        decision_of(),
        calibration=Calibration(
            scale=0.5,
            shift=0.0,
            offsets=np.zeros(3),
            slopes=np.array([1.0, 2.0, 0.5]),
            curves=(Curve(label=1, logits=np.array([-1.0, 0.3]), probs=np.array([0.1, 1 / 3])),),
            method="isotonic",
        ),
        constraints=Constraints(groups=(Group(name="kind", label_ids=(0, 2), many="exactly-one"),), at_most=2),
        promise="promise: false-negative rate at most 0.1 in expectation, from 40 validation samples",
    )
    save_bundle(
        tmp_path / "bundle",
        model=model,
        spec=spec_of(),
        space=SPACE,
        decision=decision,
        evaluation=None,
        card="# Card\n",
    )
    loaded = load_bundle(tmp_path / "bundle").decision
    assert loaded.to_dict() == decision.to_dict()
    logits = np.random.default_rng(0).normal(size=(17, 3))
    np.testing.assert_array_equal(loaded.preds(logits), decision.preds(logits))


def test_training_counts_survive(whole: Path):
    counts = load_bundle(whole).train_counts
    assert counts is not None
    assert (counts.positives.tolist(), counts.known.tolist()) == ([3, 0, 2], [7, 0, 2])


@pytest.mark.parametrize("change", [lambda data: data.pop("counts"), lambda data: data.update(counts=None)])
def test_bundle_without_training_counts_loads(folder: Path, change: Callable[..., object]):
    path = folder / "bundle.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    change(data)
    path.write_text(json.dumps(data))
    resign(folder, "bundle.json")
    assert load_bundle(folder).train_counts is None


def test_run_folder_stands_for_its_bundle(folder: Path):
    assert load_bundle(folder.parent).space == SPACE


def test_no_picture_gives_no_logits(whole: Path):
    assert load_bundle(whole).logits(pictures(0)).shape == (0, 3)


def test_pictures_of_another_size_are_refused(whole: Path):
    bundle, images = load_bundle(whole), np.zeros((1, 3, 32, 31), np.uint8)
    with pytest.raises(ScoreError, match=r"takes uint8 of shape \(n, 3, 32, 32\)"):
        bundle.logits(images)


def test_loading_leaves_the_random_numbers_alone(whole: Path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load_bundle(whole)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("name", FILES)
def test_missing_file_is_named(folder: Path, name: str):
    (folder / name).unlink()
    message = refusal(folder)
    assert name in message
    assert "is missing" in message
    assert "again" in message


@pytest.mark.parametrize("name", [name for name in FILES if name != "manifest.json"])
def test_flipped_byte_is_found_and_its_file_named(folder: Path, name: str):
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    assert f"{name}: was changed or damaged" in refusal(folder)


def test_flipped_byte_of_the_manifest_is_refused_or_harmless(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("manyhot.bundle._read_model", lambda *_: torch.nn.Identity())
    original = (folder / "manifest.json").read_bytes()
    messages: list[str] = []
    for place in range(0, len(original), 2):
        content = bytearray(original)
        content[place] ^= 4
        (folder / "manifest.json").write_bytes(content)
        try:
            bundle = load_bundle(folder)
        except BundleError as error:
            messages.append(str(error))
        else:
            assert bundle.decision.to_dict() == decision_of().to_dict()
    assert len(messages) > 100
    assert not any("\n" in message for message in messages)


@pytest.mark.parametrize("size", [0, 5, 1_000])
def test_truncated_weights_are_named_with_both_sizes(folder: Path, size: int):
    path = folder / "model.safetensors"
    full = path.stat().st_size
    path.write_bytes(path.read_bytes()[:size])
    message = refusal(folder)
    assert f"model.safetensors: has {size:,} bytes" in message
    assert str(full) in message


def test_truncated_weights_with_a_matching_checksum_are_still_refused(folder: Path):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1_000])
    resign(folder, "model.safetensors")
    assert "model.safetensors: does not fit" in refusal(folder)


def test_unknown_format_version_names_both_versions(folder: Path):
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 7}))
    message = refusal(folder)
    assert "format version 7" in message
    assert "reads version 1" in message


def test_weights_of_another_model_are_refused(folder: Path):
    path = folder / "bundle.json"
    data = json.loads(path.read_text())
    data["model"]["encoder"] = "test_convnext"
    path.write_text(json.dumps(data))
    resign(folder, "bundle.json")
    assert "model.safetensors: does not fit the model" in refusal(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.pop("decision"), "lacks the table 'decision'"),
        (lambda data: data["model"].update(num_labels=4), "the model has 4 labels, the label space has 3"),
        (lambda data: data["model"].update(colour="red"), "field 'colour'"),
        (lambda data: data["labels"].update(names=["a", "a", "b"]), "stands twice"),
        (lambda data: data["decision"].update(thresholds=[0.5]), "one a label"),
        (lambda data: data.update(counts=[1, 2, 3]), "counts must be"),
        (lambda data: data["counts"].pop("known"), "counts must be"),
        (lambda data: data["counts"].update(known=[7, 0]), "counts must be"),
        (lambda data: data["counts"].update(positives=[3, 0, True]), "counts must be"),
        (lambda data: data["counts"].update(positives=[3, 0, -1]), "counts must be"),
        (lambda data: data["counts"].update(known=[7, 0, 2**63]), "counts must be"),
        (lambda data: data["counts"].update(positives=[3, 1, 2]), "more positives than known cells"),
        (lambda data: data.update(counts={"positives": [1], "known": [1]}), "the training counts has 1 labels"),
    ],
)
def test_description_that_makes_no_sense_is_refused(folder: Path, change: Callable[..., object], message: str):
    path = folder / "bundle.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    change(data)
    path.write_text(json.dumps(data))
    resign(folder, "bundle.json")
    refused = refusal(folder)
    assert "bundle.json" in refused
    assert message in refused


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'"x"', b"\xff\xfe", b"null"])
def test_manifest_that_is_none_is_named(folder: Path, content: bytes):
    (folder / "manifest.json").write_bytes(content)
    assert "manifest.json: is no" in refusal(folder)


def test_parts_that_do_not_belong_together_are_refused_before_writing(model: Classifier, tmp_path: Path):
    with pytest.raises(BundleError, match="the decision has 2 labels"):
        save_bundle(
            tmp_path / "bundle",
            model=model,
            spec=spec_of(),
            space=SPACE,
            decision=decision_of(2),
            evaluation=None,
            card="",
        )
    assert names_in(tmp_path) == []


def test_bundle_is_replaced_whole(save: Callable[..., None], folder: Path):
    save(folder, card="# New\n")
    assert (folder / "README.md").read_text() == "# New\n"
    assert load_bundle(folder).metrics == METRICS
    assert names_in(folder) == FILES
    assert names_in(folder.parent) == ["bundle"]


def test_file_of_somebody_else_in_a_bundle_is_kept(save: Callable[..., None], folder: Path):
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(BundleError, match=r"holds 'notes\.txt', which is not ours to delete"):
        save(folder)
    assert (folder / "notes.txt").read_text() == "mine"
    load_bundle(folder)


def test_changed_file_of_a_bundle_is_kept(save: Callable[..., None], folder: Path):
    (folder / "README.md").write_text("# What I found out\n")
    with pytest.raises(BundleError, match=r"move it away first.*README\.md"):
        save(folder)
    assert (folder / "README.md").read_text() == "# What I found out\n"


def test_folder_that_is_no_bundle_is_kept_even_if_a_name_agrees(save: Callable[..., None], tmp_path: Path):
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(BundleError, match="nothing in it is deleted"):
        save(tmp_path)
    assert names_in(tmp_path) == ["README.md"]


SAVE_AND_DIE = """
import os, signal, sys
from pathlib import Path
import manyhot.bundle as bundles
folder, name = Path(sys.argv[1]), sys.argv[2]
old = bundles.load_bundle(folder)
write = bundles.write_json
def dying(path, data):
    write(path, data)
    if path.name == name:
        os.kill(os.getpid(), signal.SIGKILL)
bundles.write_json = dying
bundles.save_bundle(folder, model=old.model, spec=old.spec, space=old.space, decision=old.decision,
                    evaluation=None, card="# New")
"""


@pytest.mark.slow  # it imports the encoders a second time; tests/test_files.py kills at every step, cheaply
def test_killed_writer_leaves_the_old_bundle(folder: Path):
    done = subprocess.run([sys.executable, "-c", SAVE_AND_DIE, str(folder), "manifest.json"], check=False)
    assert done.returncode == -signal.SIGKILL
    assert load_bundle(folder).metrics == METRICS
    assert (folder / "README.md").read_text() == "# Card\n"


def test_bundle_loads_and_predicts_without_the_training_stack(whole: Path):
    code = (
        "import sys, numpy as np; from pathlib import Path; from manyhot.bundle import load_bundle; bundle = load_bundle(Path(sys.argv[1]))\n"
        "logits = bundle.logits(np.zeros((2, 3, 32, 32), np.uint8)); bundle.decision.preds(logits)\n"
        "print([name for name in ('lightning', 'manyhot.training', 'tensorboard') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(whole)], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_nothing_at_the_path_is_said_so(tmp_path: Path):
    assert "there is no such bundle" in refusal(tmp_path / "nowhere")
