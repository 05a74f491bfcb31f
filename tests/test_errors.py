"""The exception tree is the one that its module draws, and its messages help."""

import re

import pytest

from manyhot import errors
from manyhot.errors import ManyhotError, MissingExtraError, StoppedError, UsageError, did_you_mean


def error_classes() -> dict[str, type[ManyhotError]]:
    found = vars(errors).values()
    return {item.__name__: item for item in found if isinstance(item, type) and issubclass(item, ManyhotError)}


def drawn_tree() -> dict[str, str]:
    """Return the parent of each error in the drawing."""
    parents: dict[str, str] = {}
    at_depth = {0: "ManyhotError"}
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^([│ ]*)[├└]── (\w+)", line)
        if match:
            depth = len(match[1]) // 4 + 1
            parents[match[2]] = at_depth[depth - 1]
            at_depth[depth] = match[2]
    return parents


def test_the_drawing_is_the_tree():
    real = {name: kind.__mro__[1].__name__ for name, kind in error_classes().items() if kind is not ManyhotError}
    assert drawn_tree() == real


def test_only_wrong_usage_and_a_stop_have_an_exit_code_of_their_own():
    codes = {name: kind.exit_code for name, kind in error_classes().items() if kind.exit_code != 1}
    assert codes == {"UsageError": 2, "ConfigError": 2, "StoppedError": 3}
    assert UsageError.exit_code == 2
    assert StoppedError.exit_code == 3


def test_a_missing_extra_names_the_command_that_installs_it():
    message = str(MissingExtraError("fastapi", "serve", "serving"))
    assert message == "serving needs fastapi, which is not installed; run: pip install 'manyhot[serve]'"


@pytest.mark.parametrize(("typed", "meant"), [("comdy", "Comedy"), ("COMEDY", "Comedy"), ("drama ", "Drama")])
def test_the_nearest_name_is_suggested_whatever_its_case(typed: str, meant: str):
    assert did_you_mean(typed, ["Comedy", "Drama"]) == f"; did you mean {meant!r}?"


@pytest.mark.parametrize("known", [[], ["Comedy"]])
def test_nothing_is_suggested_when_nothing_is_near(known: list[str]):
    assert did_you_mean("zebra", known) == ""
