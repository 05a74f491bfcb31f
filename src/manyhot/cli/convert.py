"""`manyhot convert`: any data to a label store."""

from dataclasses import replace
from pathlib import Path
from shlex import quote

from manyhot.cli.parsing import Parser
from manyhot.cli.settings import read_data_settings, split_overrides
from manyhot.cli.tables import format_size
from manyhot.errors import UsageError


def run(arguments: list[str]) -> int:
    """Write the store, show its size, and return the exit code."""
    rest, overrides = split_overrides(arguments)
    flags = _parser().parse(rest)
    settings = read_data_settings(overrides, command="convert")
    if flags.out is None:
        raise UsageError("convert needs --out STORE, the folder to write the label store to")

    from manyhot.cli.logs import show_log
    from manyhot.runs.converting import convert
    from manyhot.runs.options import source_options

    show_log()
    options = replace(source_options(settings), trust_pickle=flags.trust_pickle)
    done = convert(flags.data, flags.out, options, mapping=settings.mapping, overwrite=flags.overwrite)
    labels = done.store.labels
    print(f"store    {flags.out}")
    print(f"samples  {labels.num_samples:,} ({format_size(done.samples_bytes)})")
    print(f"labels   {labels.num_labels:,}, positives {labels.positives.size:,} ({format_size(done.labels_bytes)})")
    images = done.store.find_images()
    command = "check" if images is None else "train"
    print(f"pictures {'none: labels alone' if images is None else images.resolve()}")
    print(f"\nnext     manyhot {command} {quote(str(flags.out))}")
    return 0


def _parser() -> Parser:
    parser = Parser(
        "convert",
        "DATA [DATA ...] --out STORE [flags]",
        "Write samples and labels into a label store, which opens at once; pictures stay where they are.",
        epilog="Data are read with --data.FIELD VALUE, as in training: --data.separator _. Several DATA are put one "
        "after the other, with labels matched by name (or by a file: --data.mapping.NAME FILE); what one of them does not "
        "know is unknown there.",
    )
    add = parser.add_argument
    add("data", metavar="DATA", type=Path, nargs="+", help="a folder of pictures, a label file or a label store")
    add("--out", metavar="STORE", type=Path, help="the label store: a new folder")
    add("--overwrite", action="store_true", help="replace STORE if it is a label store already")
    add("--trust-pickle", action="store_true", help="read a .pkl of plain containers, numbers, texts and arrays")
    return parser
