"""Changes of colour of a whole batch on a GPU, in Triton; import this inside functions only, where there is Triton.

Two kernels a batch, of one program for a few hundred pixels of a picture: the first does what comes before a picture's contrast
and sums its levels, the second the rest. Each program reads its picture's order of changes, so pictures need not be sorted by it,
and nothing waits for the device. Sums are whole numbers: it does not matter which program adds first.

Operations and their order are those of `colour_kernels`, rounded one by one: launch with `enable_fp_fusion=False`.
"""

from typing import no_type_check

import triton
import triton.language as tl

from manyhot.data import colour

CONTRAST, SATURATION, HUE = tl.constexpr(colour.CONTRAST), tl.constexpr(colour.SATURATION), tl.constexpr(colour.HUE)

# Added and taken away again, it leaves no bits for what is behind the point: the nearest whole number, the even one of two.
ROUNDING = tl.constexpr(12582912.0)


@triton.jit
@no_type_check
def change_before_contrast(images, out, kinds, amounts, sums, num_pixels, NUM_STEPS: tl.constexpr, BLOCK: tl.constexpr):
    """Write pictures with the changes made that come before contrast, and add their levels to the sums by colour."""
    picture, place = tl.program_id(1).to(tl.int64), tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = place < num_pixels
    red, green, blue = _load(images, picture, place, inside, num_pixels)
    is_reached = False
    for step in range(NUM_STEPS):
        kind = tl.load(kinds + picture * NUM_STEPS + step)
        is_reached = is_reached | (kind == CONTRAST)
        if not is_reached:
            amount = tl.load(amounts + picture * NUM_STEPS + step)
            red, green, blue = _change(red, green, blue, kind, amount, 0.0)
    _store(out, picture, place, inside, num_pixels, red, green, blue)
    # Black stays black before contrast, and black is what stands for pixels outside.
    tl.atomic_add(sums + 3 * picture, tl.sum(red.to(tl.int32)).to(tl.int64))
    tl.atomic_add(sums + 3 * picture + 1, tl.sum(green.to(tl.int32)).to(tl.int64))
    tl.atomic_add(sums + 3 * picture + 2, tl.sum(blue.to(tl.int32)).to(tl.int64))


@triton.jit
@no_type_check
def change_from_contrast(out, kinds, amounts, sums, num_pixels, count, NUM_STEPS: tl.constexpr, BLOCK: tl.constexpr):
    """Make the changes from contrast on, in place; `count` is the number of pixels as a float."""
    picture, place = tl.program_id(1).to(tl.int64), tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = place < num_pixels
    mean = _grey(
        tl.div_rn(tl.load(sums + 3 * picture).to(tl.float32), count),
        tl.div_rn(tl.load(sums + 3 * picture + 1).to(tl.float32), count),
        tl.div_rn(tl.load(sums + 3 * picture + 2).to(tl.float32), count),
    )
    red, green, blue = _load(out, picture, place, inside, num_pixels)
    is_reached = False
    for step in range(NUM_STEPS):
        kind = tl.load(kinds + picture * NUM_STEPS + step)
        is_reached = is_reached | (kind == CONTRAST)
        if is_reached:
            amount = tl.load(amounts + picture * NUM_STEPS + step)
            red, green, blue = _change(red, green, blue, kind, amount, mean)
    _store(out, picture, place, inside, num_pixels, red, green, blue)


@triton.jit
@no_type_check
def _load(images, picture, place, inside, num_pixels):
    first = images + 3 * picture * num_pixels + place
    red = tl.load(first, inside, 0).to(tl.float32)
    green = tl.load(first + num_pixels, inside, 0).to(tl.float32)
    return red, green, tl.load(first + 2 * num_pixels, inside, 0).to(tl.float32)


@triton.jit
@no_type_check
def _store(images, picture, place, inside, num_pixels, red, green, blue):
    first = images + 3 * picture * num_pixels + place
    tl.store(first, red.to(tl.uint8), inside)
    tl.store(first + num_pixels, green.to(tl.uint8), inside)
    tl.store(first + 2 * num_pixels, blue.to(tl.uint8), inside)


@triton.jit
@no_type_check
def _change(red, green, blue, kind, amount, mean):
    if kind == HUE:
        red, green, blue = _turn(red, green, blue, amount)
    else:
        towards = red * 0.0
        if kind == CONTRAST:
            towards = towards + mean * (1.0 - amount)
        if kind == SATURATION:
            towards = _grey(red, green, blue) * (1.0 - amount)
        red, green = _level(red * amount + towards), _level(green * amount + towards)
        blue = _level(blue * amount + towards)
    return red, green, blue


@triton.jit
@no_type_check
def _turn(red, green, blue, turn):
    low = tl.minimum(tl.minimum(red, green), blue)
    high = tl.maximum(tl.maximum(red, green), blue)
    chroma = high - low
    aside = tl.where(high == red, green - blue, tl.where(high == green, blue - red, red - green))
    corner = tl.where(high == red, 0.0, tl.where(high == green, 2.0, 4.0))
    hue = tl.div_rn(aside, tl.maximum(chroma, 1.0)) + corner + turn
    hue = tl.where(hue >= 6.0, hue - 6.0, hue)
    hue = tl.where(hue < 0.0, hue + 6.0, hue)
    red = _level(low + chroma * _share(tl.abs(hue - 3.0) - 1.0))
    green = _level(low + chroma * _share(2.0 - tl.abs(hue - 2.0)))
    return red, green, _level(low + chroma * _share(2.0 - tl.abs(hue - 4.0)))


@triton.jit
@no_type_check
def _share(value):
    return tl.minimum(tl.maximum(value, 0.0), 1.0)


@triton.jit
@no_type_check
def _level(value):
    return (tl.minimum(tl.maximum(value, 0.0), 255.0) + ROUNDING) - ROUNDING


@triton.jit
@no_type_check
def _grey(red, green, blue):
    return red * 0.299 + green * 0.587 + blue * 0.114
