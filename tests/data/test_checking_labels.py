from pathlib import Path

import numpy as np
import pytest

from manyhot.data.checking_labels import check_labels
from manyhot.data.checking_pictures import check_images
from manyhot.labels import LabelSets, LabelSpace, with_parents
from manyhot.sources import Finding, Manifest, open_source


def labelled(rows: list[list[str]], names: tuple[str, ...]) -> Manifest:
    references = [f"{row}.jpg" for row in range(len(rows))]
    return Manifest.from_lists(Path(), references, LabelSets.from_names(rows, LabelSpace(names=names)))


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def test_a_label_that_is_always_positive_is_named():
    found = by_name(check_labels(labelled([["cat", "dog"], ["cat"]] * 5, ("cat", "dog"))))
    assert found["constant-label"].examples == ("'cat': 10 of 10",)
    assert found["constant-label"].severity == "warning"
    assert "empty-label" not in found


def test_labels_without_and_with_few_positives_are_named_with_their_counts():
    rows = [["cat"]] * 7 + [["owl"]] * 4 + [[]] * 2
    found = by_name(check_labels(labelled(rows, ("cat", "dog", "owl"))))
    assert found["empty-label"].examples == ("'dog'",)
    assert found["rare-label"].examples == ("'owl': 4",)
    assert found["unlabelled-samples"].message.startswith("2 of 13 samples")
    assert found["unlabelled-samples"].severity == "info"
    assert "imbalance" not in found


def test_the_most_frequent_and_the_rarest_label_are_compared():
    rows = [["cat"]] * 40 + [["owl"]] * 2
    message = by_name(check_labels(labelled(rows, ("cat", "dog", "owl"))))["imbalance"].message
    assert "'cat' (95.24%), is 20 times as frequent as the rarest, 'owl' (4.76%)" in message


def test_unknown_cells_do_not_hide_a_constant_label():
    matrix = np.array([[1, np.nan], [np.nan, 0], [1, 1]])
    labels = LabelSets.from_dense(matrix, LabelSpace(names=("cat", "dog")))
    manifest = Manifest.from_lists(Path(), ["a", "b", "c"], labels)
    assert by_name(check_labels(manifest))["constant-label"].examples == ("'cat': 2 of 2",)


def test_names_that_differ_in_form_only_are_named_with_their_counts():
    names = ("Cat", "cat ", "\u00e9", "e\u0301", "dog", "ice_cream", "Ice-Cream", "icecream", "猫", "猫\u200b")
    finding = by_name(check_labels(labelled([["dog", "cat "], ["cat ", "icecream"]], names)))["near-duplicate-label"]
    assert finding.count == 4
    assert finding.examples == (
        "'Cat' (0) and 'cat ' (2)",
        r"'\xe9' (0) and 'e\u0301' (0)",
        "'ice_cream' (0) and 'Ice-Cream' (0)",
        r"'\u732b' (0) and '\u732b\u200b' (0)",
    )


def test_a_positive_label_with_a_negative_parent_is_named_with_a_sample():
    space = with_parents(LabelSpace(names=("cat", "pet", "animal")), {"cat": ["pet"], "pet": ["animal"]})
    rows = [["cat", "pet", "animal"], ["cat"], ["cat", "animal"], ["animal"], []]
    manifest = Manifest.from_lists(Path(), [f"{row}.jpg" for row in range(5)], LabelSets.from_names(rows, space))
    finding = by_name(check_labels(manifest))["hierarchy-violation"]
    assert "(expand, --data.expand ancestors)" in finding.message
    assert (finding.severity, finding.count) == ("warning", 2)
    assert "3 cells in all" in finding.message
    assert finding.examples == (
        "'cat' without 'pet': 2 samples, such as '1.jpg'",
        "'cat' without 'animal': 1 sample, such as '1.jpg'",
    )


def test_an_unknown_parent_is_no_violation_and_a_verified_negative_one_is():
    space = with_parents(LabelSpace(names=("cat", "animal")), {"cat": ["animal"]})
    unknown = LabelSets.from_lists([[0]], space, unlisted="unknown")
    verified = LabelSets.from_lists([[], [0]], space, exceptions=[[], [1]], unlisted="unknown")
    assert "hierarchy-violation" not in by_name(check_labels(Manifest.from_lists(Path(), ["a"], unknown)))
    found = by_name(check_labels(Manifest.from_lists(Path(), ["a", "b"], verified)))
    assert found["hierarchy-violation"].examples == ("'cat' without 'animal': 1 sample, such as 'b'",)


def test_labels_that_are_their_own_ancestors_are_an_error():
    space = LabelSpace(names=("cat", "dog"), parents=((1,), (0,)))
    found = by_name(check_labels(Manifest.from_lists(Path(), ["a"], LabelSets.from_names([["cat"]], space))))
    assert found["hierarchy-cycle"].severity == "error"
    assert "'cat' → 'dog' → 'cat'" in found["hierarchy-cycle"].message


def test_a_label_that_nobody_looked_at_is_unknown_and_not_empty():
    labels = LabelSets.from_dense(np.array([[1, np.nan], [0, np.nan]]), LabelSpace(names=("cat", "dog")))
    found = by_name(check_labels(Manifest.from_lists(Path(), ["a", "b"], labels)))
    assert found["unknown-label"].examples == ("'dog'",)
    assert "empty-label" not in found
    assert "with what is known of them" in found["unlabelled-samples"].message


@pytest.mark.real_data
def test_the_constant_label_of_clothes_tiny_is_named(shared_data):
    assert by_name(check_labels(open_source(shared_data / "clothes_tiny")))["constant-label"].examples == (
        "'White': 1,662 of 1,662",
    )


@pytest.mark.real_data
def test_coco_has_two_samples_without_labels_and_nine_labels_that_never_occur(shared_data):
    manifest = open_source(shared_data / "coco128")
    found = by_name(check_labels(manifest))
    assert found["empty-label"].count == 9
    assert found["unlabelled-samples"].message.startswith("2 of 128 samples")
    assert check_images(manifest) == []
