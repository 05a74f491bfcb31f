"""`manyhot train`: from data to a run."""

from argparse import Namespace
from pathlib import Path

from manyhot.cli.parsing import Parser
from manyhot.cli.settings import EPILOG, Overrides, resolve_settings, split_overrides
from manyhot.config import Recipe
from manyhot.errors import UsageError

# Newcomer flags that set one setting of the recipe to what they are given.
SHORTCUTS = {
    "encoder": ("encoder", "name"),
    "pretrained": ("encoder", "pretrained"),
    "head": ("head", "kind"),
    "branch_at": ("branching", "at"),
    "image_size": ("images", "size"),
    "epochs": ("training", "epochs"),
    "batch_size": ("training", "batch_size"),
    "lr": ("optimiser", "lr"),
    "devices": ("training", "devices"),
    "seed": ("seed",),
}


def run(arguments: list[str]) -> int:
    """Train, show the figures on the test split, and return the exit code."""
    rest, overrides = split_overrides(arguments)
    flags = _parser().parse(rest)
    recipe = _recipe(flags, overrides)
    if flags.resume:
        _refuse_settings(flags, overrides)
    if flags.dry_run:
        return _show(recipe)
    if not recipe.data.paths and not flags.resume:
        raise UsageError("train needs DATA, a folder or a label file (or data.path in the recipe)")

    from manyhot.cli.logs import is_told_here, show_log
    from manyhot.cli.rendering import render_run
    from manyhot.runs.fitting import train

    show_log()
    trained = train(recipe, flags.out, resume=flags.resume)
    if is_told_here():
        print(render_run(trained))
    return 0


def _refuse_settings(flags: Namespace, overrides: Overrides) -> None:
    given = [f"--{'.'.join(path)}" for path in overrides]
    given += [f"--{name.replace('_', '-')}" for name in (*SHORTCUTS, "recipe") if getattr(flags, name) is not None]
    given += ["--freeze"] if flags.freeze else []
    if given:
        raise UsageError(f"--resume goes on with the recipe that the run saved; leave out {', '.join(given)}")


def _show(recipe: Recipe) -> int:
    from manyhot.cli.logs import show_log
    from manyhot.recipes import dump_recipe
    from manyhot.runs.assembly import resolve

    show_log()
    print(dump_recipe(resolve(recipe)), end="")
    return 0


def _recipe(flags: Namespace, overrides: Overrides) -> Recipe:
    given: Overrides = {
        path: getattr(flags, name) for name, path in SHORTCUTS.items() if getattr(flags, name) is not None
    }
    if flags.data:
        given["data", "path"] = flags.data if len(flags.data) > 1 else flags.data[0]
    if flags.freeze:
        given["encoder", "freeze"] = "true"
    for path in given:
        if path in overrides:
            raise UsageError(f"--{'.'.join(path)} is given twice, once by its short name; give it once")
    return resolve_settings(flags.recipe, given | overrides)


def _parser() -> Parser:
    parser = Parser(
        "train",
        "DATA [DATA ...] [--out RUN] [flags]",
        "Train a model on pictures and their labels, and measure it. Several DATA are one label space: a label that one of "
        "them does not know is unknown there.",
        epilog=EPILOG,
    )
    add = parser.add_argument
    add("data", metavar="DATA", nargs="*", help="a folder of pictures with labels, or a label file; or several")
    add("--out", metavar="RUN", type=Path, help="new folder for the run (runs/NAME-1 and so on)")
    add("--recipe", metavar="FILE", type=Path, help="settings of the run, as TOML")
    add("--encoder", metavar="NAME", help="any encoder of timm (resnet50)")
    add("--pretrained", metavar="auto|none|FILE", help="published weights, random weights, or a file (auto)")
    add(
        "--head",
        metavar="KIND",
        help="linear, low-rank, grouped, ml-decoder, query2label, csra, label-attention (linear)",
    )
    add("--branch-at", metavar="STAGE", help="groups of labels share the encoder up to this stage (they share it all)")
    add("--freeze", action="store_true", help="train the head alone")
    add("--image-size", metavar="PIXELS", help="height and width that pictures are resized to (224)")
    add("--epochs", metavar="N", help="times that every training sample is seen (20)")
    add("--batch-size", metavar="N", help="samples a step (64)")
    add("--lr", metavar="RATE", help="peak learning rate (1e-3 for new weights, 2e-4 for fine-tuning)")
    add("--devices", metavar="N", help="GPUs to train on together, or processes where there is none (1)")
    add("--seed", metavar="N", help="seed of splits, weights, order and augmentation (0)")
    add("--resume", action="store_true", help="go on with the run in --out where it stopped")
    add("--dry-run", action="store_true", help="print the resolved recipe and stop")
    return parser
