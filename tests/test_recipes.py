"""Recipes are read strictly and survive the way out and back in."""

import tomllib

import pytest

from manyhot.config import BinaryCrossEntropyConfig, DataConfig, EncoderConfig, Recipe, SplitConfig, TrainingConfig
from manyhot.errors import ConfigError
from manyhot.recipes import dump_recipe, load_recipe, recipe_from_dict, save_recipe


def test_a_recipe_survives_the_way_out_and_back_in(tmp_path):
    recipe = Recipe(
        seed=7,
        encoder=EncoderConfig(name='odd "name" \\ with\ttab', pretrained="none", freeze=True),
        loss=BinaryCrossEntropyConfig(pos_weight={"N/A": 3.0, "häßlich": 2.5, "a.b": 1.0}),
        training=TrainingConfig(epochs=3, workers=0),
    )
    save_recipe(recipe, tmp_path / "recipe.toml")
    assert load_recipe(tmp_path / "recipe.toml") == recipe


def test_a_list_of_names_survives_the_way_out_and_back_in(tmp_path):
    recipe = Recipe(data=DataConfig(label_columns=("cat", "a, b", "häßlich")))
    save_recipe(recipe, tmp_path / "recipe.toml")
    assert 'label_columns = ["cat", "a, b", "häßlich"]' in (tmp_path / "recipe.toml").read_text(encoding="utf-8")
    assert load_recipe(tmp_path / "recipe.toml") == recipe


def test_what_is_not_set_stands_as_a_comment_and_stays_unset():
    text = dump_recipe(Recipe())
    assert "# lr is not set" in text
    assert recipe_from_dict(tomllib.loads(text)).optimiser.lr is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[encoder]\nnmae = 'x'", "encoder.nmae is no setting; did you mean 'name'?"),
        ("[encodr]\nname = 'x'", "encodr is no setting; did you mean 'encoder'?"),
        ("[encoder]\nzzz = 1", "encoder.zzz is no setting; there are: name, pretrained, freeze"),
        ("seed = 3.7", "seed is 3.7; it must be a whole number"),
        ("seed = true", "seed is true; it must be a whole number"),
        ("seed = '3'", 'seed is "3"; it must be a whole number'),
        ("seed = -1", "seed is -1; it must be between 0"),
        ("encoder = 'resnet18'", 'encoder is "resnet18"; it must be a table, as in [encoder]'),
        ("[images]\nflip = 1", "images.flip is 1; it must be true or false"),
        ("[images]\nsize = [1]", "images.size is list; it must be a whole number"),
        ("[training]\nprecision = 'bf61'", "did you mean 'bf16'?"),
        ("[training]\nepochs = 0", "training.epochs is 0; it must be at least 1"),
        ("[loss]\nkind = 'bce'", 'loss.kind is "bce"; it must be one of binary-cross-entropy, soft-margin'),
        ("[loss]\npos_weight = 'count'", "did you mean 'counts'?"),
        ("[loss.pos_weight]\ndog = 0", "loss.pos_weight.dog is 0.0; it must be above 0"),
        ("[optimiser]\nlr = nan", "optimiser.lr is NaN; it must be a number"),
        (f"[optimiser]\nlr = 1{'0' * 400}", "it must be a number"),
        ("[split]\ntrain = 0.9", "must each be above 0 and sum to 1"),
        ("[data]\nlabel_columns = 'cat'", 'data.label_columns is "cat"; it must be a list, each entry a string'),
        ("[data]\nlabel_columns = ['cat', 1]", "data.label_columns[1] is 1; it must be a string"),
        ("[data]\nlabel_columns = []", "data.label_columns is (); it must be names of columns"),
        ("[data]\nlabel_colums = ['cat']", "data.label_colums is no setting; did you mean 'label_columns'?"),
        ("[data]\nmax_unpacked_gb = 0", "data.max_unpacked_gb is 0.0; it must be above 0 and finite"),
        ("seed = = 1", "is not valid TOML"),
    ],
)
def test_a_wrong_setting_is_named_with_the_file_and_what_it_should_be(tmp_path, text, message):
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_recipe(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_recipe_that_is_no_utf8_or_missing_is_named(tmp_path):
    path = tmp_path / "recipe.toml"
    with pytest.raises(ConfigError, match="there is no such recipe"):
        load_recipe(path)
    path.write_bytes(b"seed = 1 # \xff")
    with pytest.raises(ConfigError, match="is not UTF-8"):
        load_recipe(path)


def test_a_whole_number_is_a_number_where_one_is_asked_for():
    assert recipe_from_dict({"optimiser": {"lr": 1}}).optimiser.lr == 1.0


def test_shares_of_a_split_must_sum_to_one():
    with pytest.raises(ConfigError, match="sum to 1"):
        SplitConfig(train=0.8, val=0.15, test=0.15)
