"""Whole numbers that sort like float32 scores: their first bits cut all scores into buckets without a sort."""

import numpy as np
from jaxtyping import Float, Float32, UInt32

KEY_BITS = 20
NUM_KEYS = 1 << KEY_BITS
LOW_BITS = 32 - KEY_BITS
SIGN = np.uint32(1 << 31)


def sortable_bits(scores: Float[np.ndarray, "*shape"]) -> UInt32[np.ndarray, "*shape"]:
    """Return the bits of the scores as float32, turned so that they sort as the scores do; the two zeros are one.

    >>> sortable_bits(np.array([-1.0, -0.0, 0.0, 1.0]))
    array([1082130431, 2147483648, 2147483648, 3212836864], dtype=uint32)
    """
    with np.errstate(over="ignore"):
        # Adding zero makes one of the two zeros, which are equal but differ in their first bit.
        bits = (scores.astype(np.float32) + np.float32(0)).view(np.uint32)
    return np.where(bits >= SIGN, ~bits, bits | SIGN)


def scores_of_bits(bits: UInt32[np.ndarray, "*shape"]) -> Float32[np.ndarray, "*shape"]:
    """Return the scores that have these sortable bits.

    >>> scores_of_bits(sortable_bits(np.array([-np.inf, -1.5, 0.0, 2.0])))
    array([-inf, -1.5,  0. ,  2. ], dtype=float32)
    """
    return np.where(bits >= SIGN, bits ^ SIGN, ~bits).view(np.float32)


def score_keys(scores: Float[np.ndarray, "*shape"]) -> UInt32[np.ndarray, "*shape"]:
    """Return the bucket of each score, below `NUM_KEYS`: a higher bucket holds higher scores only.

    The first 20 bits: 2,048 buckets from one power of two to the next.

    >>> score_keys(np.array([-np.inf, -1.0, 0.0, 1.0, np.inf]))
    array([  2047, 264191, 524288, 784384, 1046528], dtype=uint32)
    """
    return sortable_bits(scores) >> LOW_BITS
