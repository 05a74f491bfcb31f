"""The recipe's `[decision]`: read strictly, fitted by a training, and changed afterwards without another one."""

import json
from typing import get_args, get_type_hints

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from manyhot.cli.main import main
from manyhot.config import DataConfig, DecisionConfig, EncoderConfig, ImagesConfig, Recipe, TrainingConfig
from manyhot.config.decisions import RULE_SETTINGS
from manyhot.decisions import LeastCost
from manyhot.decisions.rules import RuleName
from manyhot.errors import ConfigError, LabelError, RunError, UsageError
from manyhot.labels import LabelSpace
from manyhot.recipes import dump_recipe, recipe_from_dict
from manyhot.runs.deciding import check_decision, constraints_from, rule_from
from manyhot.runs.evaluating import evaluate_run
from manyhot.runs.fitting import train
from manyhot.runs.redeciding import decide_again
from manyhot.runs.run import Run

COLOURS = LabelSpace(names=("red", "blue", "dress"), groups=("colour", "colour", "type"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("deciding") / "data"
    folder.mkdir()
    rng = np.random.default_rng(0)
    lines = ["file,labels"]
    for row in range(40):
        red = row % 3 == 0
        pixels = rng.integers(0, 120, (16, 16, 3), dtype=np.uint8)
        pixels[:, :, 0] += 120 if red else 0
        Image.fromarray(pixels).save(folder / f"{row}.png")
        lines.append(f"{row}.png,{'red' if red else ''}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    recipe = Recipe(
        data=DataConfig(path=str(folder)),
        images=ImagesConfig(size=32),
        encoder=EncoderConfig(name="test_resnet", pretrained="none"),
        training=TrainingConfig(epochs=1, batch_size=8, workers=0),
    )
    return train(recipe, folder.parent / "run")


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"rule": "recall-at-least"}, "decision.rule is 'recall-at-least', which needs decision.recall"),
        ({"recall": 0.9}, "decision.recall belongs to recall-at-least; decision.rule is 'plug-in'"),
        ({"rule": "top-k", "k": 2, "beta": 2.0}, "decision.beta belongs to plug-in and best-f and global"),
        ({"rule": "recall-at-least", "recall": 1.5}, "decision.recall is 1.5; it must be above 0 and at most 1"),
        ({"rule": "false-negative-rate", "level": 1.0}, "decision.level is 1.0"),
        ({"rule": "cost", "false_negative_cost": {"cat": 0.0}}, "decision.false_negative_cost.cat is 0.0"),
        ({"exclusive": {"colour": "one"}}, "decision.exclusive.colour is .one."),
        ({"rule": "recal-at-least"}, "did you mean 'recall-at-least'"),
        ({"calibration": "plat"}, "did you mean 'platt'"),
        ({"at_most": 0}, "decision.at_most is 0"),
    ],
)
def test_settings_that_do_not_fit_the_rule_are_refused(section, message):
    with pytest.raises(ConfigError, match=message):
        recipe_from_dict({"decision": section})


def test_costs_and_groups_by_name_survive_the_recipe_file():
    import tomllib

    config = DecisionConfig(rule="cost", false_negative_cost={"N/A": 4.0}, exclusive={"colour": "exactly-one"})
    again = recipe_from_dict(tomllib.loads(dump_recipe(Recipe(decision=config)))).decision
    assert again == config
    assert rule_from(again) == LeastCost(false_negatives={"N/A": 4.0})
    assert constraints_from(again, COLOURS).to_lines() == ["exactly one of group 'colour'"]


def test_what_cannot_be_decided_is_refused_before_training():
    with pytest.raises(LabelError, match="'color' is no group of labels; did you mean 'colour'"):
        check_decision(DecisionConfig(exclusive={"color": "exactly-one"}), COLOURS)
    with pytest.raises(LabelError, match="have no parents"):
        check_decision(DecisionConfig(ancestors=True), COLOURS)
    with pytest.raises(UsageError, match="a cost is given for 'rad', which is no label"):
        check_decision(DecisionConfig(rule="cost", false_positive_cost={"rad": 2.0}), COLOURS)
    with pytest.raises(UsageError, match="promises a rate, and does not keep it under: at most 1 label"):
        check_decision(DecisionConfig(rule="false-negative-rate", at_most=1), COLOURS)


def test_validation_predictions_of_a_run_are_cross_fitted(finished: Run):
    table = pq.read_table(finished.folder / "predictions-val.parquet")
    logits = np.array(table["logits"].to_pylist())
    cross_fitted, fitted = np.array(table["probs"].to_pylist()), finished.bundle.decision.probs(logits)
    assert not np.allclose(cross_fitted, fitted, atol=1e-6)
    validation = json.loads((finished.folder / "metrics-val.json").read_text())
    assert validation["split"] == "val"
    assert validation["num_samples"] == len(logits)
    test = pq.read_table(finished.folder / "predictions-test.parquet")
    judged = finished.bundle.decision.probs(np.array(test["logits"].to_pylist()))
    assert np.allclose(np.array(test["probs"].to_pylist()), judged)


def test_evaluating_a_run_on_its_own_validation_split_is_cross_fitted_too(finished: Run):
    saved = json.loads((finished.folder / "metrics-val.json").read_text())["figures"]
    again = evaluate_run(finished, split="val").figures
    assert again["f1_macro"].value == pytest.approx(saved["f1_macro"]["value"])
    assert again["brier"].value == pytest.approx(saved["brier"]["value"], abs=1e-5)


def test_predictions_of_a_run_meet_its_constraints(finished: Run):
    always = DecisionConfig(rule="top-k", k=1)
    pictures = [finished.folder.parent / "data" / f"{row}.png" for row in range(5)]
    assert finished.decide(always).predict(pictures).labels() == [["red"]] * 5
    assert Run(finished.folder).decide(DecisionConfig()).bundle.decision.rule == "plug-in"


def test_finished_run_takes_another_decision_without_its_model_changing(finished: Run, capsys):
    before = {name: tensor.clone() for name, tensor in finished.bundle.model.state_dict().items()}
    flags = ["--decision.rule", "recall-at-least", "--decision.recall", "0.9", "--decision.at-most", "1"]
    assert main(["decide", str(finished.folder), *flags]) == 0
    again = Run(finished.folder)
    decision = again.bundle.decision
    assert decision.rule == "recall-at-least"
    assert decision.constraints.at_most == 1
    assert "recall at least 0.9" in decision.reasons[0]
    assert again.recipe.decision == DecisionConfig(rule="recall-at-least", recall=0.9, at_most=1)
    assert all((before[name] == tensor).all() for name, tensor in again.bundle.model.state_dict().items())
    report = (finished.folder / "report.html").read_text()
    assert "recall at least 0.9" in report
    assert "rule = &quot;recall-at-least&quot;" in report
    capsys.readouterr()


def test_decision_that_cannot_be_fitted_changes_nothing(finished: Run):
    before = (finished.folder / "recipe.toml").read_text()
    with pytest.raises(LabelError, match="is no group of labels"):
        finished.decide(DecisionConfig(exclusive={"colour": "exactly-one"}))
    assert (finished.folder / "recipe.toml").read_text() == before


def test_a_bundle_alone_takes_no_other_decision(finished: Run):
    with pytest.raises(RunError, match="takes a finished run"):
        decide_again(Run(finished.folder / "bundle"), DecisionConfig())


def test_decide_takes_no_setting_of_training(finished: Run, capsys):
    assert main(["decide", str(finished.folder), "--training.epochs", "3"]) == 2
    assert "decide takes --decision.FIELD alone" in capsys.readouterr().err


def test_recipes_know_the_rules_that_decisions_know():
    hints = get_type_hints(DecisionConfig)
    assert set(get_args(hints["rule"])) == set(RULE_SETTINGS) == set(get_args(RuleName))
