"""Changes of colour, all of a picture's in one pass or two, compiled by numba; import this inside functions only.

A pass takes a few hundred pixels at a time through all its changes, as float32 in memory that stays in the processor's first
cache; in between, levels are whole numbers, as if each change had stored them. Only contrast needs to know more than
a pixel: the mean of the picture as it is then; a first pass ends before it.

Every machine gives the same levels: sums are whole numbers, and products and sums are rounded one by one. Operations and
their order are those of `colour_triton_kernels`.
"""

from typing import no_type_check

import numpy as np
from jaxtyping import Float32, Int64, UInt8

from manyhot.compiling import compiled, compiled_division
from manyhot.data.colour import CONTRAST, HUE, SATURATION

BLOCK = 512
"""Pixels that are changed at a time: three colours of them take 6 kB."""


@compiled
@no_type_check
def change_pixels(
    pixels: UInt8[np.ndarray, "3 n"], kinds: Int64[np.ndarray, " k"], amounts: Float32[np.ndarray, " k"]
) -> None:
    """Do what `change_colours` does with a picture whose pixels stand in a row."""
    first = 0
    for step in range(1, len(kinds)):
        if kinds[step] == CONTRAST:
            _change_blocks(pixels, kinds[first:step], amounts[first:step])
            first = step
    _change_blocks(pixels, kinds[first:], amounts[first:])


@compiled
@no_type_check
def _change_blocks(
    pixels: UInt8[np.ndarray, "3 n"], kinds: Int64[np.ndarray, " k"], amounts: Float32[np.ndarray, " k"]
) -> None:
    """Do what `change_pixels` does, where contrast comes first if at all."""
    mean = np.float32(0)
    if len(kinds) and kinds[0] == CONTRAST:
        mean = _mean_grey(pixels)
    # Whole rows of it, which the compiler knows to be without gaps; the last block leaves what stands behind it unused.
    levels = np.zeros((3, BLOCK), dtype=np.float32)
    for start in range(0, pixels.shape[1], BLOCK):
        for colour in range(3):
            _load(pixels[colour, start : start + BLOCK], levels[colour])
        for step in range(len(kinds)):
            _change_levels(levels, kinds[step], amounts[step], mean)
        for colour in range(3):
            _store(levels[colour], pixels[colour, start : start + BLOCK])


@compiled
@no_type_check
def _change_levels(levels: Float32[np.ndarray, "3 n"], kind: int, amount: float, mean: float) -> None:
    if kind == HUE:
        _turn(levels[0], levels[1], levels[2], amount)
    elif kind == SATURATION:
        _draw_from_grey(levels[0], levels[1], levels[2], amount)
    else:
        offset = mean * (np.float32(1) - amount) if kind == CONTRAST else np.float32(0)
        for colour in range(3):
            _scale(levels[colour], amount, offset)


@compiled_division
@no_type_check
def _mean_grey(pixels: UInt8[np.ndarray, "3 n"]) -> float:
    sums = np.zeros(3, dtype=np.int64)
    for colour in range(3):
        total = 0
        for level in pixels[colour]:
            total += level
        sums[colour] = total
    count = np.float32(pixels.shape[1])
    red, green, blue = np.float32(sums[0]) / count, np.float32(sums[1]) / count, np.float32(sums[2]) / count
    return _grey(red, green, blue)


@compiled
@no_type_check
def _grey(red: float, green: float, blue: float) -> float:
    return red * np.float32(0.299) + green * np.float32(0.587) + blue * np.float32(0.114)


@compiled
@no_type_check
def _level(value: float) -> float:
    """Return the nearest whole number from 0 to 255, the even one of two."""
    inside = min(max(value, np.float32(0)), np.float32(255))
    return np.rint(inside)


@compiled
@no_type_check
def _load(bytes_: UInt8[np.ndarray, " m"], levels: Float32[np.ndarray, " n"]) -> None:
    for place in range(len(bytes_)):
        levels[place] = np.float32(bytes_[place])


@compiled
@no_type_check
def _store(levels: Float32[np.ndarray, " n"], bytes_: UInt8[np.ndarray, " m"]) -> None:
    for place in range(len(bytes_)):
        bytes_[place] = np.uint8(levels[place])


@compiled
@no_type_check
def _scale(levels: Float32[np.ndarray, " n"], factor: float, offset: float) -> None:
    for place in range(len(levels)):
        levels[place] = _level(levels[place] * factor + offset)


@compiled
@no_type_check
def _draw_from_grey(
    red: Float32[np.ndarray, " n"], green: Float32[np.ndarray, " n"], blue: Float32[np.ndarray, " n"], factor: float
) -> None:
    rest = np.float32(1) - factor
    for place in range(len(red)):
        r, g, b = red[place], green[place], blue[place]
        grey = _grey(r, g, b) * rest
        red[place], green[place], blue[place] = (
            _level(r * factor + grey),
            _level(g * factor + grey),
            _level(b * factor + grey),
        )


@compiled_division
@no_type_check
def _turn(
    red: Float32[np.ndarray, " n"], green: Float32[np.ndarray, " n"], blue: Float32[np.ndarray, " n"], turn: float
) -> None:
    """Turn hues, which go round a hexagon: red at 0, green at 2, blue at 4."""
    zero, one, two = np.float32(0), np.float32(1), np.float32(2)
    three, four, six = np.float32(3), np.float32(4), np.float32(6)
    for place in range(len(red)):
        r, g, b = red[place], green[place], blue[place]
        low = min(r, g, b)
        high = max(r, g, b)
        chroma = high - low
        if high == r:
            corner, aside = zero, g - b
        elif high == g:
            corner, aside = two, b - r
        else:
            corner, aside = four, r - g
        # Grey has no hue, and whole levels no chroma between 0 and 1.
        hue = aside / max(chroma, one) + corner + turn
        hue = hue - six if hue >= six else hue
        hue = hue + six if hue < zero else hue
        red[place] = np.rint(low + chroma * min(max(abs(hue - three) - one, zero), one))
        green[place] = np.rint(low + chroma * min(max(two - abs(hue - two), zero), one))
        blue[place] = np.rint(low + chroma * min(max(two - abs(hue - four), zero), one))
