"""The recipes that the repository ships are read by the strict reader."""

from pathlib import Path

import pytest

from manyhot.recipes import dump_recipe, load_recipe

RECIPES = sorted((Path(__file__).resolve().parents[2] / "recipes").glob("*.toml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_shipped_recipe_reads_back_from_what_a_run_saves(path: Path, tmp_path: Path):
    recipe = load_recipe(path)
    (tmp_path / "saved.toml").write_text(dump_recipe(recipe), encoding="utf-8")
    assert load_recipe(tmp_path / "saved.toml") == recipe


def test_there_are_recipes():
    assert RECIPES
