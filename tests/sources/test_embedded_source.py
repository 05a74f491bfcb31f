"""Pictures that samples have in tars, found by what they are called."""

import io
import tarfile
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image

from manyhot.errors import SourceError
from manyhot.sources.embedded_source import find_embedded


def write_tar(path: Path, keys: list[str], level: int) -> None:
    with tarfile.open(path, "w") as tar:
        for key in keys:
            content = io.BytesIO()
            Image.new("L", (3, 2), level).save(content, "PNG")
            for name, data in ((f"{key}.png", content.getvalue()), (f"{key}.json", b'{"labels": ["cat"]}')):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))


def test_a_name_of_several_pictures_is_refused_where_a_sample_has_it(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", ["000", "001"], 0)
    write_tar(tmp_path / "b.tar", ["001", "002"], 255)
    found = find_embedded(tmp_path, pa.chunked_array([["002.png", "000.png"]]))
    assert found is not None
    assert [Image.open(io.BytesIO(bytes(found.read(row)))).getpixel((0, 0)) for row in range(2)] == [255, 0]
    with pytest.raises(SourceError, match=r"several of its pictures are called '001\.png'; train on the tars"):
        find_embedded(tmp_path, pa.chunked_array([["000.png", "001.png"]]))


def test_pictures_that_are_not_there_are_named(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", ["000"], 0)
    with pytest.raises(SourceError, match=r"no picture of the sample '009\.png'"):
        find_embedded(tmp_path, pa.chunked_array([["000.png", "009.png"]]))
