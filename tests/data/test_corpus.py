"""Files of every kind give their pixels or are refused by name, in little memory and time, and no damage crashes."""

import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from corpus import CASES, Case
from mutations import mutated
from PIL import Image

from manyhot.data.decoding import decode_image
from manyhot.errors import ImageError

CHILD = Path(__file__).with_name("decode_in_a_child.py")


def named(wanted: bool) -> list[object]:
    return [pytest.param(case, id=case.name) for case in CASES if (case.pixels is not None) == wanted]


def run_child(*arguments: object, timeout: float = 250) -> dict[str, object]:
    finished = subprocess.run(
        [sys.executable, str(CHILD), *map(str, arguments)], capture_output=True, text=True, timeout=timeout, check=False
    )
    # What libtiff writes to the screen about damaged files is no failure.
    assert finished.returncode == 0, f"exit {finished.returncode}: {finished.stderr[-2000:]}"
    return json.loads(finished.stdout)


def test_the_corpus_is_as_large_as_it_says() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 100


@pytest.mark.parametrize("case", named(wanted=True))
def test_a_sound_picture_gives_its_pixels(case: Case, tmp_path: Path) -> None:
    path = tmp_path / f"picture{case.suffix}"
    path.write_bytes(case.data)
    pixels = decode_image(path)
    assert case.pixels is not None
    assert pixels.shape == case.pixels.shape
    if case.tolerance:
        assert np.abs(pixels.astype(float) - case.pixels).mean() <= case.tolerance
    else:
        np.testing.assert_array_equal(pixels, case.pixels)


@pytest.mark.parametrize("case", named(wanted=False))
def test_what_is_no_sound_picture_is_refused_by_name(case: Case, tmp_path: Path) -> None:
    path = tmp_path / f"picture{case.suffix}"
    path.write_bytes(case.data)
    started = time.process_time()
    with pytest.raises(ImageError, match=case.reason) as caught:
        decode_image(path)
    # Far more than any takes, and far less than a scan or a pixel of a bomb would.
    assert time.process_time() - started < 2
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell the peak of memory this way")
def test_the_whole_corpus_takes_little_memory_and_time(tmp_path: Path) -> None:
    seen = run_child("corpus", tmp_path)
    # The interpreter and its libraries included.
    assert seen["peak_bytes"] < 300e6, seen
    assert seen["slowest_s"] < 2, seen


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell the peak of memory this way")
def test_pictures_as_large_as_phones_take_them_need_little_memory(tmp_path: Path) -> None:
    # 12 million pixels each, in files of a few kilobytes: bombs that no limit refuses.
    flat = Image.new("RGB", (4000, 3000), (1, 2, 3))
    clear = Image.new("RGBA", (4000, 3000), (1, 2, 3, 4))
    saved: list[tuple[Image.Image, str, dict[str, object]]] = [
        (flat, "JPEG", {}), (flat, "JPEG", {"progressive": True}), (clear, "PNG", {}), (flat.convert("1"), "PNG", {}),
        (clear, "WEBP", {"lossless": True, "method": 0}), (Image.new("P", flat.size), "GIF", {}), (flat, "TIFF", {"compression": "tiff_lzw"}),
    ]  # fmt: skip
    for number, (image, kind, options) in enumerate(saved):
        image.save(tmp_path / f"{number}", kind, **options)
    seen = run_child("files", tmp_path)
    assert seen["count"] == len(saved)
    assert seen["peak_bytes"] < 300e6, seen


def test_mutated_files_give_pixels_or_an_image_error() -> None:
    refused = 0
    for number in range(300):
        try:
            decode_image(mutated(1, number), max_pixels=4_000_000)
        except ImageError:
            refused += 1
    assert 0 < refused < 300


@pytest.mark.slow
def test_40000_mutated_files_crash_nothing(tmp_path: Path) -> None:
    # Two in three are JPEG, PNG and WebP.
    count, begun = 40_000, tmp_path / "begun"
    try:
        seen = run_child("mutated", 2, count, begun)
    except AssertionError as error:
        pytest.fail(f"at mutated(2, {begun.read_text().strip()}): {error}")
    assert seen["count"] == count
    assert 0.3 * count < seen["refused"] < count


GOLDEN = "4f418a016e821baaa551957b09f36c2b72bffb20e4402cf71510208c0da3e016"
"""Over the pixels of all lossless cases, in their order: a new case changes it, a new machine must not."""


def test_lossless_pictures_have_the_same_hash_everywhere() -> None:
    digest = hashlib.sha256()
    for case in CASES:
        if case.pixels is not None and not case.tolerance:
            digest.update(decode_image(case.data).tobytes())
    assert digest.hexdigest() == GOLDEN
