import os

import pytest

from manyhot.errors import SourceError
from manyhot.sources import open_source, read_source, scan_folder


def test_pictures_that_no_row_lists_are_a_warning_and_never_samples(write):
    root = write(
        {"labels.json": '{"a.jpg": ["cat"]}', "images/a.jpg": b"", "images/b.jpg": b"", "images/notes.txt": b""}
    )
    reading = read_source(root)
    assert reading.manifest is not None
    assert reading.manifest.references() == ["a.jpg"]
    (finding,) = reading.findings
    assert (finding.name, finding.severity, finding.examples) == ("unlisted-file", "warning", ("'b.jpg'",))


def test_a_reference_is_kept_in_its_normal_form(write):
    manifest = open_source(write({"labels.json": '{"./x//a.jpg": ["cat"]}', "x/a.jpg": b""}))
    assert manifest.references() == ["x/a.jpg"]


def test_sound_rows_stay_for_further_checks_beside_errors(write):
    root = write(
        {"labels.csv": "file,labels\na.jpg,cat\na.jpg,cat\nlost.jpg,dog\nb.jpg,owl\n", "a.jpg": b"", "b.jpg": b""}
    )
    reading = read_source(root)
    assert {finding.name for finding in reading.errors} == {"duplicate-row", "missing-file"}
    assert reading.manifest is not None
    assert reading.manifest.references() == ["a.jpg", "b.jpg"]
    with pytest.raises(SourceError):
        open_source(root)


def test_a_link_to_a_file_under_the_folder_is_a_file(write):
    root = write({"labels.json": '{"b.jpg": ["cat"]}', "images/store/a.jpg": b""})
    (root / "images/b.jpg").symlink_to("store/a.jpg")
    assert open_source(root).references() == ["b.jpg"]


def test_the_image_folder_itself_may_be_a_link(write, tmp_path):
    root = write({"labels.json": '{"a.jpg": ["cat"]}'})
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk/a.jpg").write_bytes(b"")
    (root / "images").symlink_to(tmp_path / "disk")
    assert open_source(root).references() == ["a.jpg"]


@pytest.mark.parametrize(
    ("written", "stands"),
    [
        ("a.jpg", "A.JPG"),
        ("a", "a.jpg"),
        ("a.jpeg", "a.jpg"),
        ("deep/a.jpg", "a.jpg"),
        ("data/a.jpg", "a.jpg"),
        ("é.jpg", "e\u0301.jpg"),
    ],
)
def test_a_missing_picture_brings_the_nearest_name(write, written, stands):
    root = write({"labels.json": f'{{"{written}": ["cat"]}}', stands: b""})
    (finding,) = read_source(root).errors
    assert finding.name == "missing-file"
    assert f"there is {stands!a}" in finding.line


def test_loops_of_links_end(write):
    root = write({"labels.json": '{"a.jpg": ["cat"]}', "a.jpg": b""})
    (root / "again").symlink_to(root)
    assert open_source(root).references() == ["a.jpg"]


def test_a_name_that_is_not_utf8_is_an_error_that_shows_it(write):
    root = write({"labels.json": '{"a.jpg": ["cat"]}', "a.jpg": b""})
    with open(os.fsencode(root) + b"/\xe9.jpg", "wb"):  # noqa: PTH123 - a name that Path cannot write
        pass
    (finding,) = read_source(root).errors
    assert "'\\udce9.jpg': its name is not UTF-8" in finding.line


def test_a_scan_lists_files_at_any_depth(write):
    scan = scan_folder(write({"a/b/c.jpg": b"", "d.PNG": b"", "e.txt": b"", ".hidden/f.jpg": b"", "g.heic": b""}))
    assert scan.files == {"a/b/c.jpg", "d.PNG", "e.txt", ".hidden/f.jpg", "g.heic"}
    assert scan.pictures() == ["a/b/c.jpg", "d.PNG"]
    assert scan.other_pictures() == ["g.heic"]
