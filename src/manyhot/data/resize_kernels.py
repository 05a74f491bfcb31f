"""Resizing by a triangle, compiled by numba; import this inside functions only.

Rows first (a loop over neighbouring bytes, which the compiler turns into vector instructions), then columns, straight into
the planes that a batch is made of. Every machine gives the same pixels: weights are whole parts of 2^14, so that sums over
rows are exact in float32, and products and sums over columns are rounded one by one, in an order that is fixed. Whole
numbers instead would be slower by half over columns: processors multiply fewer of them at a time.
"""

# ruff: noqa: PLR0917 - compiled functions are called by position

from typing import no_type_check

import numpy as np
from jaxtyping import Float, Float32, Int32, UInt8, UInt64

from manyhot.compiling import compiled

WEIGHT_PARTS = 1 << 14
"""What weights are whole parts of: with 8 bits of a grey level, sums take 22 of the 24 bits that float32 has."""


@compiled
@no_type_check
def write_resized(
    image: UInt8[np.ndarray, "h w 3"],
    box: Float[np.ndarray, "4"],
    reach: Float[np.ndarray, "2"],
    is_mirrored: bool,
    out: UInt8[np.ndarray, "3 height width"],
) -> None:
    """Write a part of the picture, resized, into three planes.

    Args:
        image: The picture.
        box: Top, left, height and width of the part, in pixels and parts of them.
        reach: How far from its centre a pixel of the result looks, in rows and columns of the picture; at least 1.
        is_mirrored: Whether left and right are swapped.
        out: Where the result goes.
    """
    rows, row_weights = _triangles(box[0], box[2], image.shape[0], out.shape[1], reach[0])
    columns, column_weights = _triangles(box[1], box[3], image.shape[1], out.shape[2], reach[1])
    if is_mirrored:
        columns, column_weights = columns[::-1].copy(), column_weights[::-1].copy()
    first = min(columns[0], columns[-1])
    stop = max(columns[0], columns[-1]) + column_weights.shape[1]
    pixels = image.reshape(image.shape[0], 3 * image.shape[1])[:, 3 * first : 3 * stop]
    # Unsigned places: numba need not ask whether they count from the end.
    places = ((columns - first) * 3).astype(np.uint64)
    sums = np.empty(pixels.shape[1], dtype=np.float32)
    for row in range(out.shape[1]):
        _sum_rows(pixels, rows[row], row_weights[row], sums)
        if column_weights.shape[1] == 2:
            _mix_pairs(sums, places, column_weights, out[0, row], out[1, row], out[2, row])
        else:
            _mix_columns(sums, places, column_weights, out[0, row], out[1, row], out[2, row])


@compiled
@no_type_check
def _triangles(
    start: float, length: float, limit: int, size: int, reach: float
) -> tuple[Int32[np.ndarray, " size"], Float32[np.ndarray, "size taps"]]:
    """Return the first pixel that each pixel of the result looks at, and the weights of it and those that follow."""
    taps = min(int(np.ceil(2 * reach)), limit)
    firsts = np.empty(size, dtype=np.int32)
    weights = np.empty((size, taps), dtype=np.float32)
    for index in range(size):
        centre = start + (index + 0.5) * length / size - 0.5
        first = min(max(int(np.floor(centre - reach)) + 1, 0), limit - taps)
        total = 0.0
        for tap in range(taps):
            total += max(0.0, reach - abs(first + tap - centre))
        firsts[index] = first
        # Rounded sums, not rounded weights: they end at 1 exactly, however many and small the weights are.
        done, before = 0.0, 0
        for tap in range(taps):
            done += max(0.0, reach - abs(first + tap - centre))
            until = int(done / total * WEIGHT_PARTS + 0.5)
            weights[index, tap] = np.float32(until - before) / np.float32(WEIGHT_PARTS)
            before = until
    return firsts, weights


@compiled
@no_type_check
def _sum_rows(
    pixels: UInt8[np.ndarray, "h n"], first: int, weights: Float32[np.ndarray, " taps"], sums: Float32[np.ndarray, " n"]
) -> None:
    row = pixels[first]
    for place in range(len(sums)):
        sums[place] = weights[0] * np.float32(row[place])
    for tap in range(1, len(weights)):
        row = pixels[first + tap]
        weight = weights[tap]
        for place in range(len(sums)):
            sums[place] += weight * np.float32(row[place])


@compiled
@no_type_check
def _mix_pairs(
    sums: Float32[np.ndarray, " n"],
    places: UInt64[np.ndarray, " width"],
    weights: Float32[np.ndarray, "width 2"],
    red: UInt8[np.ndarray, " width"],
    green: UInt8[np.ndarray, " width"],
    blue: UInt8[np.ndarray, " width"],
) -> None:
    """Do what `_mix_columns` does, for two weights a pixel: the usual case in training, twice as fast."""
    half = np.float32(0.5)
    for index in range(len(places)):
        left, right = weights[index, 0], weights[index, 1]
        at = places[index]
        red[index] = np.uint8(left * sums[at] + right * sums[at + np.uint64(3)] + half)
        green[index] = np.uint8(left * sums[at + np.uint64(1)] + right * sums[at + np.uint64(4)] + half)
        blue[index] = np.uint8(left * sums[at + np.uint64(2)] + right * sums[at + np.uint64(5)] + half)


@compiled
@no_type_check
def _mix_columns(
    sums: Float32[np.ndarray, " n"],
    places: UInt64[np.ndarray, " width"],
    weights: Float32[np.ndarray, "width taps"],
    red: UInt8[np.ndarray, " width"],
    green: UInt8[np.ndarray, " width"],
    blue: UInt8[np.ndarray, " width"],
) -> None:
    half = np.float32(0.5)
    for index in range(len(places)):
        at = places[index]
        r, g, b = np.float32(0), np.float32(0), np.float32(0)
        for tap in range(weights.shape[1]):
            weight = weights[index, tap]
            r += weight * sums[at]
            g += weight * sums[at + np.uint64(1)]
            b += weight * sums[at + np.uint64(2)]
            at += np.uint64(3)
        red[index], green[index], blue[index] = np.uint8(r + half), np.uint8(g + half), np.uint8(b + half)
