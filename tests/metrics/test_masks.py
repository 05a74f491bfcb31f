"""Dice and IoU over pixels, against loops over pixels and against published conventions."""

import numpy as np
import pytest
import torch

from manyhot.errors import ScoreError
from manyhot.metrics.masks import count_index_masks, count_masks, dice, iou, mask_figures


def random_masks(seed=0, shape=(3, 4, 5, 7)):
    generator = np.random.default_rng(seed)
    preds, targets, known = (generator.random(shape) < share for share in (0.4, 0.3, 0.8))
    preds[:, 3] = targets[:, 3] = False
    return preds, targets, known


def plain_dice_and_iou(preds, targets, known):
    figures = []
    for label in range(preds.shape[1]):
        tp = fp = fn = 0
        for place in np.ndindex(preds[:, label].shape):
            if known[:, label][place]:
                hit, true = preds[:, label][place], targets[:, label][place]
                tp, fp, fn = tp + (hit and true), fp + (hit and not true), fn + (true and not hit)
        empty = tp + fp + fn == 0
        figures.append((np.nan, np.nan) if empty else (2 * tp / (2 * tp + fp + fn), tp / (tp + fp + fn)))
    return np.array(figures, dtype=np.float64).T


def test_masks_agree_with_loops_over_pixels():
    preds, targets, known = random_masks()
    counts = count_masks(preds, targets, known)
    expected = plain_dice_and_iou(preds, targets, known)
    np.testing.assert_array_equal(dice(counts), expected[0])
    np.testing.assert_array_equal(iou(counts), expected[1])
    assert counts.known.tolist() == known.sum(axis=(0, 2, 3)).tolist()


def test_an_empty_label_is_left_out_and_counted_or_is_one_by_name():
    preds, targets, _ = random_masks()
    counts = count_masks(preds, targets)
    left_out, as_one = mask_figures(counts), mask_figures(counts, empty="one")
    assert (left_out["dice_macro"].defined, left_out["dice_macro"].total) == (3, 4)
    assert as_one["iou_macro"].defined == 4
    assert as_one["dice_macro"].value == pytest.approx((3 * left_out["dice_macro"].value + 1) / 4, abs=1e-15)


def test_a_label_predicted_where_there_is_none_is_zero_in_both_conventions():
    counts = count_masks(np.ones((1, 1, 2, 2), dtype=bool), np.zeros((1, 1, 2, 2), dtype=bool))
    assert dice(counts).tolist() == dice(counts, empty="one").tolist() == [0.0]


def test_counts_of_batches_add_up_to_the_counts_of_all():
    preds, targets, known = random_masks(seed=1)
    parts = [count_masks(preds[i : i + 1], targets[i : i + 1], known[i : i + 1]) for i in range(3)]
    whole, summed = count_masks(preds, targets, known), parts[0] + parts[1] + parts[2]
    for name in ("hits", "predicted", "positives", "known"):
        np.testing.assert_array_equal(getattr(summed, name), getattr(whole, name))


def test_tensors_and_arrays_give_the_same_counts():
    preds, targets, known = random_masks(seed=2)
    by_array = count_masks(preds, targets, known)
    by_tensor = count_masks(*(torch.from_numpy(mask) for mask in (preds, targets, known)))
    np.testing.assert_array_equal(by_array.hits, by_tensor.hits)


def test_index_masks_are_masks_of_one_label_a_pixel():
    generator = np.random.default_rng(3)
    preds, targets = generator.integers(0, 4, size=(2, 2, 6, 5))
    targets[0, 0] = 255
    labels = np.arange(4)[None, :, None, None]
    known = np.broadcast_to((targets != 255)[:, None], (2, 4, 6, 5))
    one_hot = count_masks(preds[:, None] == labels, targets[:, None] == labels, known)
    by_index = count_index_masks(preds, targets, num_labels=4, unlabelled=255)
    for name in ("hits", "predicted", "positives", "known"):
        np.testing.assert_array_equal(getattr(by_index, name), getattr(one_hot, name))


def test_no_pixel_at_all_leaves_every_figure_undefined():
    empty = np.zeros((0, 2, 3, 3), dtype=bool)
    assert {figure.value for figure in mask_figures(count_masks(empty, empty)).values()} == {None}


@pytest.mark.parametrize(
    ("preds", "targets", "message"),
    [
        (np.zeros((1, 2, 3), dtype=bool), np.zeros((1, 2, 4), dtype=bool), "different shapes"),
        (np.zeros((1, 2, 3)), np.zeros((1, 2, 3), dtype=bool), "probs >= thresholds"),
    ],
)
@pytest.mark.usefixtures("without_shape_checks")
def test_masks_of_other_shapes_or_kinds_are_refused(preds, targets, message):
    with pytest.raises(ScoreError, match=message):
        count_masks(preds, targets)


def test_a_number_that_is_no_label_is_refused_and_the_way_out_is_named():
    with pytest.raises(ScoreError, match="unlabelled="):
        count_index_masks(np.array([[0, 1]]), np.array([[0, 255]]), num_labels=2)


@pytest.mark.real_data
def test_real_index_masks_have_a_dice_of_one_with_themselves(shared_data):
    from PIL import Image

    paths = sorted((shared_data / "camvid").rglob("*.png"))[:200]
    masks = [np.asarray(Image.open(path)) for path in paths]
    masks = [mask for mask in masks if mask.ndim == 2][:8]
    assert masks
    highest = max(int(mask.max()) for mask in masks)
    counts = sum(
        (count_index_masks(mask[None], mask[None], num_labels=highest + 1) for mask in masks[1:]),
        start=count_index_masks(masks[0][None], masks[0][None], num_labels=highest + 1),
    )
    present = counts.positives > 0
    assert (dice(counts)[present] == 1).all()
    assert np.isnan(iou(counts)[~present]).all()
    # 11 labels and the pixels without one.
    assert 5 <= present.sum() <= 12
