"""Every head and every way to part: chosen by a recipe, trained, kept in a bundle, and predicted from."""

from dataclasses import asdict

import numpy as np
import pytest
from PIL import Image

from manyhot.config import (
    BranchingConfig,
    CSRAConfig,
    DataConfig,
    EncoderConfig,
    GroupedHeadConfig,
    HeadConfig,
    ImagesConfig,
    LabelAttentionConfig,
    LinearHeadConfig,
    LowRankHeadConfig,
    MLDecoderConfig,
    Query2LabelConfig,
    Recipe,
    TrainingConfig,
)
from manyhot.errors import ConfigError, LabelError
from manyhot.labels import LabelSets, LabelSpace
from manyhot.models.branching import BranchedEncoder
from manyhot.models.spec import BranchingSpec
from manyhot.recipes import dump_recipe, recipe_from_dict
from manyhot.runs.fitting import train
from manyhot.runs.networks import describe_model, make_model, model_spec, start_model
from manyhot.runs.run import Run

HEADS: dict[str, HeadConfig] = {
    "linear": LinearHeadConfig(),
    "low-rank": LowRankHeadConfig(rank=2),
    "grouped": GroupedHeadConfig(width=4),
    "ml-decoder": MLDecoderConfig(width=8, attention_heads=2, hidden=4, queries=2),
    "query2label": Query2LabelConfig(width=8, attention_heads=2, hidden=4),
    "csra": CSRAConfig(attention_heads=2),
    "label-attention": LabelAttentionConfig(),
}
SPACE = LabelSpace(names=("red", "blue", "dress", "shirt"), groups=("colour", "colour", "type", "type"))
LABELS = LabelSets.from_lists([[0, 2], [1, 3], [0, 3], []] * 6, SPACE)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "clothes"
    folder.mkdir()
    generator = np.random.default_rng(0)
    entries = []
    for index in range(24):
        Image.fromarray(generator.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(folder / f"{index}.png")
        colour, kind = ("red", "blue")[index % 2], ("dress", "shirt")[index // 2 % 2]
        entries.append(f'"{index}.png": {{"colour": "{colour}", "type": "{kind}"}}')
    (folder / "labels.json").write_text("{" + ", ".join(entries) + "}")
    return folder


def recipe_of(path="data", head=None, branching=None) -> Recipe:
    return Recipe(
        data=DataConfig(path=str(path)),
        images=ImagesConfig(size=32),
        encoder=EncoderConfig(name="test_resnet", pretrained="none"),
        head=head or LinearHeadConfig(),
        branching=branching or BranchingConfig(),
        training=TrainingConfig(epochs=1, batch_size=8, workers=0),
    )


@pytest.mark.parametrize(
    ("head", "branching"),
    [
        *(
            # The others cost the default run more than they tell: tests/models builds every head.
            pytest.param(head, None, marks=() if name == "ml-decoder" else pytest.mark.slow)
            for name, head in HEADS.items()
        ),
        (HEADS["linear"], BranchingConfig(at=3)),
        pytest.param(HEADS["ml-decoder"], BranchingConfig(at=0, groups="labels"), marks=pytest.mark.slow),
    ],
    ids=[*HEADS, "branched", "branched by label"],
)
def test_a_head_trains_from_a_recipe_and_predicts_from_its_bundle(data, tmp_path, head, branching):
    run = train(recipe_of(data, head, branching), tmp_path / "run")
    assert run.bundle.spec.head.kind == head.kind
    assert run.recipe.head == head
    moved = tmp_path / "elsewhere"
    (tmp_path / "run" / "bundle").rename(moved)
    predictions = Run(moved).predict(data / "0.png")
    assert predictions.probs.shape == (1, 4)
    assert np.isfinite(predictions.probs).all()


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_a_recipe_of_any_head_survives_its_file(head):
    import tomllib

    recipe = recipe_of(head=head, branching=BranchingConfig(at=2, groups="co-occurrence", num_groups=3))
    assert recipe_from_dict(tomllib.loads(dump_recipe(recipe))) == recipe


def test_groups_come_from_the_space_from_the_data_or_are_one_a_label():
    def groups_of(**settings):
        branching = model_spec(recipe_of(branching=BranchingConfig(at=1, **settings)), LABELS).branching
        assert isinstance(branching, BranchingSpec)
        return branching.groups

    assert groups_of() == ((0, 1), (2, 3))
    assert groups_of(groups="labels") == ((0,), (1,), (2,), (3,))
    assert sorted(label for group in groups_of(groups="co-occurrence") for label in group) == [0, 1, 2, 3]
    plain = LabelSets.from_lists([[0]], LabelSpace(names=("a", "b")))
    with pytest.raises(LabelError, match="take groups by co-occurrence"):
        model_spec(recipe_of(branching=BranchingConfig(at=1)), plain)


def test_published_weights_enter_trunk_and_every_branch(tmp_path):
    import torch
    from safetensors.torch import save_file

    from manyhot.models.encoders import create_encoder

    torch.manual_seed(7)
    whole = create_encoder("test_resnet", image_size=32).eval()
    save_file(whole.state_dict(), tmp_path / "weights.safetensors")
    recipe = recipe_of(branching=BranchingConfig(at=2))
    recipe = Recipe(
        **{
            **vars(recipe),
            "encoder": EncoderConfig(name="test_resnet", pretrained=str(tmp_path / "weights.safetensors")),
        }
    )
    model = make_model(recipe, model_spec(recipe, LABELS)).eval()
    start_model(model, recipe, torch.zeros(4))
    images = torch.rand(2, 3, 32, 32)
    assert isinstance(model.encoder, BranchedEncoder)
    with torch.no_grad():
        branched, expected = model.encoder(images), whole(images)
    torch.testing.assert_close(branched, torch.stack((expected, expected), dim=1))


def test_the_log_says_where_the_encoder_parts_and_what_it_costs():
    recipe = recipe_of(branching=BranchingConfig(at=3, groups="labels"))
    lines = describe_model(make_model(recipe, model_spec(recipe, LABELS)), SPACE.names)
    assert lines[0].startswith("model: test_resnet, head linear: ")
    assert "shared" in lines[0]
    assert "GFLOPs a picture" in lines[0]
    assert lines[1] == ("the encoder parts after 'layer2' (stage 3 of 5) into 4 branches: red; blue; dress; shirt")
    assert "ms forwards and backwards on cpu" in lines[2]


@pytest.mark.parametrize(
    ("section", "settings", "message"),
    [
        ("head", {"kind": "ml-decodr"}, "did you mean 'ml-decoder'"),
        ("head", {"kind": "ml-decoder", "width": 10, "attention_heads": 4}, "a divisor of the width 10"),
        ("head", {"kind": "csra", "attention_heads": 3}, "1, 2, 4, 6 or 8"),
        ("head", {"kind": "low-rank", "rank": 0}, "head.rank is 0"),
        ("branching", {"at": -1}, "branching.at is -1"),
        ("branching", {"groups": "space", "num_groups": 1}, "branching.num_groups is 1"),
        ("branching", {"att": 1}, "did you mean 'at'"),
        ("branching", {"groups": "labels"}, "the encoder parts nowhere; say after which stage"),
    ],
)
def test_settings_that_cannot_be_are_one_line(section, settings, message):
    with pytest.raises(ConfigError, match=message):
        recipe_from_dict({section: settings})


def test_every_head_of_the_recipe_has_the_defaults_of_its_specification():
    from manyhot.models.head_specs import HEAD_SPECS

    specs = {spec.__dataclass_fields__["kind"].default: spec for spec in HEAD_SPECS}
    for kind, head in HEADS.items():
        plain = type(head)()
        # Groups are found in the data; in_chunks says how a head is trained, not what it is.
        others = ("groups", "num_groups", "in_chunks")
        shared = {name: value for name, value in asdict(plain).items() if name not in others}
        for name, value in shared.items():
            assert specs[kind].__dataclass_fields__[name].default == value, (kind, name)
