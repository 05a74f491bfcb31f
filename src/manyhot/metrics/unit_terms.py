"""Probabilities of keys that share their first 16 bits: a polynomial in the last 16, in units of 2⁻⁴⁰.

Such scores lie in a range of less than a hundredth of their size, where the sigmoid is a polynomial of fourth degree with an
error below a hundredth of a unit: a third of the work of an exponential. Everything is made of additions, products and
quotients that every machine rounds alike, so ranks agree on each unit.
"""

import numpy as np
from jaxtyping import Float64, Int64

from manyhot.metrics.mass_bins import UNIT
from manyhot.metrics.scores import Kind
from manyhot.metrics.stores import decode

# Chebyshev's places of interpolation, between 0 and 1.
NODES = np.array([0.0244717418524232, 0.2061073738537635, 0.5, 0.7938926261462366, 0.9755282581475768])
NUM_LAST = 1 << 16
FIRST_POSITIVE = 1 << 15


def unit_terms(firsts: Int64[np.ndarray, " s"], kind: Kind) -> Float64[np.ndarray, "s 5"]:
    """Return for each value of the first bits the five terms of the polynomial, the constant first.

    Half a unit is in the constant already, so that cutting off the fraction rounds. Where the scores are infinite, or no
    numbers at all, they count as the infinity on their side.

    >>> first, last = 0xC080, 0x1234
    >>> powers = float(last) ** np.arange(5)
    >>> units = int(unit_terms(np.array([first]), "logits")[0] @ powers)
    >>> score = float(decode(np.array([(first << 16) + last], dtype=np.uint32))[0])
    >>> bool(abs(units / 2**40 - 1 / (1 + np.exp(-score))) < 2**-40)
    True
    """
    lows, highs = (decode(((firsts << 16) + last).astype(np.uint32)) for last in (0, NUM_LAST - 1))
    is_finite = np.isfinite(lows) & np.isfinite(highs)
    terms = np.zeros((len(firsts), 5))
    terms[~is_finite, 0] = np.where(firsts[~is_finite] >= FIRST_POSITIVE, UNIT, 0)
    low = lows[is_finite].astype(np.float64)
    width = highs[is_finite] - low
    if kind == "probs":
        terms[is_finite, 0], terms[is_finite, 1] = low * UNIT, width / (NUM_LAST - 1) * UNIT
    else:
        terms[is_finite] = _interpolate(low, width) * UNIT
    terms[:, 0] += 0.5
    return terms


def units_of(firsts: Int64[np.ndarray, " e"], kind: Kind) -> Int64[np.ndarray, "e t"]:
    """Return the probabilities of all keys with these first bits, in units of 2⁻⁴⁰.

    >>> units_of(np.array([0x8000, 0xBF80]), "logits")[:, 0] / 2**40
    array([0.5       , 0.73105858])
    """
    last = np.arange(NUM_LAST, dtype=np.float64)
    t0, t1, t2, t3, t4 = unit_terms(firsts, kind).T[:, :, None]
    # Term by term as the compiled loops do it, so that each unit is the same.
    return (t0 + last * (t1 + last * (t2 + last * (t3 + last * t4)))).astype(np.int64)


def _interpolate(low: Float64[np.ndarray, " s"], width: Float64[np.ndarray, " s"]) -> Float64[np.ndarray, "s 5"]:
    """Return the terms, in last bits, of the polynomials that meet the sigmoid at the nodes: Newton's divided differences."""
    from manyhot.metrics.probability_kernels import write_probs

    scores = (low[:, None] + width[:, None] * NODES).ravel()
    values = np.empty(len(scores))
    write_probs(scores, True, values)
    differences = values.reshape(-1, 5)
    for order in range(1, 5):
        span = NODES[order:] - NODES[: 5 - order]
        differences[:, order:] = (differences[:, order:] - differences[:, order - 1 : -1]) / span
    terms = np.zeros_like(differences)
    for order in range(4, -1, -1):
        # Times (t − node), plus the next difference: from Newton's form to powers of t.
        shifted = np.concatenate((np.zeros((len(terms), 1)), terms[:, :-1]), axis=1)
        terms = shifted - NODES[order] * terms
        terms[:, 0] += differences[:, order]
    return terms / float(NUM_LAST - 1) ** np.arange(5)
