"""Resizing by a triangle, compiled by numba; import this inside functions only.

Rows first (a loop over neighbouring bytes, which the compiler turns into vector instructions), then columns, two pixels at a
time, straight into the planes that a batch is made of. Every machine gives the same pixels: weights are whole parts of 2^14,
so that sums over rows are exact in float32, and products and sums over columns are rounded one by one, in an order that is
fixed. Whole numbers instead would be slower by half over columns: processors multiply fewer of them at a time.
"""

from typing import no_type_check

import numpy as np
from jaxtyping import Float32, Int32, UInt8, UInt32, UInt64

from manyhot.compiling import compiled
from manyhot.data.lanes import NUM_LANES, add, multiply, to_colours

WEIGHT_PARTS = 1 << 14
"""What weights are whole parts of: with 8 bits of a grey level, sums take 22 of the 24 bits that float32 has."""


@compiled
@no_type_check
def write_resized(
    image: UInt8[np.ndarray, "h w 3"],
    box: tuple[float, float, float, float],
    reach: tuple[float, float],
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
    pair_weights = _pair_up(column_weights)
    # Zeros behind the last pixel: lanes reach beyond it, with weights of 0.
    sums = np.zeros(pixels.shape[1] + NUM_LANES, dtype=np.float32)
    colours = np.empty(out.shape[2], dtype=np.uint32)
    for row in range(out.shape[1]):
        _sum_rows(pixels, rows[row], row_weights[row], sums[: pixels.shape[1]])
        _mix_columns(sums, places, pair_weights, colours)
        _part(colours, out[0, row], out[1, row], out[2, row])


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
def _pair_up(weights: Float32[np.ndarray, "width taps"]) -> Float32[np.ndarray, " lanes"]:
    """Return the weights as lanes: that of a pixel three times, that of the next one three times, and two of 0."""
    num_pairs = (weights.shape[1] + 1) // 2
    lanes = np.zeros((weights.shape[0], num_pairs, NUM_LANES), dtype=np.float32)
    for index in range(weights.shape[0]):
        for tap in range(weights.shape[1]):
            start = 3 * (tap % 2)
            lanes[index, tap // 2, start : start + 3] = weights[index, tap]
    return lanes.reshape(-1)


@compiled
@no_type_check
def _sum_rows(
    pixels: UInt8[np.ndarray, "h n"], first: int, weights: Float32[np.ndarray, " taps"], sums: Float32[np.ndarray, " n"]
) -> None:
    row, weight = pixels[first], weights[0]
    if len(weights) == 1:
        for place in range(len(sums)):
            sums[place] = weight * np.float32(row[place])
        return
    # Two rows at once: sums are written and read half as often.
    second, second_weight = pixels[first + 1], weights[1]
    for place in range(len(sums)):
        sums[place] = weight * np.float32(row[place]) + second_weight * np.float32(second[place])
    for tap in range(2, len(weights)):
        row, weight = pixels[first + tap], weights[tap]
        for place in range(len(sums)):
            sums[place] += weight * np.float32(row[place])


@compiled
@no_type_check
def _mix_columns(
    sums: Float32[np.ndarray, " n"],
    places: UInt64[np.ndarray, " width"],
    weights: Float32[np.ndarray, " lanes"],
    colours: UInt32[np.ndarray, " width"],
) -> None:
    num_pairs = len(weights) // (NUM_LANES * len(places))
    lane = np.uint64(0)
    for index in range(len(places)):
        at = places[index]
        mixed = multiply(sums, at, weights, lane)
        lane += np.uint64(NUM_LANES)
        for _ in range(1, num_pairs):
            at += np.uint64(6)
            mixed = add(mixed, multiply(sums, at, weights, lane))
            lane += np.uint64(NUM_LANES)
        colours[index] = to_colours(mixed)


@compiled
@no_type_check
def _part(
    colours: UInt32[np.ndarray, " width"],
    red: UInt8[np.ndarray, " width"],
    green: UInt8[np.ndarray, " width"],
    blue: UInt8[np.ndarray, " width"],
) -> None:
    for index in range(len(colours)):
        red[index] = np.uint8(colours[index])
        green[index] = np.uint8(colours[index] >> np.uint32(8))
        blue[index] = np.uint8(colours[index] >> np.uint32(16))
