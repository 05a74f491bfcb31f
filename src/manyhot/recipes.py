"""Recipes as TOML files: read strictly, written so that a person can edit them. Loads without torch."""

import json
import math
import tomllib
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from manyhot.config import Recipe
from manyhot.errors import ConfigError, did_you_mean
from manyhot.files import write_text


def load_recipe(path: Path) -> Recipe:
    """Return the recipe of a TOML file.

    Nothing is converted in silence: a number is no string, 3.7 is no integer, and an unknown setting is an error.

    Raises:
        ConfigError: Naming the file, the setting, and what it should be.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such recipe") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 (byte {error.start}); save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: is not valid TOML: {error}") from None
    try:
        return recipe_from_dict(data)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def recipe_from_dict(data: Mapping[str, Any]) -> Recipe:
    """Return the recipe that plain data describe; missing settings keep their defaults.

    >>> recipe_from_dict({"seed": 3, "encoder": {"name": "resnet18"}}).encoder.name
    'resnet18'
    """
    return _read_section(Recipe, data, "")


def save_recipe(recipe: Recipe, path: Path) -> None:
    """Write a recipe, whole or not at all."""
    write_text(path, dump_recipe(recipe))


def dump_recipe(recipe: Recipe) -> str:
    """Return the recipe as TOML; settings that are still open stand as comments.

    >>> print(dump_recipe(Recipe()).splitlines()[0])
    seed = 0
    """
    return "\n".join(_write_section(recipe, "")) + "\n"


def _read_section(section: type[Any], data: object, path: str) -> Any:  # noqa: ANN401 - an instance of the section
    if not isinstance(data, Mapping):
        raise ConfigError(f"{path} is {_shown(data)}; it must be a table, as in [{path}]")
    assert is_dataclass(section)
    hints = get_type_hints(section)
    names = [field.name for field in fields(section)]
    for name in data:
        if name not in hints:
            where = f"{path}.{name}" if path else str(name)
            near = did_you_mean(str(name), names) or f"; there are: {', '.join(names)}"
            raise ConfigError(f"{where} is no setting{near}")
    values = {name: _read_value(hints[name], value, f"{path}.{name}" if path else name) for name, value in data.items()}
    return section(**values)


def _read_value(hint: Any, value: object, path: str) -> Any:  # noqa: ANN401 - the type is the hint's
    if isinstance(hint, type) and is_dataclass(hint):
        return _read_section(hint, value, path)
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _read_union(hint, value, path)
    if _fits(hint, origin, value):
        return float(value) if hint is float and isinstance(value, int) else value
    if origin is tuple and isinstance(value, list | tuple):
        inner = get_args(hint)[0]
        return tuple(_read_value(inner, item, f"{path}[{place}]") for place, item in enumerate(value))
    if origin is dict and isinstance(value, Mapping):
        inner = get_args(hint)[1]
        return {str(key): _read_value(inner, item, f"{path}.{key}") for key, item in value.items()}
    raise ConfigError(f"{path} is {_shown(value)}; it must be {_expected(hint)}{_near_choice(hint, value)}")


def _read_union(hint: Any, value: object, path: str) -> Any:  # noqa: ANN401 - the type is the hint's
    choices: list[Any] = [choice for choice in get_args(hint) if choice is not types.NoneType]
    sections: dict[str, Any] = {
        get_args(get_type_hints(choice)["kind"])[0]: choice for choice in choices if is_dataclass(choice)
    }
    if sections and isinstance(value, Mapping):
        kind = value.get("kind", next(iter(sections)))
        if kind not in sections:
            near = did_you_mean(str(kind), tuple(sections))
            raise ConfigError(f"{path}.kind is {_shown(kind)}; it must be one of {', '.join(sections)}{near}")
        _refuse_other_kinds(sections, kind, value, path)
        return _read_section(sections[kind], value, path)
    for choice in choices:
        origin = get_origin(choice)
        holds_members = isinstance(value, {dict: Mapping, tuple: list | tuple}.get(origin, ()))
        if holds_members or _fits(choice, origin, value):
            return _read_value(choice, value, path)
    raise ConfigError(f"{path} is {_shown(value)}; it must be {_expected(hint)}{_near_choice(hint, value)}")


def _refuse_other_kinds(sections: Mapping[str, Any], kind: str, value: Mapping[str, Any], path: str) -> None:
    names = {name: {field.name for field in fields(section)} for name, section in sections.items()}
    for name in value:
        owners = [other for other in sections if name in names[other]]
        if owners and kind not in owners:
            kinds = f'{" or ".join(owners)}, and {path}.kind is "{kind}"'
            raise ConfigError(f"{path}.{name} is a setting of {kinds}; set {path}.kind, or leave the setting out")


def _fits(hint: Any, origin: Any, value: object) -> bool:  # noqa: ANN401 - types are what it compares
    if origin is Literal:
        return value in get_args(hint)
    if isinstance(value, bool):
        return hint is bool
    if hint is float:
        # A whole number that no float can hold is none.
        return (isinstance(value, float) and not math.isnan(value)) or (isinstance(value, int) and abs(value) < 2**1023)
    return hint in (str, int) and isinstance(value, hint)


def _expected(hint: Any) -> str:  # noqa: ANN401 - types are what it names
    origin = get_origin(hint)
    if origin is Literal:
        return "one of " + ", ".join(repr(choice) for choice in get_args(hint))
    if origin in (Union, types.UnionType):
        return ", or ".join(_expected(choice) for choice in get_args(hint) if choice is not types.NoneType)
    if origin is tuple:
        return f"a list, each entry {_expected(get_args(hint)[0])}"
    if origin is dict:
        return f"a table of names, each with {_expected(get_args(hint)[1])}"
    return {bool: "true or false", int: "a whole number", float: "a number", str: "a string in quotes"}[hint]


def _near_choice(hint: Any, value: object) -> str:  # noqa: ANN401 - types are what it searches
    members = (hint, *get_args(hint))
    choices = [str(choice) for member in members if get_origin(member) is Literal for choice in get_args(member)]
    return did_you_mean(value, choices) if isinstance(value, str) else ""


def _shown(value: object) -> str:
    return json.dumps(value, default=str) if isinstance(value, bool | str | int | float) else type(value).__name__


def _write_section(section: Any, path: str) -> list[str]:  # noqa: ANN401 - any config dataclass
    values = {field.name: getattr(section, field.name) for field in fields(section)}
    lines = [f"{name} = {_toml(value)}" for name, value in values.items() if _is_plain(value) and value is not None]
    lines += [f"# {name} is not set" for name, value in values.items() if value is None]
    for name, value in values.items():
        if not _is_plain(value):
            inner = f"{path}.{name}" if path else name
            table = [f"{_key(key)} = {_toml(item)}" for key, item in value.items()] if isinstance(value, dict) else []
            lines += ["", f"[{inner}]", *(table or _write_section(value, inner))]
    return lines


def _is_plain(value: object) -> bool:
    return not (is_dataclass(value) or isinstance(value, dict))


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(name: str) -> str:
    return name if name.isascii() and name.replace("_", "").replace("-", "").isalnum() else _toml(name)
