"""Samples that a model was trained on are found by content; figures stand beside what training knew; changes are told."""

import logging
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from manyhot.bundle import save_bundle
from manyhot.config import DataConfig, Recipe, SplitConfig
from manyhot.decisions import Calibration, Decision
from manyhot.errors import RunError, SourceError, UsageError
from manyhot.labels import LabelCounts, LabelSets
from manyhot.models.build import build_model
from manyhot.models.spec import ModelSpec, Preprocessing
from manyhot.recipes import save_recipe
from manyhot.runs.evaluating import _trained_on, evaluate_run, score_run
from manyhot.runs.judging_mapped import Links
from manyhot.runs.run import Run
from manyhot.runs.splits import decide_splits, load_splits, save_splits
from manyhot.sources import Manifest, open_source
from manyhot.sources.picture_store import PictureFiles


@dataclass(frozen=True)
class Trained:
    """A run of a model that learnt nothing, and its data."""

    run: Run
    data: Path


@pytest.fixture
def trained(tmp_path, monkeypatch):
    monkeypatch.setattr("manyhot.runs.loaders.default_workers", lambda: 0)
    data, run = tmp_path / "data", tmp_path / "run"
    (data / "images").mkdir(parents=True)
    run.mkdir()
    for row in range(10):
        pixels = np.random.default_rng(row).integers(0, 256, (17, 41, 3), dtype=np.uint8)
        cv2.imwrite(str(data / "images" / f"{row}.png"), pixels)
    rows = [f"{row}.png,{'ant' if row % 2 else 'bee'}\n" for row in range(10)]
    (data / "labels.csv").write_text("image,labels\n" + "".join(rows))
    manifest = open_source(data)
    save_splits(decide_splits(manifest, SplitConfig(), seed=0), manifest, run)
    save_recipe(Recipe(data=DataConfig(path=str(data))), run / "recipe.toml")
    plain = Preprocessing(image_size=32, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    spec = ModelSpec(encoder="test_resnet", num_labels=2, preprocessing=plain)
    decision = Decision(
        calibration=Calibration.identity(2), thresholds=np.full(2, 0.5), reasons=("", ""), rule="half", beta=1.0
    )
    save_bundle(
        run / "bundle",
        model=build_model(spec),
        spec=spec,
        space=manifest.labels.space,
        decision=decision,
        evaluation=None,
        card="",
        train_counts=LabelCounts(positives=np.array([6, 1]), known=np.array([7, 7])),
    )
    return Trained(run=Run(run), data=data)


@pytest.fixture
def saved(tmp_path):
    root = tmp_path / "data"
    root.mkdir()
    for row in range(10):
        (root / f"{row}.jpg").write_bytes(bytes([row]) * 100)
    labels = LabelSets.from_names([["ant"]] * 10)
    manifest = Manifest.from_lists(root, [f"{row}.jpg" for row in range(10)], labels)
    save_splits(decide_splits(manifest, SplitConfig(), seed=0), manifest, tmp_path)
    return load_splits(tmp_path)


def found_in(saved, paths):
    return _trained_on(saved, [path.name for path in paths], PictureFiles.from_paths(paths))


def test_a_training_sample_is_found_in_another_folder(saved, tmp_path):
    row = saved.splits.rows("train")[0]
    copy = tmp_path / "elsewhere" / f"{row}.jpg"
    copy.parent.mkdir()
    copy.write_bytes((saved.root / f"{row}.jpg").read_bytes())
    assert found_in(saved, [copy]) == [copy.name]


def test_a_file_of_the_same_name_and_size_but_other_content_is_no_training_sample(saved, tmp_path):
    row = saved.splits.rows("train")[0]
    other = tmp_path / f"{row}.jpg"
    other.write_bytes(b"\xff" * 100)
    assert found_in(saved, [other]) == []


def test_name_and_size_decide_where_the_training_sample_is_gone(saved, tmp_path):
    row = saved.splits.rows("train")[0]
    other = tmp_path / f"{row}.jpg"
    other.write_bytes(b"\xff" * 100)
    (saved.root / f"{row}.jpg").unlink()
    assert found_in(saved, [other]) == [other.name]


def test_a_test_sample_of_the_run_is_no_training_sample(saved):
    paths = [saved.root / f"{row}.jpg" for row in saved.splits.rows("test")]
    assert paths
    assert found_in(saved, paths) == []


def test_a_bundle_alone_stands_beside_the_prevalence_of_its_training(trained):
    evaluation = evaluate_run(Run(trained.run.folder / "bundle"), trained.data)
    assert "predict prevalence" in evaluation.baselines
    assert {"map_macro_head", "map_macro_tail"} <= evaluation.figures.keys()


def test_other_data_stand_beside_the_prevalence_of_the_training(trained):
    (trained.data / "labels.csv").write_text("image,labels\n0.png,ant|bee\n1.png,bee\n2.png,ant\n")
    evaluation = evaluate_run(trained.run, trained.data, allow_training_samples=True)
    assert evaluation.split == "all"
    assert "predict prevalence" in evaluation.baselines


def test_changed_pictures_of_the_split_are_counted_and_the_first_named(trained):
    splits = load_splits(trained.run.folder).splits
    for row in (splits.rows("train")[0], splits.rows("test")[0]):
        path = trained.data / "images" / f"{row}.png"
        path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(RunError, match=rf"^1 picture has changed .* '{splits.rows('test')[0]}\.png'; train again"):
        evaluate_run(trained.run)
    assert evaluate_run(trained.run, split="val").split == "val"


def test_the_split_that_the_decision_was_fitted_on_is_told(trained, caplog):
    caplog.set_level(logging.INFO, logger="manyhot")
    evaluate_run(trained.run, split="test")
    assert "chosen on val" not in caplog.text
    evaluate_run(trained.run, split="val")
    assert caplog.text.count("the checkpoint was chosen on val") == 1


def test_a_run_is_judged_on_coarser_data_by_links(trained, tmp_path):
    (trained.data / "labels.csv").write_text("image,labels\n0.png,insect\n1.png,insect\n2.png,\n3.png,stone\n")
    path = tmp_path / "links.json"
    path.write_text('{"insect": ["ant", "bee"]}')
    own = {"allow_training_samples": True, "links": Links(path=path, how="max")}
    judged = score_run(trained.run, trained.data, **own)
    (trained.data / "labels.csv").write_text("image,labels\n" + "".join(f"{row}.png,ant|bee\n" for row in range(4)))
    fine = score_run(trained.run, trained.data, allow_training_samples=True)
    assert judged.truth.space.names == ("insect", "stone")
    np.testing.assert_array_equal(judged.scores[:, 0], fine.scores.max(axis=1))
    figure = judged.evaluate().figures["map_macro"]
    assert (figure.defined, figure.total) == (1, 2)
    assert judged.thresholds is None
    assert judged.preds is None


def test_links_are_of_other_data_and_name_labels_of_both(trained, tmp_path):
    path = tmp_path / "links.json"
    path.write_text('{"insect": ["wasp"]}')
    links = Links(path=path, how="max")
    with pytest.raises(UsageError, match=r"links\.json: links the labels of other data; name them"):
        evaluate_run(trained.run, links=links)
    (trained.data / "labels.csv").write_text("image,labels\n0.png,insect\n")
    with pytest.raises(SourceError, match="wasp"):
        evaluate_run(trained.run, trained.data, allow_training_samples=True, links=links)
