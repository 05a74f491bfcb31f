"""Damage of the kinds that files meet: flipped bits, overwritten bytes, losses, repetitions; each by its number alone."""

import struct
from collections.abc import Callable

import numpy as np
from corpus import CASES, chunk

ORIGINALS = tuple(case.data for case in CASES if case.pixels is not None and len(case.data) < 20_000)


def flip_bits(data: bytearray, random: np.random.Generator) -> None:
    for place in random.integers(0, len(data), random.integers(1, 6)):
        data[place] ^= 1 << int(random.integers(8))


def set_bytes(data: bytearray, random: np.random.Generator) -> None:
    for place in random.integers(0, min(len(data), 200), random.integers(1, 6)):
        data[place] = int(random.choice([0, 1, 127, 128, 254, 255]))


def cut_out(data: bytearray, random: np.random.Generator) -> None:
    start = int(random.integers(len(data)))
    del data[start : start + int(random.integers(1, 40))]


def repeat(data: bytearray, random: np.random.Generator) -> None:
    start, place = (int(value) for value in random.integers(0, len(data), 2))
    data[place:place] = data[start : start + int(random.integers(1, 60))]


MUTATIONS: tuple[Callable[[bytearray, np.random.Generator], None], ...] = (flip_bits, set_bytes, cut_out, repeat)


def mend_checksums(data: bytes) -> bytes:
    """Let a mutated PNG pass the check of its checksums, so that the decoder gets what is broken."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    mended, position = data[:8], 8
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        if position + 12 + length > len(data):
            break
        mended += chunk(data[position + 4 : position + 8], data[position + 8 : position + 8 + length])
        position += 12 + length
    return mended + data[position:]


def mutated(seed: int, number: int) -> bytes:
    """The file of a number: the same whenever and wherever it is made."""
    random = np.random.default_rng([seed, number])
    data = bytearray(ORIGINALS[number % len(ORIGINALS)])
    for mutation in random.choice(len(MUTATIONS), random.integers(1, 3)):
        MUTATIONS[mutation](data, random)
    return mend_checksums(bytes(data)) if random.random() < 0.7 else bytes(data)
