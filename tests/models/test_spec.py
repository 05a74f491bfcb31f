import json
from dataclasses import replace

import pytest

from manyhot.errors import ModelError
from manyhot.models.spec import LinearHeadSpec, ModelSpec, Preprocessing

PREPROCESSING = Preprocessing(image_size=64, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
SPEC = ModelSpec(encoder="resnet18", num_labels=7, head=LinearHeadSpec(), preprocessing=PREPROCESSING)


def test_a_spec_survives_json() -> None:
    assert ModelSpec.from_dict(json.loads(json.dumps(SPEC.to_dict()))) == SPEC


def test_an_unknown_field_is_named_with_the_nearest_known_one() -> None:
    data = SPEC.to_dict() | {"num_label": 3}
    with pytest.raises(ModelError, match=r"'num_label'.*did you mean 'num_labels'"):
        ModelSpec.from_dict(data)


@pytest.mark.parametrize("name", ["encoder", "num_labels", "head", "preprocessing"])
def test_a_missing_field_is_named(name: str) -> None:
    data = SPEC.to_dict()
    del data[name]
    with pytest.raises(ModelError, match=f"lacks the field '{name}'"):
        ModelSpec.from_dict(data)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_labels", 7.0),
        ("num_labels", True),
        ("num_labels", "7"),
        ("encoder", 5),
        ("preprocessing", 1),
        ("head", None),
    ],
)
def test_a_field_of_another_type_is_refused(name: str, value: object) -> None:
    with pytest.raises(ModelError, match=name):
        ModelSpec.from_dict(SPEC.to_dict() | {name: value})


@pytest.mark.parametrize("mean", [[0.5, 0.5], "0.5", [0.5, 0.5, "x"], [0.5, 0.5, None]])
def test_a_mean_that_is_not_three_numbers_is_refused(mean: object) -> None:
    data = SPEC.to_dict()
    data["preprocessing"]["mean"] = mean
    with pytest.raises(ModelError, match="mean"):
        ModelSpec.from_dict(data)


def test_whole_numbers_are_numbers() -> None:
    data = SPEC.to_dict()
    data["preprocessing"]["std"] = [1, 1, 1]
    assert ModelSpec.from_dict(data).preprocessing.std == (1.0, 1.0, 1.0)


def test_an_unknown_head_is_refused_by_name() -> None:
    with pytest.raises(ModelError, match="'cosine'"):
        ModelSpec.from_dict(SPEC.to_dict() | {"head": {"kind": "cosine"}})


def test_numbers_without_sense_are_refused() -> None:
    with pytest.raises(ModelError, match="above 0"):
        replace(PREPROCESSING, std=(0.2, 0.0, 0.2))
    with pytest.raises(ModelError, match="image_size"):
        replace(PREPROCESSING, image_size=0)
    with pytest.raises(ModelError, match="mean"):
        replace(PREPROCESSING, mean=(0.1, float("nan"), 0.2))
    with pytest.raises(ModelError, match="at least one label"):
        replace(SPEC, num_labels=0)
    with pytest.raises(ModelError, match="no name"):
        replace(SPEC, encoder="")
