"""A model of fine labels is judged on coarser data from files and from a run, as the call in Python judges it."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from manyhot.errors import SourceError, UsageError
from manyhot.labels import LabelMapping, LabelSets, LabelSpace
from manyhot.metrics.mapped import evaluate_mapped
from manyhot.runs.judging_files import Files, judge_files
from manyhot.runs.judging_mapped import Links

COARSE = ("bird", "insect", "zebra")
LINKS = {"insect": [0, 1], "bird": [4]}


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """An empty folder with logits of five fine labels, a truth of three coarse ones and the links between them."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(3)
    logits = generator.normal(size=(17, 5)).astype(np.float32)
    names = [[COARSE[kind]] for kind in generator.integers(0, 3, 17)]
    np.save("scores.npy", logits)
    lines = [f"{row}.jpg,{found[0]}\n" for row, found in enumerate(names)]
    Path("truth.csv").write_text("image,labels\n" + "".join(lines), encoding="utf-8")
    Path("links.json").write_text(json.dumps(LINKS), encoding="utf-8")
    return logits, LabelSets.from_names(names, LabelSpace(names=COARSE))


def judged(how="max", kind="logits", **others):
    files = Files(scores=Path("scores.npy"), truth=Path("truth.csv"), links=Links(path=Path("links.json"), how=how))
    return judge_files(files, kind=kind, **others)


@pytest.mark.parametrize("how", ["max", "logsumexp", "noisy-or", "mean-softmax"])
def test_files_with_links_give_the_figures_of_the_call(desk, how):
    logits, truth = desk
    fine = LabelSpace(names=tuple("01234"))
    mapping = LabelMapping.from_names(truth.space, fine, {"insect": ["0", "1"], "bird": "4"})
    expected = evaluate_mapped(logits, truth, mapping, how=how, split="all")
    found = judged(how).evaluate()
    assert found == expected
    assert (found.figures["map_macro"].defined, found.figures["map_macro"].total) == (2, 3)
    # A row whose one positive cannot be judged has none left.
    assert found.figures["argmax_accuracy"].defined == np.count_nonzero(truth.positives.ids < 2) < 17


def test_labels_that_cannot_be_judged_are_told(desk, caplog):
    caplog.set_level(logging.INFO, logger="manyhot")
    judged()
    assert "1 labels of the data have no link: all their cells are unknown" in caplog.text
    assert "scores of 3 labels are those of 5 by max" in caplog.text


def test_thresholds_are_of_the_coarse_labels(desk):
    Path("thresholds.json").write_text('{"bird": 0.9, "insect": 0.1, "zebra": null}', encoding="utf-8")
    files = Files(
        scores=Path("scores.npy"),
        truth=Path("truth.csv"),
        thresholds="thresholds.json",
        links=Links(path=Path("links.json"), how="max"),
    )
    assert judge_files(files, kind="logits").thresholds.tolist() == [0.9, 0.1, np.inf]


@pytest.mark.parametrize(
    ("links", "how", "message"),
    [
        ('{"insect": [0, 1]}', "restrict", "links.json: coarse label 'insect' has several fine ones"),
        ('{"wasp": [0]}', "max", "links.json: key 'wasp': .*keys are labels of the data"),
        ('{"insect": [5]}', "max", "links.json: key 'insect': label id 5 is outside the 5 labels"),
        ("{}", "max", "links.json: joins no label of the data with one of the model"),
    ],
)
def test_links_that_do_not_fit_are_one_line_that_names_the_file(desk, links, how, message):
    Path("links.json").write_text(links, encoding="utf-8")
    with pytest.raises(SourceError, match=message):
        judged(how)


def test_probabilities_are_not_mapped(desk):
    with pytest.raises(UsageError, match="scores are mapped as logits"):
        judged(kind="probs")


def test_links_with_labels_of_the_model_as_keys_are_turned_and_told(desk, caplog):
    caplog.set_level(logging.INFO, logger="manyhot")
    expected = judged().evaluate()
    Path("links.json").write_text('{"0": "insect", "1": "insect", "4": "bird"}', encoding="utf-8")
    assert judged().evaluate() == expected
    assert "links.json is read as labels of the model, each with its label of the data" in caplog.text


@pytest.mark.real_data
def test_the_links_of_imagenet_a_are_read_as_its_authors_wrote_them(shared_data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = shared_data / "label_spaces/imagenet_to_imagenet_a.json"
    fine_of = {small: int(large) for large, small in json.loads(path.read_text(encoding="utf-8")).items()}
    generator = np.random.default_rng(4)
    # Named by their numbers, which in the order of text are not those of their places.
    labels = generator.permutation(np.arange(230) % 200)
    logits = generator.normal(size=(230, 1000)).astype(np.float32)
    logits[np.arange(230), [fine_of[label] for label in labels.tolist()]] += 2.5
    np.save("scores.npy", logits)
    lines = [f"{row}.jpg,{label}\n" for row, label in enumerate(labels)]
    Path("truth.csv").write_text("image,labels\n" + "".join(lines), encoding="utf-8")
    files = Files(scores=Path("scores.npy"), truth=Path("truth.csv"), links=Links(path=path, how="restrict"))
    figure = judge_files(files, kind="logits").evaluate().figures["argmax_accuracy"]
    expected = np.mean(logits[:, [fine_of[label] for label in range(200)]].argmax(axis=1) == labels)
    assert (figure.value, figure.defined) == (pytest.approx(expected, abs=1e-15), 230)
    assert 0.2 < expected < 0.95
