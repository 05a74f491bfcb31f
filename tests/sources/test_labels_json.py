import json

import numpy as np
import pytest

from manyhot.sources import SourceOptions, open_source, read_source


def rows_of(manifest) -> dict[str, list[str]]:
    names = manifest.labels.space.names
    rows = [manifest.labels.positives.row(row) for row in range(manifest.num_samples)]
    return {
        reference: [names[label] for label in row] for reference, row in zip(manifest.references(), rows, strict=True)
    }


def test_names_that_look_like_nothing_numbers_or_truth_values_stay_text(write):
    labels = {"a.jpg": ["N/A", "0012", "true", "null", "NaN", "None", "1e3", "-", "ünï ✓"], "b.jpg": ["12"]}
    root = write({"labels.json": json.dumps(labels), "a.jpg": b"", "b.jpg": b""})
    assert {name: sorted(row) for name, row in rows_of(open_source(root)).items()} == {
        name: sorted(row) for name, row in labels.items()
    }


def test_a_sample_without_labels_stays_in_its_place(write):
    root = write({"labels.json": '{"b.jpg": [], "a.jpg": ["cat"]}', "images/a.jpg": b"", "images/b.jpg": b""})
    manifest = open_source(root)
    assert manifest.root == root / "images"
    assert rows_of(manifest) == {"b.jpg": [], "a.jpg": ["cat"]}


def test_a_plain_text_is_one_label_whatever_it_holds(write):
    root = write({"labels.json": '{"a.jpg": "cat|dog, owl"}', "a.jpg": b""})
    assert rows_of(open_source(root)) == {"a.jpg": ["cat|dog, owl"]}


def test_groups_become_groups_of_the_label_space_sorted_by_group_and_name(write):
    labels = {"a.jpg": {"type": "dress", "colour": ["red", "blue"]}, "b.jpg": {"type": []}}
    space = open_source(write({"labels.json": json.dumps(labels), "a.jpg": b"", "b.jpg": b""})).labels.space
    assert space.names == ("blue", "red", "dress")
    assert space.groups == ("colour", "colour", "type")


def test_a_name_in_two_groups_stays_two_labels(write):
    labels = {"a.jpg": {"shape": "cat", "texture": "cat"}, "b.jpg": {"shape": "dog", "texture": "cat"}}
    manifest = open_source(write({"labels.json": json.dumps(labels), "a.jpg": b"", "b.jpg": b""}))
    assert rows_of(manifest) == {"a.jpg": ["shape:cat", "texture:cat"], "b.jpg": ["dog", "texture:cat"]}


def test_declared_names_give_order_and_labels_that_never_occur(write):
    files = {"labels.json": '{"a.jpg": ["cat"]}', "label_names.json": '["owl", "cat", "ant"]', "a.jpg": b""}
    manifest = open_source(write(files))
    assert manifest.labels.space.names == ("owl", "cat", "ant")
    assert manifest.labels.to_multi_hot().tolist() == [[0, 1, 0]]


def test_declared_names_may_be_grouped(write):
    files = {
        "labels.json": '{"a.jpg": {"texture": "cat"}}',
        "label_names.json": '{"shape": ["cat", "dog"], "texture": ["cat"]}',
        "a.jpg": b"",
    }
    space = open_source(write(files)).labels.space
    assert space.names == ("shape:cat", "dog", "texture:cat")
    assert space.groups == ("shape", "shape", "texture")


def test_flat_declared_names_take_the_groups_that_the_rows_state(write):
    files = {
        "labels.json": '{"a.jpg": {"type": "dress"}}',
        "label_names.json": '["red", "dress"]',
        "a.jpg": b"",
    }
    assert open_source(write(files)).labels.space.groups == (None, "type")


def test_a_label_listed_twice_counts_once_and_is_a_warning(write):
    reading = read_source(write({"labels.json": '{"a.jpg": ["cat", "dog", "cat"]}', "a.jpg": b""}))
    assert reading.manifest is not None
    assert reading.manifest.labels.positives.size == 2
    (finding,) = reading.findings
    assert (finding.name, finding.severity, finding.examples) == ("repeated-label", "warning", ("key 'a.jpg': 'cat'",))


def test_unlisted_cells_are_unknown_where_asked(write):
    root = write({"labels.json": '{"a.jpg": ["cat"], "b.jpg": ["dog"]}', "a.jpg": b"", "b.jpg": b""})
    dense = open_source(root, SourceOptions(unlisted="unknown")).labels.to_multi_hot()
    assert np.array_equal(dense, [[1, np.nan], [np.nan, 1]], equal_nan=True)


def test_the_label_space_does_not_depend_on_the_order_of_rows(write):
    pictures = {"a.jpg": b"", "b.jpg": b""}
    first = open_source(write({"labels.json": '{"a.jpg": {"y": "1"}, "b.jpg": {"x": "2"}}', **pictures}))
    second = open_source(write({"labels.json": '{"b.jpg": {"x": "2"}, "a.jpg": {"y": "1"}}', **pictures}))
    assert first.labels.space == second.labels.space


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_byte_order_mark_is_no_part_of_the_file(write, mark):
    root = write({"labels.json": mark + '{"ä.jpg": ["é"]}'.encode(), "ä.jpg": b""})
    assert rows_of(open_source(root)) == {"ä.jpg": ["é"]}
