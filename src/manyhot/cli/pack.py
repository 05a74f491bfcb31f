"""`manyhot pack`: pictures and labels into shards that are read as fast as a disk gives them."""

import argparse
import re
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from manyhot.cli.parsing import Parser
from manyhot.cli.settings import Overrides, read_data_settings, split_overrides
from manyhot.cli.tables import format_size
from manyhot.errors import UsageError

if TYPE_CHECKING:
    from manyhot.runs.merging import Packing


def run(arguments: list[str]) -> int:
    """Write the pack or a part of it, show its size, and return the exit code."""
    rest, overrides = split_overrides(arguments)
    flags = _parser().parse(rest)
    if flags.out is None:
        raise UsageError("pack needs --out PACK, the folder to write the pack to")
    if flags.merge and flags.data is not None:
        raise UsageError("--merge takes no DATA: the parts in --out PACK hold all that is needed")
    if not flags.merge and flags.data is None:
        raise UsageError("pack needs DATA: a folder of pictures, a label file or a label store")

    from manyhot.cli.logs import show_log
    from manyhot.runs.merging import merge_parts

    show_log()
    done = merge_parts(flags.out) if flags.merge else _pack(flags, overrides)
    print(f"pack     {flags.out}")
    shards = f"{done.num_shards:,} shard{'' if done.num_shards == 1 else 's'}"
    print(f"samples  {done.num_samples:,} in {shards} ({format_size(done.size_bytes)})")
    if done.num_refused:
        print(f"refused  {done.num_refused:,}: {flags.out / 'refused.csv' if done.is_whole else 'listed when merged'}")
    if done.is_whole:
        print(f"\nnext     manyhot train {quote(str(flags.out))}")
    else:
        print(f"\nmissing  {', '.join(done.missing)}: pack them into the same folder, or copy them there and --merge")
    return 0


def _pack(flags: argparse.Namespace, overrides: Overrides) -> "Packing":
    from manyhot.data.pack_work import Part
    from manyhot.runs.options import source_options
    from manyhot.runs.packing import BadPictures, pack
    from manyhot.sources.pack_files import PackSettings

    settings = read_data_settings(overrides, command="pack")
    if flags.quality is not None and flags.short_side is None:
        raise UsageError("--quality is of pictures that are made smaller; give --short-side as well")
    if not 0 <= flags.max_bad <= 100:
        raise UsageError(f"--max-bad {flags.max_bad:g}: must be from 0 to 100, a percentage")
    number, total = _part_of(flags.part)
    return pack(
        flags.data,
        flags.out,
        PackSettings(
            short_side=_at_least("--short-side", flags.short_side, 1),
            quality=_at_least("--quality", flags.quality, 1, 100) or PackSettings.quality,
            shard_bytes=round(_positive("--shard-size-mb", flags.shard_size_mb) * 2**20),
        ),
        source_options(settings),
        part=Part(number=number, total=total),
        bad=BadPictures(policy=flags.bad, max_percent=flags.max_bad),
        workers=_at_least("--workers", flags.workers, 1),
    )


def _part_of(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    number, total = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= number <= total:
        raise UsageError(f"--part {text}: is no part; write 3/16 for the third of sixteen")
    return number, total


def _at_least(flag: str, value: int | None, least: int, most: int | None = None) -> int | None:
    if value is not None and (value < least or (most is not None and value > most)):
        raise UsageError(f"{flag} {value}: must be {least} or more{'' if most is None else f', at most {most}'}")
    return value


def _positive(flag: str, value: float) -> float:
    if not 0 < value < 1e9:
        raise UsageError(f"{flag} {value:g}: must be a positive number")
    return value


def _parser() -> Parser:
    parser = Parser(
        "pack",
        "DATA --out PACK [flags]",
        "Write pictures and labels into WebDataset shards with an index; the same command goes on after a stop.",
        epilog="Data are read with --data.FIELD VALUE, as in training. Several machines: --part 1/4 ... --part 4/4 into "
        "one folder; the last merges them. Parts that were copied into one folder are merged with --merge --out PACK.",
    )
    add = parser.add_argument
    add("data", metavar="DATA", type=Path, nargs="?", help="a folder of pictures, a label file or a label store")
    add("--out", metavar="PACK", type=Path, help="the pack: a new folder, or one that the same command began")
    add("--short-side", metavar="N", type=int, help="make larger pictures smaller, to so many pixels; 256 suits 224")
    add("--quality", metavar="Q", type=int, help="JPEG quality of pictures that are made smaller (90)")
    add("--shard-size-mb", metavar="MB", type=float, default=1024, help="size of a shard, at most (1024)")
    add("--workers", metavar="N", type=int, help="threads that decode and encode (one a core)")
    add("--part", metavar="I/N", default="1/1", help="pack one of N equal parts, as on N machines")
    add("--merge", action="store_true", help="make one pack of the parts in PACK")
    add("--bad", choices=("fail", "skip"), default="fail", help="pictures that cannot be decoded: stop, or list them")
    add("--max-bad", metavar="PERCENT", type=float, default=0.1, help="stop after more than so many are skipped (0.1)")
    return parser
