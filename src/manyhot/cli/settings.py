"""From a recipe file, newcomer flags and `--section.field value` to one recipe, read as strictly as the file."""

import tomllib
import types
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from manyhot.config import DataConfig, DecisionConfig, Recipe
from manyhot.errors import ConfigError, UsageError
from manyhot.recipes import load_recipe, recipe_from_dict

Overrides = dict[tuple[str, ...], str | list[str]]
"""Settings by their path: as they were typed, or as a list of such texts."""

EPILOG = """\
Every setting of a recipe can be given as --section.field VALUE, on top of
--recipe FILE: --images.flip false --optimiser.weight_decay 0.01
--loss.pos_weight counts. --dry-run prints all of them, as a recipe file."""


def split_overrides(arguments: Sequence[str]) -> tuple[list[str], Overrides]:
    """Return the arguments without `--section.field value`, and those settings by their path.

    Hyphens and underscores are the same in the names of settings, not in those of labels.

    Raises:
        UsageError: If a setting has no value or no name, or stands twice.

    >>> split_overrides(["data", "--images.flip", "false", "--loss.pos_weight.N/A=2"])
    (['data'], {('images', 'flip'): 'false', ('loss', 'pos_weight', 'N/A'): '2'})
    """
    rest: list[str] = []
    overrides: Overrides = {}
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        name, equals, value = argument.partition("=")
        if argument == "--":
            return [*rest, argument, *waiting], overrides
        if not (name.startswith("--") and "." in name):
            rest.append(argument)
            continue
        if not equals:
            if not waiting or waiting[0].startswith("--"):
                raise UsageError(f"{name} needs a value, as in {name} VALUE")
            value = waiting.pop(0)
        path = _path_of(name)
        if path in overrides:
            raise UsageError(f"{name} is given twice; give it once")
        overrides[path] = value
    return rest, overrides


def _path_of(name: str) -> tuple[str, ...]:
    section, field, *key = parts = name.removeprefix("--").split(".", 2)
    if "" in parts:
        raise UsageError(f"{name} is no setting; write --section.field VALUE, as in --images.size 224")
    return (section.replace("-", "_"), field.replace("-", "_"), *key)


def resolve_settings(recipe: Path | None, overrides: Overrides) -> Recipe:
    """Return the recipe of a file (or the defaults) with settings from the command line on top.

    Raises:
        ConfigError: Naming the setting, what it was given, and what it should be.
    """
    base = Recipe() if recipe is None else load_recipe(recipe)
    data: dict[str, Any] = _without_none(asdict(base))
    for path, text in overrides.items():
        if path[1:] == ("kind",) and isinstance(section := data.get(path[0]), dict) and section.get("kind") != text:
            # Another kind starts from its own defaults: the settings of the old one are not its own.
            data[path[0]] = {}
    for path, text in overrides.items():
        _put(data, path, _read(path, text) if isinstance(text, str) else text)
    return recipe_from_dict(data)


def read_data_settings(overrides: Overrides, *, command: str) -> DataConfig:
    """Return how to read data, for a command that takes `--data.field value` and no other setting.

    Raises:
        UsageError: If another setting is given.
    """
    for path in overrides:
        if path[0] != "data":
            raise UsageError(f"--{'.'.join(path)} is a setting of training; {command} takes --data.FIELD alone")
        if path == ("data", "path"):
            raise UsageError(f"--data.path is for recipes; name the data: manyhot {command} ... DATA")
    return resolve_settings(None, overrides).data


def read_decision_settings(overrides: Overrides) -> DecisionConfig:
    """Return how to decide, for a command that takes `--decision.field value` and no other setting.

    Raises:
        UsageError: If another setting is given.

    >>> read_decision_settings({("decision", "rule"): "recall-at-least", ("decision", "recall"): "0.9"}).recall
    0.9
    """
    for path in overrides:
        if path[0] != "decision":
            raise UsageError(f"--{'.'.join(path)} is a setting of training; decide takes --decision.FIELD alone")
    return resolve_settings(None, overrides).decision


def _put(data: dict[str, Any], path: tuple[str, ...], value: object) -> None:
    *sections, name = path
    table = data
    for depth, section in enumerate(sections):
        inner = table.setdefault(section, {})
        if not isinstance(inner, dict):
            if depth == 0:
                raise ConfigError(f"{'.'.join(path)} is no setting: {section} is a single value")
            # `--loss.pos_weight.red 2` replaces `pos_weight = "none"` by a table.
            inner = table[section] = {}
        table = inner
    table[name] = value


def _read(path: tuple[str, ...], text: str) -> object:
    """Return the value that a text stands for: itself where the setting is a string, else as in TOML."""
    hint: Any = Recipe
    for name in path:
        hint = _hint_of(hint, name)
    if any(member is str or get_origin(member) is Literal for member in _members(hint)):
        return text
    entries = [get_args(member)[0] for member in _members(hint) if get_origin(member) is tuple]
    if entries and not text.startswith("["):
        # Names that hold a comma are written as in TOML: ["a,b", "c"].
        if entries[0] is str:
            return text.split(",")
        text = f"[{text}]"
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except ValueError:
        # No TOML, or a number of more digits than Python reads. Not what the setting takes, and the strict reader says so.
        return text


def _hint_of(hint: Any, name: str) -> Any:  # noqa: ANN401 - types are what it walks
    for member in _members(hint):
        if isinstance(member, type) and is_dataclass(member) and name in {field.name for field in fields(member)}:
            return get_type_hints(member)[name]
        if get_origin(member) is dict:
            return get_args(member)[1]
    # An unknown name: the strict reader knows the nearest one.
    return str


def _members(hint: Any) -> tuple[Any, ...]:  # noqa: ANN401 - types are what it walks
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _without_none(data: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _without_none(value) if isinstance(value, dict) else value
        for name, value in data.items()
        if value is not None
    }
