"""The code blocks of README and docs run, in the order of their page, in a folder with small real data.

Blocks of a page share one folder and one namespace, as a reader would have it:
- `python` runs; `pycon` runs and its output is compared;
- `console` runs each line that starts with `$ manyhot` and compares the output, where some is shown;
- `toml` is read as a recipe;
- `text` and `json` are shown only.
A comment before a block changes that: `<!-- slow -->` leaves the rest of the page to the slow tests,
`<!-- not run: REASON -->` leaves the block alone.
"""

import contextlib
import doctest
import io
import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
LANGUAGES = {"python", "pycon", "console", "toml", "text", "json"}
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(frozen=True, kw_only=True)
class Block:
    language: str
    text: str
    line: int
    is_slow: bool
    is_run: bool


def blocks_of(page: Path) -> Iterator[Block]:
    pattern = re.compile(
        r"(?:<!-- (?P<note>[^\n]*?) -->\n+)?^```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^```$", re.M | re.S
    )
    content = page.read_text(encoding="utf-8")
    for match in pattern.finditer(content):
        note = match["note"] or ""
        yield Block(
            language=match["language"],
            text=match["text"],
            line=content.count("\n", 0, match.start("text")) + 1,
            is_slow=note == "slow",
            is_run=not note.startswith("not run: "),
        )


def has_slow_blocks(page: Path) -> bool:
    return any(block.is_slow for block in blocks_of(page))


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 80 pictures of one to three real handwritten digits each, and their labels."""
    import sklearn.datasets
    from PIL import Image

    folder = tmp_path_factory.mktemp("documentation") / "photos"
    (folder / "images").mkdir(parents=True)
    digits = sklearn.datasets.load_digits()
    generator = np.random.default_rng(0)
    labels: dict[str, list[str]] = {}
    for index in range(80):
        picture = np.zeros((32, 32), dtype=np.uint8)
        # Four quarters, so that digits do not overlap; one picture in twenty stays without a digit.
        count = 0 if index % 20 == 7 else int(generator.integers(1, 4))
        chosen = generator.choice(len(digits.images), size=count, replace=False)
        for quarter, digit in zip(generator.permutation(4), chosen, strict=False):
            top, left = 16 * (quarter // 2) + 4, 16 * (quarter % 2) + 4
            picture[top : top + 8, left : left + 8] = digits.images[digit] * 15
        name = f"{index:04d}.png"
        Image.fromarray(picture).resize((64, 64)).convert("RGB").save(folder / "images" / name)
        labels[name] = sorted({NAMES[digits.target[digit]] for digit in chosen})
    (folder / "labels.json").write_text(json.dumps(labels), encoding="utf-8")
    return folder


@pytest.fixture
def desk(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that a reader works in: `photos/`, and new pictures in `new/`."""
    (tmp_path / "photos").symlink_to(photos, target_is_directory=True)
    (tmp_path / "new").mkdir()
    for name in ("0001.png", "0002.png"):
        (tmp_path / "new" / name).write_bytes((photos / "images" / name).read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_python(block: Block, where: str, names: dict[str, object]) -> None:
    exec(compile("\n" * (block.line - 1) + block.text, where, "exec"), names)


def run_session(block: Block, where: str, names: dict[str, object]) -> None:
    test = doctest.DocTestParser().get_doctest(block.text, {}, where, where, block.line - 1)
    test.globs = names
    report: list[str] = []
    doctest.DocTestRunner(optionflags=FLAGS, verbose=False).run(test, out=report.append, clear_globs=False)
    assert not report, "".join(report)


def commands_of(block: Block) -> Iterator[tuple[str, str]]:
    """Yield each command of a console block, and the output shown below it."""
    text = block.text.replace("\\\n", " ")
    for part in re.split(r"^\$ ", text, flags=re.M)[1:]:
        command, _, output = part.partition("\n")
        yield command.strip(), output


def run_console(block: Block, where: str) -> None:
    from manyhot.cli.main import main

    for line, expected in commands_of(block):
        command, _, comment = line.partition("  # ")
        words = shlex.split(command.removeprefix("uv run "))
        assert words[0] == "manyhot", f"{where}: only manyhot runs here; mark the block `not run: REASON`: {command}"
        code = int(comment.removeprefix("exits with ")) if comment.startswith("exits with ") else 0
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            got = main(words[1:])
        shown = out.getvalue() + err.getvalue()
        assert got == code, f"{where}: {command} ended with {got}:\n{shown}"
        assert not expected or doctest.OutputChecker().check_output(expected, shown, FLAGS), shown


def run_recipe(block: Block, folder: Path) -> None:
    from manyhot.recipes import load_recipe

    path = folder / "recipe.toml"
    path.write_text(block.text, encoding="utf-8")
    load_recipe(path)


def run_page(page: Path, folder: Path, *, until_slow: bool) -> None:
    names: dict[str, object] = {"__name__": "__main__"}
    for block in blocks_of(page):
        if block.is_slow and until_slow:
            return
        where = f"{page.relative_to(ROOT)}:{block.line}"
        assert block.language in LANGUAGES, f"{where}: a block in {block.language!r} is neither run nor shown"
        if not block.is_run:
            continue
        if block.language == "python":
            run_python(block, where, names)
        elif block.language == "pycon":
            run_session(block, where, names)
        elif block.language == "console":
            run_console(block, where)
        elif block.language == "toml":
            run_recipe(block, folder)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_code_blocks_run(page: Path, desk: Path):
    run_page(page, desk, until_slow=True)


@pytest.mark.slow
@pytest.mark.parametrize("page", list(filter(has_slow_blocks, PAGES)), ids=lambda page: str(page.relative_to(ROOT)))
def test_code_blocks_run_with_the_slow_ones(page: Path, desk: Path):
    run_page(page, desk, until_slow=False)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_to_files_of_the_project_lead_somewhere(page: Path):
    targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []
