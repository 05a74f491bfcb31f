"""Pictures for prediction: each comes in its place, or is reported."""

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from manyhot.data.augmentation import EvaluationTransform
from manyhot.data.path_loading import PictureLoader
from manyhot.errors import TrainingError
from manyhot.sources import list_pictures
from manyhot.sources.picture_store import PictureFiles


@pytest.mark.parametrize("num_workers", [0, 2])
def test_pictures_for_prediction_are_reported_by_path_and_stop_no_other(tmp_path: Path, num_workers: int) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (9, 7), (1, 2, 3)).save(stream, "PNG")
    paths = []
    for index in range(7):
        path = tmp_path / f"{index} ü.png"
        path.write_bytes(stream.getvalue() if index not in (1, 4, 5) else b"<html>")
        paths.append(path)
    paths[4] = tmp_path / "absent.png"
    loader = PictureLoader(
        PictureFiles.from_paths(paths), EvaluationTransform(8), batch_size=2, num_workers=num_workers
    )
    for _ in range(2):
        batches = list(loader)
        assert [batch.rows.tolist() for batch in batches] == [[0], [2, 3], [6]]
        failures = [failure for batch in batches for failure in batch.failures]
        assert [row for row, _ in failures] == [1, 4, 5]
        assert failures[0][1].startswith("is an HTML page")
        assert failures[1][1] == "does not exist"
        assert all((batch.images == torch.tensor([1, 2, 3]).view(3, 1, 1)).all() for batch in batches)


def test_a_batch_in_which_no_picture_could_be_read_is_empty() -> None:
    (batch,) = PictureLoader(
        PictureFiles.from_paths([Path("absent.png")]), EvaluationTransform(8), batch_size=2, num_workers=0
    )
    assert batch.images.shape[:2] == (0, 3)
    assert batch.rows.tolist() == []


def test_pictures_of_other_formats_in_a_folder_are_read_and_what_only_looks_like_one_stops_no_other(
    tmp_path: Path,
) -> None:
    picture = np.full((9, 9, 3), 200, dtype=np.uint8)
    for name in ("a.bmp", "b.png", "c.tiff"):
        assert cv2.imwrite(str(tmp_path / name), picture)
    Image.fromarray(picture).save(tmp_path / "d.gif")
    (tmp_path / "e.gif").write_bytes(b"%PDF-1.7")
    paths = list_pictures(tmp_path)
    (batch,) = PictureLoader(PictureFiles.from_paths(paths), EvaluationTransform(8), batch_size=5, num_workers=0)
    assert [paths[row].name for row in batch.rows] == ["a.bmp", "b.png", "c.tiff", "d.gif"]
    assert (batch.images == batch.images[1]).all()
    assert {paths[row].name: reason for row, reason in batch.failures} == {
        "e.gif": "is PDF; only JPEG, PNG, WebP, GIF, BMP and TIFF are read: convert it"
    }


def test_a_transform_that_fails_is_no_matter_of_the_picture(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "good.png")

    def transform(image: np.ndarray, generator: np.random.Generator | None) -> np.ndarray:
        raise ZeroDivisionError

    with pytest.raises(TrainingError, match=r"good\.png: the transform raised ZeroDivisionError"):
        list(PictureLoader(PictureFiles.from_paths([tmp_path / "good.png"]), transform, batch_size=2, num_workers=0))
