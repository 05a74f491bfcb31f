"""`manyhot demo`: everything at once, on handwritten digits that need no download."""

from pathlib import Path

from manyhot.cli.logs import show_log
from manyhot.cli.parsing import Parser


def run(arguments: list[str]) -> int:
    """Compose pictures, train, evaluate, predict, and return the exit code."""
    flags = _parser().parse(arguments)

    from manyhot.runs.demo import EPOCHS, NUM_TRAIN, run_demo

    show_log()
    demo = run_demo(
        flags.out,
        seed=flags.seed,
        epochs=EPOCHS if flags.epochs is None else flags.epochs,
        num_train=NUM_TRAIN if flags.pictures is None else flags.pictures,
    )

    from manyhot.cli.rendering import render_predictions, render_run

    print(f"\n{render_run(demo.run)}")
    print(f"\n{render_predictions(demo.predictions, demo.truth)}")
    return 0


def _parser() -> Parser:
    parser = Parser(
        "demo",
        "[flags]",
        "Compose pictures of real handwritten digits, then train, evaluate and predict on them.",
        epilog="It needs no network and takes a few minutes on two cores; --epochs 1 --pictures 800 is a quick look.",
    )
    add = parser.add_argument
    add("--out", metavar="FOLDER", type=Path, help="new folder for pictures and run (runs/demo-1 and so on)")
    add("--seed", metavar="N", type=int, default=0, help="seed of pictures and training (0)")
    add("--epochs", metavar="N", type=int, help="times that every training picture is seen")
    add("--pictures", metavar="N", type=int, help="number of training pictures")
    return parser
