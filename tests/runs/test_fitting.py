"""A training that cannot start leaves nothing behind; one that stopped goes on, also after its data moved."""

import shutil

import numpy as np
import pytest
from PIL import Image

from manyhot.config import DataConfig, EncoderConfig, ImagesConfig, LinearHeadConfig, Recipe, TrainingConfig
from manyhot.errors import ManyhotError, ModelError, RunError, SourceError
from manyhot.runs.fitting import train
from manyhot.runs.run import Run


def write_pictures(folder, labels="0.png,red\n1.png,\n"):
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows = labels.splitlines()
    for row in rows:
        Image.fromarray(rng.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(folder / row.partition(",")[0])
    (folder / "labels.csv").write_text("file,labels\n" + labels)
    return folder


def twelve(folder):
    return write_pictures(folder, "".join(f"{row}.png,{'red' if row % 2 else ''}\n" for row in range(12)))


def recipe_of(data, **encoder):
    return Recipe(
        data=DataConfig(path=str(data)),
        images=ImagesConfig(size=32),
        encoder=EncoderConfig(**{"name": "test_resnet", "pretrained": "none", **encoder}),
        head=LinearHeadConfig(),
        training=TrainingConfig(epochs=1, batch_size=8, workers=0),
    )


@pytest.mark.parametrize(
    ("encoder", "error"),
    [({"pretrained": "absent.pt"}, ModelError), ({"name": "test_resnt"}, ModelError)],
)
def test_a_training_that_cannot_start_leaves_no_folder(tmp_path, encoder, error):
    with pytest.raises(error):
        train(recipe_of(twelve(tmp_path / "data"), **encoder), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_used_folder_is_refused_before_the_data_are_read(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("keep")
    with pytest.raises(RunError, match="is not empty"):
        train(recipe_of(tmp_path / "absent"), tmp_path / "run")
    with pytest.raises(RunError, match="is a file"):
        train(recipe_of(tmp_path / "absent"), tmp_path / "run" / "mine.txt")


def test_data_without_a_known_negative_are_refused(tmp_path):
    data = write_pictures(tmp_path / "data", "".join(f"{row}.png,red\n" for row in range(12)))
    with pytest.raises(SourceError, match="no label has a known negative"):
        train(recipe_of(data), tmp_path / "run")


def test_a_run_goes_on_with_its_moved_data_and_a_finished_one_stays_as_it_is(tmp_path):
    run = train(recipe_of(twelve(tmp_path / "data")), tmp_path / "run")
    figures = run.evaluation.to_dict()
    # As after a stop between the last epoch and the end.
    shutil.rmtree(tmp_path / "run" / "bundle")
    (tmp_path / "data").rename(tmp_path / "moved")
    assert not Run(tmp_path / "run").is_finished
    again = train(recipe_of(tmp_path / "moved"), tmp_path / "run", resume=True)
    assert again.is_finished
    assert again.evaluation.to_dict() == figures
    assert train(Recipe(), tmp_path / "run", resume=True).folder == tmp_path / "run"


def test_other_data_do_not_resume_a_run(tmp_path):
    train(recipe_of(twelve(tmp_path / "data")), tmp_path / "run")
    (tmp_path / "run" / "metrics.json").unlink()
    other = write_pictures(tmp_path / "other", "".join(f"{row}.png,{'red' if row % 3 else ''}\n" for row in range(12)))
    with pytest.raises(ManyhotError, match="the data have changed"):
        train(recipe_of(other), tmp_path / "run", resume=True)
