"""Flags, recipe files and `--section.field value` make one recipe, read as strictly as the file."""

import tomllib
from pathlib import Path
from typing import get_args

import pytest

from manyhot.cli.main import main
from manyhot.cli.settings import resolve_settings, split_overrides
from manyhot.config import LossConfig, Recipe
from manyhot.config.losses import AsymmetricConfig, SemanticSoftmaxConfig
from manyhot.errors import ConfigError, UsageError
from manyhot.recipes import dump_recipe, recipe_from_dict


def resolved(*arguments: str, recipe: Path | None = None) -> Recipe:
    rest, overrides = split_overrides(arguments)
    assert rest == []
    return resolve_settings(recipe, overrides)


def test_without_overrides_the_defaults_stay() -> None:
    assert resolved() == Recipe()


def test_a_setting_is_read_by_its_type() -> None:
    recipe = resolved("--images.size", "64", "--images.flip=false", "--optimiser.lr", "1e-3", "--encoder.name", "7")
    assert (recipe.images.size, recipe.images.flip, recipe.optimiser.lr) == (64, False, 1e-3)
    assert recipe.encoder.name == "7"


def test_a_string_stays_to_the_letter() -> None:
    assert resolved("--data.separator", "0").data.separator == "0"
    assert resolved("--data.delimiter", "true").data.delimiter == "true"


def test_names_are_parted_by_commas_or_written_as_a_list() -> None:
    assert resolved("--data.label_columns", "cat,wild dog").data.label_columns == ("cat", "wild dog")
    assert resolved("--data.label-columns", '["a,b", "c"]').data.label_columns == ("a,b", "c")
    with pytest.raises(ConfigError, match=r"data\.label_columns is \('cat', ''\); it must be names of columns"):
        resolved("--data.label_columns", "cat,")


def test_hyphens_are_underscores_in_settings_and_not_in_labels() -> None:
    recipe = resolved("--optimiser.weight-decay", "0", "--loss.pos-weight.N/A-b.c_d", "2")
    assert recipe.optimiser.weight_decay == 0
    assert recipe.loss.pos_weight == {"N/A-b.c_d": 2.0}


def test_several_labels_get_weights_of_their_own() -> None:
    recipe = resolved("--loss.pos_weight.red", "2", "--loss.pos_weight.blue", "0.5")
    assert recipe.loss.pos_weight == {"red": 2.0, "blue": 0.5}


def test_a_choice_is_read_as_a_word() -> None:
    assert resolved("--loss.pos_weight", "counts").loss.pos_weight == "counts"


def test_overrides_stand_on_top_of_a_recipe(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text('[images]\nsize = 96\nflip = false\n[loss]\npos_weight = "counts"\n')
    recipe = resolved("--images.size", "64", recipe=path)
    assert (recipe.images.size, recipe.images.flip, recipe.loss.pos_weight) == (64, False, "counts")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--training.epochs", "3.7"], "training.epochs is 3.7; it must be a whole number"),
        (["--training.epochs", "three"], 'training.epochs is "three"; it must be a whole number'),
        (["--images.flip", "1"], "images.flip is 1; it must be true or false"),
        (["--images.sise", "3"], "did you mean 'size'?"),
        (["--imags.size", "3"], "did you mean 'images'?"),
        (["--seed.x", "3"], "seed is a single value"),
        (["--images.size", "-1"], "at least 8 pixels"),
        (["--images.size", "8193"], "at least 8 pixels and at most 8,192"),
        (["--training.batch_size", "1" + "0" * 20], "at least 1 and at most 1,000,000"),
        (["--training.batch_size", "1" * 5_000], "it must be a whole number"),
        (["--training.epochs", "1000001"], "at least 1 and at most 1,000,000"),
        (["--training.workers", "1025"], "at least 0 and at most 1,024"),
        (["--training.devices", "1025"], "at least 1 and at most 1,024"),
        (["--data.delimiter", ""], "data.delimiter is ''; it must be at least one character"),
        (["--data.separator="], "data.separator is ''; it must be at least one character"),
        (["--decision.rule", "plugin"], "did you mean 'plug-in'?"),
    ],
)
def test_a_wrong_setting_names_itself_and_the_mend(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=r".") as caught:
        resolved(*arguments)
    assert message in str(caught.value)


def test_another_kind_starts_from_its_own_defaults(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text('[loss]\npos_weight = "counts"\nlabel_smoothing = 0.1\n')
    recipe = resolved("--loss.gamma-neg", "2", "--loss.kind", "asymmetric", recipe=path)
    assert recipe.loss == AsymmetricConfig(gamma_neg=2.0)
    assert resolved("--loss.kind", "binary-cross-entropy", recipe=path).loss.label_smoothing == 0.1


def test_numbers_of_a_list_are_parted_by_commas() -> None:
    for text in ("1,0.5", "[1, 0.5]"):
        recipe = resolved("--loss.kind", "semantic-softmax", "--loss.level_weight", text)
        assert recipe.loss == SemanticSoftmaxConfig(level_weight=(1.0, 0.5))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--loss.kind", "asymetric"], "did you mean 'asymmetric'?"),
        (["--loss.gamma_neg", "2"], 'gamma_neg is a setting of asymmetric, and loss.kind is "binary-cross-entropy"'),
        (
            ["--loss.kind", "asymmetric", "--loss.gama-neg", "2"],
            "loss.gama_neg is no setting; did you mean 'gamma_neg'?",
        ),
        (
            ["--loss.kind", "softmax", "--loss.label_smoothing", "0.1"],
            "is a setting of binary-cross-entropy or soft-margin",
        ),
        (["--loss.kind", "focal", "--loss.alpha", "1"], "loss.alpha is 1.0; it must be between 0 and 1"),
        (["--loss.kind", "two-way", "--loss.positive_temperature", "0"], "it must be above 0 and finite"),
        (["--loss.kind", "semantic-softmax", "--loss.level_weight", "0,0"], "numbers from 0, not all 0"),
        (["--loss.unknown", "selektive"], "did you mean 'selective'?"),
        (["--loss.selective_keep_out", "3"], "belongs to selective, and loss.unknown is 'ignore'"),
        (["--loss.rejection_start", "3"], "loss.rejection_start is set without loss.rejection_rate"),
        (["--loss.rejection_rate", "2"], "above 0 and at most 1"),
        (["--loss.source_weight.web", "-1"], "loss.source_weight.web is -1.0; it must be above 0 and finite"),
    ],
)
def test_a_wrong_setting_of_a_loss_names_itself_and_the_mend(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolved(*arguments)
    assert message in str(caught.value)


def test_every_kind_of_loss_survives_the_way_through_a_file() -> None:
    for kind in get_args(LossConfig):
        recipe = Recipe(loss=kind())
        assert recipe_from_dict(tomllib.loads(dump_recipe(recipe))) == recipe


def test_a_setting_needs_a_value() -> None:
    with pytest.raises(UsageError, match="needs a value"):
        split_overrides(["--images.size", "--out"])
    with pytest.raises(UsageError, match="needs a value"):
        split_overrides(["--images.size"])


@pytest.mark.parametrize("name", ["--.x", "--images.", "--.", "--loss.pos_weight."])
def test_a_setting_needs_a_name(name: str) -> None:
    with pytest.raises(UsageError, match=r"is no setting; write --section\.field VALUE"):
        split_overrides([name, "3"])


def test_a_setting_is_given_once() -> None:
    with pytest.raises(UsageError, match="twice"):
        split_overrides(["--images.size", "3", "--images.size=4"])


def test_a_short_name_and_its_setting_are_not_given_both(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "data", "--epochs", "3", "--training.epochs", "4"]) == 2
    assert "given twice" in capsys.readouterr().err


def test_what_follows_two_hyphens_is_no_setting() -> None:
    assert split_overrides(["--", "--images.size", "3"]) == (["--", "--images.size", "3"], {})


def test_every_setting_can_be_given_on_the_command_line() -> None:
    def flags(section: dict[str, object], prefix: str = "") -> list[str]:
        return [
            argument
            for name, value in section.items()
            for argument in (
                flags(value, f"{prefix}{name}.") if isinstance(value, dict) else [f"--{prefix}{name}={shown(value)}"]
            )
        ]

    def shown(value: object) -> str:
        return str(value).lower() if isinstance(value, bool) else str(value)

    data = {"images": {"size": 65, "min_scale": 0.5, "flip": False}, "training": {"patience": 3, "precision": "fp32"}}
    data |= {"split": {"train": 0.5, "val": 0.25, "test": 0.25}, "decision": {"beta": 2.0, "rule": "best-f"}}
    assert resolved(*flags(data)) == recipe_from_dict(data)


def test_dry_run_prints_a_recipe_that_resolves_to_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "data", "--encoder", "resnet18", "--lr", "0.01", "--seed", "5", "--dry-run"]) == 0
    text = capsys.readouterr().out
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    assert main(["train", "--recipe", str(path), "--dry-run"]) == 0
    assert capsys.readouterr().out == text
    recipe = resolve_settings(path, {})
    assert (recipe.encoder.name, recipe.optimiser.lr, recipe.seed) == ("resnet18", 0.01, 5)
    assert dump_recipe(recipe) == text
