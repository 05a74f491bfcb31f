# The gate and its parts. `uv run just` lists them; `uv run just check` is what a change has to pass.

set shell := ["bash", "-euo", "pipefail", "-c"]

export PATH := justfile_directory() / ".venv/bin:" + env("PATH")

# List the recipes.
default:
    @just --list --unsorted

# The whole gate.
check: static test

# All of the gate that runs no test.
static: format-check lint types layers spelling dependencies

# Rewrite the code as the gate wants it.
mend:
    ruff check --fix
    ruff format

format-check:
    ruff format --check

lint:
    ruff check

types:
    pyright

# Without its cache, which keeps imports of modules that were missing when it was written.
layers:
    lint-imports --no-logo --no-cache

spelling:
    codespell

dependencies:
    deptry src

# The default tests, with doctests and with the code blocks of the documentation.
test *arguments:
    pytest {{ arguments }}

# The tower lets an int pass for a float, as Python's typing does.
checker := "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"

# The default tests again, with every shape in a signature checked as it runs.
shapes *arguments:
    pytest "--jaxtyping-packages=manyhot,{{ checker }}" {{ arguments }}

# The tests that take longer or start several processes.
slow *arguments:
    pytest -m "slow or distributed" --durations=10 {{ arguments }}

# Build a wheel, install it into an empty environment, and run a short demo from an empty folder.
wheel:
    bash .ci/wheel
