"""The house keeps its rules: what STYLE asks of every module and a linter cannot say."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "manyhot"
MODULES = sorted(SOURCE.rglob("*.py"))
IDS = [str(path.relative_to(SOURCE)) for path in MODULES]
FORBIDDEN_NAMES = {"utils", "util", "helpers", "common", "misc", "base_classes"}
MAX_MODULE_LINES = 300
# Of the body: signature and docstring are documentation.
MAX_FUNCTION_LINES = 45
# A suppression says why, after its rule: a dash and the reason, or the reason in parentheses.
SUPPRESSION = re.compile(r"#\s*(noqa|type:\s*ignore|pyright:\s*ignore)(?P<rest>.*)$")
WITH_REASON = re.compile(r"^(:\s*[A-Z0-9, ]+|\[[\w, ]+\])\s+((-|–)\s+\S|\(\w).*")


def functions_of(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def length_of_body(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines from the first statement after the docstring to the end."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_every_folder_with_modules_is_a_package():
    folders = {path.parent for path in MODULES}
    assert [str(folder) for folder in sorted(folders) if not (folder / "__init__.py").is_file()] == []


def test_no_module_is_called_utils():
    assert [name for path, name in zip(MODULES, IDS, strict=True) if path.stem in FORBIDDEN_NAMES] == []


@pytest.mark.parametrize("path", MODULES, ids=IDS)
def test_module_holds_one_idea(path: Path):
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "the first line of a module says what it is for"
    assert len(text.splitlines()) <= MAX_MODULE_LINES
    long = {f.name: length_of_body(f) for f in functions_of(tree)}
    assert {name: lines for name, lines in long.items() if lines > MAX_FUNCTION_LINES} == {}


@pytest.mark.parametrize("path", MODULES, ids=IDS)
def test_module_can_be_checked_for_shapes(path: Path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    futures = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
    assert futures == [], "postponed annotations hide shapes from the check"
    selves = [f.name for f in functions_of(tree) if isinstance(f.returns, ast.Name) and f.returns.id == "Self"]
    assert selves == [], "a method that returns Self breaks the shape check: name the class as a string"


@pytest.mark.parametrize("path", MODULES, ids=IDS)
def test_suppression_states_its_reason(path: Path):
    lines = path.read_text(encoding="utf-8").splitlines()
    found = [(number, match) for number, line in enumerate(lines, 1) if (match := SUPPRESSION.search(line))]
    assert [number for number, match in found if not WITH_REASON.match(match["rest"])] == []


def shapes_in(annotation: ast.expr | None) -> Iterator[str]:
    """Yield the shape strings of an annotation: "n l" of `Float[Tensor, "n l"]`."""
    for node in ast.walk(annotation) if annotation is not None else ():
        if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Literal":
            continue
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Tuple) and len(node.slice.elts) == 2:
            shape = node.slice.elts[1]
            if isinstance(shape, ast.Constant) and isinstance(shape.value, str):
                yield shape.value


def unbound_axes(annotations: list[ast.expr | None]) -> list[str]:
    """Return the axes such as `n+1` that stand before any annotation has said what `n` is."""
    known: set[str] = set()
    unbound: list[str] = []
    for shape in (shape for annotation in annotations for shape in shapes_in(annotation)):
        for axis in shape.split():
            if axis.isidentifier():
                known.add(axis)
            elif set(re.findall(r"[A-Za-z_]\w*", axis.lstrip("*#?"))) - known and any(sign in axis for sign in "+-/"):
                unbound.append(axis)
    return unbound


@pytest.mark.parametrize("path", MODULES, ids=IDS)
def test_computed_axis_follows_the_axis_it_is_computed_from(path: Path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: dict[str, list[str]] = {}
    for function in functions_of(tree):
        if any(isinstance(d, ast.Name) and d.id == "no_type_check" for d in function.decorator_list):
            continue
        arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        found[function.name] = unbound_axes([argument.annotation for argument in arguments])
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            found[node.name] = unbound_axes(
                [field.annotation for field in node.body if isinstance(field, ast.AnnAssign)]
            )
    assert {name: axes for name, axes in found.items() if axes} == {}, "the shape check cannot process such an axis"
