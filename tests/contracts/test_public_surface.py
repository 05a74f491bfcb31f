"""`__all__` is the public surface: complete, documented, and shown by an example that runs."""

import ast
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src"
PACKAGES = sorted(
    ".".join(path.parent.relative_to(SOURCE).parts)
    for path in (SOURCE / "manyhot").rglob("__init__.py")
    if "__all__" in path.read_text(encoding="utf-8")
)
# Functions that only a trained run can show: the examples and the documentation run them.
SHOWN_ELSEWHERE = {
    "manyhot.runs.fitting.train": "README.md and examples/train_from_python.py",
    "manyhot.runs.evaluating.evaluate_run": "docs/recipes.md",
    "manyhot.runs.predicting.predict": "README.md and examples/predict_from_a_bundle.py",
}


def definition_of(module: ModuleType, name: str) -> tuple[str, ast.stmt | None]:
    """Return the full name of what a package exports, and its definition in our source."""
    value = getattr(module, name)
    home = getattr(value, "__module__", None)
    if not isinstance(home, str) or not home.startswith("manyhot"):
        return f"{module.__name__}.{name}", None
    path = SOURCE.joinpath(*home.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    own = getattr(value, "__name__", name)
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == own]
    return f"{home}.{own}", found[-1] if found else None


@pytest.mark.parametrize("package", PACKAGES)
def test_all_lists_names_that_exist_once_each(package: str):
    module = import_module(package)
    names = list(module.__all__)
    assert len(names) == len(set(names))
    assert [name for name in names if not hasattr(module, name)] == []
    assert [name for name in names if name.startswith("_") and name != "__version__"] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_all_lists_every_name_that_the_package_gathers(package: str):
    path = SOURCE.joinpath(*package.split("."), "__init__.py")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    gathered = [
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("manyhot")
        for alias in node.names
    ]
    public = {name for name in gathered if not name.startswith("_")}
    assert public - set(import_module(package).__all__) == set()


@pytest.mark.parametrize("package", PACKAGES)
def test_public_functions_and_classes_say_what_they_do(package: str):
    module = import_module(package)
    definitions = dict(definition_of(module, name) for name in module.__all__)
    nodes = {name: node for name, node in definitions.items() if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    assert [name for name, node in nodes.items() if not ast.get_docstring(node)] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_public_functions_show_an_example_that_runs(package: str):
    module = import_module(package)
    definitions = dict(definition_of(module, name) for name in module.__all__)
    functions = {name: node for name, node in definitions.items() if isinstance(node, ast.FunctionDef)}
    silent = [name for name, node in functions.items() if ">>>" not in (ast.get_docstring(node) or "")]
    assert sorted(set(silent) - SHOWN_ELSEWHERE.keys()) == []
