"""`manyhot pack`: what it says when all is well, and in one line when it is not."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from manyhot.cli.main import main


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    for row in range(5):
        pixels = np.random.default_rng(row).integers(0, 256, (20, 31, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{row}.jpg")
    (folder / "labels.csv").write_text("image,labels\n" + "".join(f"{row}.jpg,cat\n" for row in range(5)))
    return folder


def test_it_says_what_it_wrote_and_what_comes_next(data: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "pack"
    assert main(["pack", str(data), "--out", str(out), "--short-side", "10"]) == 0
    shown = capsys.readouterr().out
    assert "samples  5 in 1 shard (" in shown
    assert f"next     manyhot train {out}" in shown


def test_parts_are_packed_and_merged(data: Path, tmp_path: Path, capsys) -> None:
    out = str(tmp_path / "pack")
    assert main(["pack", str(data), "--out", out, "--part", "2/2"]) == 0
    assert "missing  1/2" in capsys.readouterr().out
    assert main(["pack", "--merge", "--out", out]) == 2
    assert "the parts 1/2 are missing" in capsys.readouterr().err
    assert main(["pack", str(data), "--out", out, "--part", "1/2"]) == 0
    assert main(["pack", "--merge", "--out", out]) == 0
    assert "samples  5 in 2 shards" in capsys.readouterr().out


def test_refused_pictures_are_counted_and_the_code_is_one_by_default(data: Path, tmp_path: Path, capsys) -> None:
    (data / "3.jpg").write_bytes(b"")
    command = ["pack", str(data), "--out", str(tmp_path / "pack")]
    assert main(command) == 1
    assert "3.jpg: is empty" in capsys.readouterr().err
    assert main([*command, "--bad", "skip"]) == 0
    assert "refused  1:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["DATA"], 2, "pack needs --out PACK"),
        (["--out", "OUT"], 2, "pack needs DATA"),
        (["DATA", "--merge", "--out", "OUT"], 2, "--merge takes no DATA"),
        (["--merge", "--out", "OUT"], 2, "there is no pack, nor parts of one"),
        (["DATA", "--out", "OUT", "--part", "0/3"], 2, "--part 0/3: is no part"),
        (["DATA", "--out", "OUT", "--part", "4/3"], 2, "--part 4/3: is no part"),
        (["DATA", "--out", "OUT", "--part", "third"], 2, "write 3/16"),
        (["DATA", "--out", "OUT", "--part", "1/9"], 2, "5 samples cannot be packed in 9 parts"),
        (["DATA", "--out", "OUT", "--short-side", "0"], 2, "--short-side 0: must be 1 or more"),
        (["DATA", "--out", "OUT", "--quality", "80"], 2, "give --short-side as well"),
        (["DATA", "--out", "OUT", "--short-side", "9", "--quality", "101"], 2, "at most 100"),
        (["DATA", "--out", "OUT", "--shard-size-mb", "0"], 2, "must be a positive number"),
        (["DATA", "--out", "OUT", "--workers", "0"], 2, "--workers 0: must be 1 or more"),
        (["DATA", "--out", "OUT", "--max-bad", "-1"], 2, "--max-bad -1: must be from 0 to 100"),
        (["DATA", "--out", "OUT", "--bad", "ignore"], 2, "invalid choice"),
        (["DATA", "--out", "OUT", "--short", "9"], 2, "did you mean '--short-side'?"),
        (["DATA", "--out", "OUT", "--images.size", "9"], 2, "is a setting of training"),
        (["nowhere", "--out", "OUT"], 1, "there is no such file or folder"),
        (["DATA", "--out", "OUT/deep/er"], 2, "there is no folder"),
        (["DATA", "--out", "DATA"], 2, "and is no pack; name a new folder"),
        (["DATA", "--out", "DATA/0.jpg"], 2, "is a file; name a folder"),
        (["DATA", "--out", "OUT", "--data.pictures", "false"], 1, "name no pictures, so there is nothing to pack"),
    ],
)
def test_what_makes_no_sense_is_answered_in_one_line(data, tmp_path, capsys, arguments, code, says) -> None:
    places = {"DATA": str(data), "OUT": str(tmp_path / "pack")}
    given = [argument.replace("DATA", places["DATA"]).replace("OUT", places["OUT"]) for argument in arguments]
    assert main(["pack", *given]) == code
    error = capsys.readouterr().err
    assert says in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "pack").exists()
