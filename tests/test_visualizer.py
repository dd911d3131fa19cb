"""Drawings: what is drawn is checked by colour and place; what cannot be drawn must not break."""

import warnings

import numpy as np
import pytest
import torch
from detectron2.structures import Boxes, Instances
from matplotlib.colors import to_rgb

from dld_spotter.data.charset import Charset
from dld_spotter.structures import WordPolygons
from dld_spotter.visualizer import IGNORE_COLOR, WORD_COLORS, TextVisualizer

SQUARE = [[40, 60], [120, 60], [120, 100], [40, 100]]
OTHER = [[150, 60], [230, 60], [230, 100], [150, 100]]


def blank(height=160, width=260, value=0):
    return np.full((height, width, 3), value, np.uint8)


def has_color(image, color, tolerance=12):
    """Whether some pixel has nearly this colour."""
    return (np.abs(image.astype(int) - np.multiply(to_rgb(color), 255)).max(axis=-1) <= tolerance).any()


def charset():
    return Charset("abcdefg")


def test_untouched_image_comes_back_bit_by_bit():
    image = np.random.default_rng(0).integers(0, 256, (37, 53, 3), np.uint8)
    np.testing.assert_array_equal(TextVisualizer(image).get_output().get_image(), image)
    np.testing.assert_array_equal(TextVisualizer(image).draw_words([], []).get_image(), image)


def test_drawing_is_as_large_as_asked():
    assert TextVisualizer(blank(), scale=2.0).draw_words([SQUARE], ["a"]).get_image().shape == (320, 520, 3)
    assert TextVisualizer(blank(), scale=0.5).draw_words([SQUARE], ["a"]).get_image().shape == (80, 130, 3)


def test_outlines_lie_where_the_words_are():
    drawn = TextVisualizer(blank()).draw_words([SQUARE, OTHER], ["", None]).get_image()
    for polygon, color in zip((SQUARE, OTHER), WORD_COLORS[:2], strict=True):
        (left, top), (right, bottom) = polygon[0], polygon[2]
        for edge in (drawn[top - 1 : top + 1, left:right], drawn[top:bottom, right - 1 : right + 1]):
            assert has_color(edge, color, tolerance=90)
    outside = drawn.copy()
    outside[57:104, 37:124] = outside[57:104, 147:234] = 0
    assert not outside.any()


def test_labels_stand_above_the_words_or_below_at_the_top_edge():
    drawn = TextVisualizer(blank(value=255)).draw_words([SQUARE], ["bead"]).get_image()
    assert (drawn[:58] < 128).all(axis=-1).any() and (drawn[104:] == 255).all()
    at_top = [[40, 0], [120, 0], [120, 40], [40, 40]]
    drawn = TextVisualizer(blank(value=255)).draw_words([at_top], ["bead"]).get_image()
    assert (drawn[44:] < 128).all(axis=-1).any()


def test_labels_stay_inside_the_image():
    corner = [[240, 140], [259, 140], [259, 159], [240, 159]]
    drawn = TextVisualizer(blank(value=255)).draw_words([corner], ["abcdefg"]).get_image()
    background = (drawn[:138] < 60).all(axis=-1)  # of the label
    columns = np.flatnonzero(background.any(axis=0))
    assert columns.min() < 240 and columns.max() < 259


def test_do_not_care_is_grey_and_scores_are_optional():
    drawn = TextVisualizer(blank()).draw_words([SQUARE], ["###"], ignored=[True]).get_image()
    assert has_color(drawn, IGNORE_COLOR) and (np.ptp(drawn.astype(int), axis=-1) <= 12).all()
    plain = TextVisualizer(blank()).draw_words([SQUARE], ["bead"], [0.5]).get_image()
    np.testing.assert_array_equal(plain, TextVisualizer(blank()).draw_words([SQUARE], ["bead"]).get_image())
    visualizer = TextVisualizer(blank(), show_scores=True)
    visualizer.draw_words([SQUARE, OTHER], ["bead", ""], [0.5, 0.25])
    assert [text.get_text() for text in visualizer.output.ax.texts] == ["bead 0.50", "0.25"]


@pytest.mark.parametrize("text", ["$5 $6", "$\\frac{$", "100%_^", "Ωδ Жук ñ ß €", "a b", "<tag>&"])
def test_any_characters_are_drawn_as_themselves(text):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns of characters that its font does not have
        drawn = TextVisualizer(blank(value=255)).draw_words([SQUARE], [text]).get_image()
    assert (drawn[:58] < 128).all(axis=-1).any()


def test_other_scripts_do_not_break_the_drawing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what no font has is said by the log, once
        assert TextVisualizer(blank()).draw_words([SQUARE], ["\u6587\u5b57 \u0e44\u0e17\u0e22"]).get_image().any()


def grounds(visualizer):
    """(N, 4) boxes of the labels with their dark ground, in the image's pixels, as matplotlib draws them."""
    renderer = visualizer.output.canvas.get_renderer()
    scale, height = visualizer.output.scale, visualizer.output.height
    boxes = []
    for text in visualizer.output.ax.texts:
        text.update_bbox_position_size(renderer)
        extent = text.get_bbox_patch().get_window_extent(renderer)
        boxes.append([extent.x0 / scale, height - extent.y1 / scale, extent.x1 / scale, height - extent.y0 / scale])
    return np.array(boxes)


def overlap(first, second):
    width, height = np.minimum(first[2:], second[2:]) - np.maximum(first[:2], second[:2])
    return max(0, width) * max(0, height)


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_labels_of_small_words_do_not_cover_others(scale):
    # Two columns of small words, each line close below the one before, as on a menu.
    boxes = [(left, top, left + 60, top + 12) for left in (60, 330) for top in range(100, 200, 14)]
    polygons = [[[x1, y1], [x2, y1], [x2, y2], [x1, y2]] for x1, y1, x2, y2 in boxes]
    visualizer = TextVisualizer(blank(300, 500), scale=scale)
    visualizer.draw_words(polygons, ["bead"] * len(boxes))
    labels = grounds(visualizer)
    assert (labels[:, :2] >= -0.5).all() and (labels[:, 2:] <= (500.5, 300.5)).all()
    for index, label in enumerate(labels):
        for box in boxes:
            assert overlap(label, np.array(box)) < 0.02 * 60 * 12
        for other in labels[index + 1 :]:
            assert overlap(label, other) < 0.1 * np.prod(other[2:] - other[:2])


def test_predicted_instances():
    instances = Instances((160, 260))
    instances.pred_boxes = Boxes(torch.tensor([[40.0, 60, 120, 100], [0, 0, 5, 5]]))
    instances.pred_masks = torch.zeros(2, 160, 260, dtype=torch.bool)  # the second word's stays empty
    instances.pred_masks[0, 60:100, 40:120] = True
    instances.scores = torch.tensor([0.5, 0.9])
    instances.pred_text = charset().encode_rows(["bead", "cab"])
    instances.pred_text_scores = torch.tensor([0.5, 0.9])
    visualizer = TextVisualizer(blank(), charset(), show_scores=True)
    drawn = visualizer.draw_instance_predictions(instances).get_image()
    assert [text.get_text() for text in visualizer.output.ax.texts] == ["bead 0.25"]
    expected = TextVisualizer(blank(), show_scores=True).draw_words([SQUARE], ["bead"], [0.25]).get_image()
    np.testing.assert_array_equal(drawn, expected)
    assert not TextVisualizer(blank(), charset()).draw_instance_predictions(instances[:0]).get_image().any()
    with pytest.raises(ValueError, match="charset"):
        TextVisualizer(blank()).draw_instance_predictions(instances)


def test_ground_truth_as_targets_and_as_a_record_look_alike():
    targets = Instances((160, 260))
    targets.gt_masks = WordPolygons.from_list([SQUARE, OTHER])
    targets.gt_text = charset().encode_rows(["bead", None])
    targets.gt_ignore = torch.tensor([False, True])
    drawn = TextVisualizer(blank(), charset()).draw_targets(targets).get_image()
    record = {
        "annotations": [
            {"segmentation": [np.ravel(SQUARE).tolist()], "text": "bead", "ignore": False},
            {"segmentation": [np.ravel(OTHER).tolist()], "text": "", "ignore": True},
        ]
    }
    np.testing.assert_array_equal(drawn, TextVisualizer(blank()).draw_dataset_dict(record).get_image())
    assert has_color(drawn[:, 140:], IGNORE_COLOR) and not has_color(drawn[:, :130], IGNORE_COLOR)
    assert not TextVisualizer(blank()).draw_dataset_dict({"annotations": []}).get_image().any()
