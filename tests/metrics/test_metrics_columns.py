"""Columns of a state: what is counted by first and last bits is what a sort, and a sum in float64, would give."""

import errno
import os

import numpy as np
import pytest

from manyhot.labels import LabelSets
from manyhot.metrics import evaluate, last_kernels, mark_pool, parted_block, spilling
from manyhot.metrics.mass_bins import UNIT
from manyhot.metrics.parted_block import FirstBits, PartedBlock
from manyhot.metrics.spilling import Spill, SpillFile, empty_pages
from manyhot.metrics.states import ExactState
from manyhot.metrics.stores import ScoreStore, decode, encode
from manyhot.metrics.truth import read_truth
from manyhot.metrics.unit_terms import unit_terms


def uneven_scores(num_labels, num_samples, seed):
    """Return scores of all sizes, with ties, infinities, labels of one value, and one whose cells share their first bits."""
    generator = np.random.default_rng(seed)
    scores = generator.normal(size=(num_labels, num_samples)) * 10.0 ** generator.integers(-6, 3, (num_labels, 1))
    scores[::3] = np.round(scores[::3], 1)
    scores[0] = 1 + generator.random(num_samples) / 200
    scores[1] = -2.5
    scores[2, :2] = (-np.inf, np.inf)
    return scores.astype(np.float32)


def parted(keys):
    bits = FirstBits(np.unique(np.append(keys >> 16, 0)).astype(np.int64), "logits")
    return PartedBlock(keys, bits, np.empty(keys.size, dtype=np.uint16))


@pytest.mark.parametrize("group_cells", [1, 900, 1 << 18])
@pytest.mark.parametrize("dear_pairs", [0, 1 << 19])
def test_parted_cells_rank_as_sorted_ones(monkeypatch, group_cells, dear_pairs):
    monkeypatch.setattr(parted_block, "GROUP_CELLS", group_cells)
    if not dear_pairs:
        # Long columns: all pairs of a label's cells and wanted keys are too many, and go through a table.
        keys = encode(uneven_scores(3, 2000, 0), np.dtype(np.uint32))
        assert last_kernels.DEAR_PAIRS < 2000 * 2000
    else:
        keys = encode(uneven_scores(7, 401, 1), np.dtype(np.uint32))
        keys[3, ::5] = 0
    columns = np.repeat(np.arange(len(keys)), keys.shape[1])
    wanted = np.sort(keys, axis=1).ravel().astype(np.int64)
    block = parted(keys)
    for shift in (0, 1):
        found = block.ranks(columns, wanted + shift)
        for column, own in enumerate(np.sort(keys, axis=1).astype(np.int64)):
            mine = wanted[columns == column] + shift
            lower = np.searchsorted(own, mine)
            assert (found[0, columns == column] == len(own) - lower).all()
            assert (found[1, columns == column] == np.searchsorted(own, mine, side="right") - lower).all()


def test_parted_cells_give_the_sums_of_probabilities_below_any_key():
    keys = encode(uneven_scores(7, 401, 2), np.dtype(np.uint32))
    columns = np.repeat(np.arange(7), 403)
    wanted = np.concatenate([np.append(np.sort(own).astype(np.int64), (0, 1 << 32)) for own in keys])
    found = parted(keys).sums_below(columns, wanted)
    for column, key, units in zip(columns.tolist(), wanted.tolist(), found.tolist(), strict=True):
        below = decode(keys[column][keys[column].astype(np.int64) < key]).astype(np.float64)
        with np.errstate(over="ignore"):
            expected = (1 / (1 + np.exp(-below))).sum()
        # Each cell is rounded to the nearest unit.
        assert units / UNIT == pytest.approx(expected, abs=0.52 * max(1, len(below)) / UNIT)


@pytest.mark.parametrize("kind", ["logits", "probs"])
def test_units_are_the_nearest_to_each_probability(kind):
    generator = np.random.default_rng(0)
    if kind == "logits":
        scores = np.concatenate(
            (generator.normal(size=20_000) * 6, generator.normal(size=2000) * 1e-4, [0, 700, -700, 1e30])
        )
    else:
        scores = np.concatenate((generator.random(20_000), generator.random(2000) ** 20, [0, 1]))
    keys = encode(scores.astype(np.float32), np.dtype(np.uint32)).astype(np.int64)
    last = (keys & 0xFFFF).astype(np.float64)
    t0, t1, t2, t3, t4 = unit_terms(keys >> 16, kind).T
    units = (t0 + last * (t1 + last * (t2 + last * (t3 + last * t4)))).astype(np.int64)
    wide = scores.astype(np.float32).astype(np.float64)
    with np.errstate(over="ignore"):
        expected = wide if kind == "probs" else 1 / (1 + np.exp(-wide))
    # Half a unit is rounding; the polynomial is off by less than a fiftieth.
    assert np.abs(units - expected * UNIT).max() < 0.52


@pytest.mark.parametrize("cells", [1, 2000, 1 << 26])
def test_figures_do_not_depend_on_how_many_cells_are_pooled(monkeypatch, as_sets, cells):
    monkeypatch.setattr(mark_pool, "POOL_CELLS", cells)
    monkeypatch.setattr(parted_block, "GROUP_CELLS", 3 * 83)
    generator = np.random.default_rng(3)
    scores = uneven_scores(149, 83, 3).T.copy()
    truth = (generator.random(scores.shape) < 0.2).astype(np.float32)
    truth[generator.random(scores.shape) < 0.1] = np.nan
    sets = as_sets(truth)
    state = ExactState(kind="logits")
    state.update(scores[:50], sets.take(range(50)))
    state.update(scores[50:], sets.take(range(50, 83)))
    found, expected = state.compute(), evaluate(scores, sets, kind="logits")
    for name, figure in expected.figures.items():
        if name.startswith("ece"):
            # A state rounds each probability to a unit of 2⁻⁴⁰.
            assert found.value(name) == pytest.approx(figure.value, abs=1e-12)
        else:
            assert found.figures[name] == figure, name
    assert found.labels == expected.labels


def test_probabilities_are_counted_as_they_are(random_table, as_sets):
    logits, truth = random_table(60, 5, 9, unknown=0.1)
    probs = (1 / (1 + np.exp(-logits.astype(np.float64)))).astype(np.float32)
    probs[:2, 0] = (0, 1)
    sets, state = as_sets(truth), ExactState(kind="probs")
    state.update(probs, sets)
    found, expected = state.compute(), evaluate(probs, sets, kind="probs")
    for name in ("ece_micro", "ece_macro", "map_micro", "auroc_macro"):
        assert found.value(name) == pytest.approx(expected.value(name), abs=1e-12)


@pytest.mark.parametrize("spill", [None, Spill()])
def test_a_store_gives_back_what_many_chunks_hold(monkeypatch, spill):
    monkeypatch.setattr("manyhot.metrics.stores.CHUNK_BYTES", 3 * 64 * 7)
    scores = np.random.default_rng(0).normal(size=(100, 7)).astype(np.float32)
    store = ScoreStore(7, precision="float32", spill=spill)
    for rows in np.array_split(np.arange(100), 9):
        store.append(scores[rows], read_truth(LabelSets.from_names([["a"], *[["b"]] * (len(rows) - 1)])))
        keys = store.columns(slice(2, 6))
        assert (keys == encode(scores[: rows[-1] + 1, 2:6].T, np.dtype(np.uint32))).all()
    firsts = np.bincount((encode(scores, np.dtype(np.uint32)) >> 16).ravel(), minlength=1 << 16)
    assert (store.first_bits() == firsts).all()


def test_a_system_that_always_uses_its_cache_is_no_hindrance(monkeypatch):
    monkeypatch.delattr(os, "O_DIRECT", raising=False)
    file, pages = SpillFile(Spill()), empty_pages(4096)
    pages[:] = np.arange(4096) % 251
    file.append(pages)
    assert file.read(249, 4).tolist() == [249, 250, 0, 1]


def test_a_disk_that_refuses_direct_writing_is_written_through_the_cache(monkeypatch):
    file, pages, write = SpillFile(Spill()), empty_pages(8192), os.pwrite
    file._is_direct = True
    refusals = [OSError(errno.EINVAL, "not so")]

    def pwrite(descriptor, content, place):
        if refusals:
            raise refusals.pop()
        # No more than a part at once, as a system may do.
        return write(descriptor, content[:5000], place)

    monkeypatch.setattr(spilling.os, "pwrite", pwrite)
    pages[:] = np.arange(8192) % 251
    file.append(pages)
    assert (file.read(0, 8192) == pages).all()
