import pytest

from manyhot.sources import SourceOptions, open_source, read_source

pytestmark = pytest.mark.real_data


@pytest.mark.parametrize(
    ("name", "num_samples", "num_labels", "num_positives", "num_without"),
    [
        ("posters", 2_934, 25, 6_797, 0),
        ("apparel", 3_147, 11, 6_294, 0),
        ("clothes_tiny", 1_662, 20, 7_359, 0),
        ("coco128", 128, 80, 362, 2),
        ("cue_conflict", 679, 32, 1_358, 0),
        ("tiny_imagenet", 3_000, 200, 3_000, 0),
    ],
)
def test_real_sets_read_without_a_finding(shared_data, name, num_samples, num_labels, num_positives, num_without):
    reading = read_source(shared_data / name)
    assert reading.findings == ()
    manifest = reading.manifest
    assert manifest is not None
    assert (manifest.num_samples, manifest.labels.num_labels) == (num_samples, num_labels)
    assert manifest.labels.positives.size == num_positives
    assert int((manifest.labels.positives.lengths() == 0).sum()) == num_without
    assert manifest.path_of(0).is_file()


def test_posters_keep_the_genre_that_is_called_not_available(shared_data):
    assert "N/A" in open_source(shared_data / "posters").labels.space.names


def test_coco_names_give_the_order_and_nine_labels_that_never_occur(shared_data):
    labels = open_source(shared_data / "coco128").labels
    assert labels.space.names[:3] == ("person", "bicycle", "car")
    assert len(set(range(80)) - set(labels.positives.ids.tolist())) == 9


def test_the_two_readings_of_cue_conflict_stay_apart(shared_data):
    space = open_source(shared_data / "cue_conflict").labels.space
    assert {group: len(ids) for group, ids in space.members().items()} == {"shape": 16, "texture": 16}
    assert {"shape:cat", "texture:cat"} <= set(space.names)


def test_apparel_reads_the_same_from_its_folders_as_from_its_label_file(shared_data):
    listed = open_source(shared_data / "apparel")
    named = open_source(shared_data / "apparel/images", SourceOptions(separator="_"))
    order = sorted(range(listed.num_samples), key=listed.references().__getitem__)
    assert (
        listed.take(order).fingerprint
        == named.take(sorted(range(3_147), key=named.references().__getitem__)).fingerprint
    )


def test_a_table_without_a_header_ends_in_one_error_that_says_what_is_missing(shared_data):
    (finding,) = read_source(shared_data / "text_goemotions/train.tsv").findings
    assert finding.name == "no-reference-column"
    assert "train.tsv" in finding.line
    assert "reference_column" in finding.line


def test_a_json_of_another_shape_names_its_keys(shared_data):
    reading = read_source(shared_data / "camvid")
    assert reading.manifest is None
    assert any("key 'present'" in finding.line for finding in reading.errors)
