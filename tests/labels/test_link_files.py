"""Mappings and dictionaries from files, real ones too, and mapped scores against their formulas."""

from pathlib import Path

import numpy as np
import pytest

from manyhot.errors import LabelError
from manyhot.labels import Csr, LabelSets, LabelSpace
from manyhot.labels.expansion import expand_positives
from manyhot.labels.hierarchy import Hierarchy
from manyhot.labels.link_files import read_mapping, write_mapping
from manyhot.labels.mapped_scores import map_scores
from manyhot.labels.mapping import LabelMapping
from manyhot.sources import open_source
from manyhot.sources.tencent_dictionary import read_dictionary, write_dictionary

WIDE = LabelSpace(names=("cat", "car", "none"))
NARROW = LabelSpace(names=("tabby", "siamese", "van"))
THREE = LabelMapping.from_names(WIDE, NARROW, {"cat": ["tabby", "siamese"], "car": ["van"]})


def numbered(num_labels: int) -> LabelSpace:
    return LabelSpace(names=tuple(f"label {label}" for label in range(num_labels)))


@pytest.mark.parametrize(
    ("name", "text", "keys"),
    [
        ("links.json", '{"cat": ["tabby", 1], "car": "van"}', "coarse"),
        ("links.json", '{"tabby": "cat", "1": 0, "van": [1]}', "fine"),
        ("links.csv", "coarse,fine\ncat,tabby\ncat,siamese\ncar,van\n", "coarse"),
        ("links.csv", "coarse,fine\n0,0\ncat,1\n1,van\n", "coarse"),
    ],
)
def test_links_are_read_from_json_and_csv(tmp_path: Path, name: str, text: str, keys):
    (tmp_path / name).write_text(text, encoding="utf-8")
    mapping = read_mapping(tmp_path / name, WIDE, NARROW, keys=keys)
    found = [mapping]
    for again in (tmp_path / "again.json", tmp_path / "again.csv"):
        write_mapping(mapping, again)
        found.append(read_mapping(again, WIDE, NARROW))
    for read in found:
        assert read.links.indptr.tolist() == [0, 2, 3, 3]
        assert read.links.ids.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", "{", "cannot be read as JSON"),
        ("a.json", "[]", "holds no object"),
        ("a.json", '{"cat": [0], "cat": [1]}', "key 'cat' stands twice"),
        ("a.json", '{"cat": [3]}', "key 'cat': label id 3 is outside the 3 labels"),
        ("a.json", '{"cat": ["taby"]}', "did you mean 'tabby'"),
        ("a.json", '{"cat": [true]}', "True is no label"),
        ("a.csv", "a,b\n", "line 1: expected the header"),
        ("a.csv", "coarse,fine\ncat\n", "line 2: 1 columns"),
        ("a.csv", "", "line 1: expected the header"),
        ("a.csv", 'coarse,fine\ncat,"tabby', "cannot be read as CSV"),
        ("a.csv", "coarse,fine\ncat,taby\n", "line 2.*did you mean 'tabby'"),
        ("a.json", "", "cannot be read as JSON"),
        ("a.json", "[" * 100_000, "cannot be read as JSON"),
        ("a.json", '{"cat": [NaN]}', "key 'cat'.*nan is no label"),
        ("a.json", '{"cat": [null]}', "key 'cat'.*None is no label"),
        ("a.json", '{"cat": [-1]}', "label id -1 is outside the 3 labels"),
        ("a.json", '{"cat": ["' + "x" * 10_000 + '"]}', "key 'cat'"),
        ("a.json", '{"cat": ["c\\u0007t"]}', r"key 'cat'.*c\\x07t"),
    ],
)
def test_broken_links_are_named(tmp_path: Path, name: str, text: str, message: str):
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(LabelError, match=message) as caught:
        read_mapping(tmp_path / name, WIDE, NARROW)
    assert str(caught.value).startswith(str(tmp_path / name))
    assert len(str(caught.value).splitlines()) == 1


def test_names_that_look_like_ids_or_columns_keep_their_meaning_in_csv(tmp_path: Path):
    wide, narrow = LabelSpace(names=("1", "a,b")), LabelSpace(names=("0", '"q"', "c\u2028d"))
    mapping = LabelMapping.from_names(wide, narrow, {"1": ["0"], "a,b": ['"q"', "c\u2028d"]})
    write_mapping(mapping, tmp_path / "links.csv")
    again = read_mapping(tmp_path / "links.csv", wide, narrow)
    assert again.links.indptr.tolist() == mapping.links.indptr.tolist()
    assert again.links.ids.tolist() == mapping.links.ids.tolist()


@pytest.mark.parametrize("name", ["a.json", "a.csv"])
@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_links_in_another_encoding_are_named(tmp_path: Path, name: str, encoding: str):
    text = '{"cät": ["tabby"]}' if name == "a.json" else "coarse,fine\ncät,tabby\n"
    (tmp_path / name).write_text(text, encoding=encoding)
    with pytest.raises(LabelError, match=r"cannot be read as (JSON|CSV)"):
        read_mapping(tmp_path / name, WIDE, NARROW)


def test_mapped_scores_are_their_formulas():
    logits = np.random.default_rng(0).normal(0, 3, (17, 3)).astype(np.float32)
    z = logits.astype(np.float64)
    probs = 1 / (1 + np.exp(-z))
    noisy = 1 - (1 - probs[:, 0]) * (1 - probs[:, 1])
    softmax = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    expected = {
        "max": z[:, :2].max(axis=1),
        "logsumexp": np.log(np.exp(z[:, :2]).sum(axis=1)),
        "noisy-or": np.log(noisy / (1 - noisy)),
        "mean-softmax": softmax[:, :2].mean(axis=1),
    }
    for how, values in expected.items():
        scores = map_scores(THREE, logits, how)
        np.testing.assert_allclose(scores[:, 0], values, rtol=1e-9)
        assert np.isnan(scores[:, 2]).all()


def test_extreme_logits_stay_finite():
    for how in ("max", "logsumexp", "noisy-or", "mean-softmax"):
        assert np.isfinite(
            map_scores(THREE, np.array([[700.0, -700.0, 0.0], [-700.0, -700.0, -700.0]]), how)[:, :2]
        ).all()


def test_restrict_wants_one_fine_label_each():
    with pytest.raises(LabelError, match="'cat' has several fine ones"):
        map_scores(THREE, np.zeros((1, 3)), "restrict")


@pytest.mark.real_data
def test_the_dictionary_of_eleven_thousand_labels_expands_and_round_trips(shared_data: Path, tmp_path: Path):
    path = shared_data / "label_spaces" / "dictionary_and_semantic_hierarchy.txt"
    dictionary = read_dictionary(path)
    assert len(dictionary.space) == 11_166
    write_dictionary(dictionary, tmp_path / "again.txt")
    assert (tmp_path / "again.txt").read_bytes() == path.read_bytes()
    hierarchy = Hierarchy.of(dictionary.space)
    sets = LabelSets(space=dictionary.space, positives=Csr.from_lists([[11_165], [], [0]]))
    line = [11_165]
    while parents := (dictionary.space.parents or ())[line[-1]]:
        line.append(parents[0])
    assert expand_positives(hierarchy, sets).positives.row(0).tolist() == sorted(line)


@pytest.mark.real_data
def test_the_dictionary_names_labels_as_data_of_it_do(shared_data: Path):
    folder = shared_data / "label_spaces"
    space = read_dictionary(folder / "dictionary_and_semantic_hierarchy.txt").space
    assert open_source(folder / "train_urls_tiny.txt").labels.space == space


@pytest.mark.real_data
def test_the_maps_of_imagenet_apply_both_ways(shared_data: Path):
    folder, fine = shared_data / "label_spaces", numbered(1_000)
    names = [
        "knife",
        "keyboard",
        "elephant",
        "bicycle",
        "airplane",
        "clock",
        "oven",
        "chair",
        "bear",
        "boat",
        "cat",
        "bottle",
        "truck",
        "car",
        "bird",
        "dog",
    ]
    sixteen = read_mapping(folder / "sixteen_classes_to_imagenet_index.json", LabelSpace(names=tuple(names)), fine)
    assert sixteen.links.size == 207
    rows = LabelSets.from_lists([[281], [499, 10]], fine)
    coarse = sixteen.to_coarse(rows)
    assert [[names[label] for label in coarse.positives.row(row)] for row in range(2)] == [["cat"], ["knife", "bird"]]
    back = sixteen.to_fine(coarse).to_multi_hot()
    assert np.isnan(back[0, 281:287]).all()
    assert (back[1, 499], back[0, 499]) == (1, 0)
    adverse = read_mapping(folder / "imagenet_to_imagenet_a.json", numbered(200), fine, keys="fine")
    assert adverse.links.size == 200
    assert adverse.to_coarse(LabelSets.from_lists([[6, 0]], fine)).positives.ids.tolist() == [0]
    assert adverse.to_fine(LabelSets.from_lists([[0]], adverse.coarse)).positives.ids.tolist() == [6]
    logits = np.random.default_rng(0).normal(size=(5, 1_000))
    np.testing.assert_array_equal(map_scores(adverse, logits, "restrict"), logits[:, adverse.links.ids])


def test_a_number_is_the_label_that_is_called_so_before_it_is_an_id(tmp_path):
    path = tmp_path / "links.json"
    path.write_text('{"cat": [10, 1], "dog": 2}', encoding="utf-8")
    wide, narrow = LabelSpace(names=("cat", "dog")), LabelSpace(names=("1", "10", "2"))
    mapping = read_mapping(path, wide, narrow)
    assert [mapping.links.row(row).tolist() for row in range(2)] == [[0, 1], [2]]
