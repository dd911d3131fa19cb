"""Places moved as a detector would move them."""

import numpy as np
import torch
from detectron2.structures import Instances

from dld_spotter.modeling.recognition.word_jitter import WordJitter
from dld_spotter.structures import WordPolygons


def words(*polygons):
    found = Instances((100, 200))
    found.gt_masks = WordPolygons.from_list(polygons)
    found.gt_boxes = found.gt_masks.get_bounding_boxes()
    found.gt_text = torch.arange(len(polygons))[:, None]
    return found


SLANTED = [[10, 20], [50, 22], [49, 32], [9, 30]]
TALL = [[100, 10], [110, 10], [110, 90], [100, 90]]


def test_sides_move_by_up_to_the_share_of_the_shorter_side():
    torch.manual_seed(0)
    before = words(*[TALL] * 500)
    (after,) = WordJitter(0.2)([before])
    moves = (after.gt_boxes.tensor - before.gt_boxes.tensor).numpy()
    assert np.abs(moves).max() <= 0.2 * 10 + 1e-4
    # Uniform in +-2: standard deviation 2 / sqrt(3), each side for itself.
    np.testing.assert_allclose(moves.std(axis=0), 2 / np.sqrt(3), rtol=0.1)
    assert np.abs(np.corrcoef(moves.T) - np.eye(4)).max() < 0.2


def test_outlines_are_stretched_with_their_boxes():
    torch.manual_seed(1)
    before = words(SLANTED, TALL)
    (after,) = WordJitter(0.3)([before])
    box, moved = before.gt_boxes.tensor.numpy(), after.gt_boxes.tensor.numpy()
    for i in range(2):
        for axis in range(2):  # through the corners of both boxes runs a straight line
            expected = np.interp(
                before.gt_masks.tensor[i, :, axis].numpy(), box[i, [axis, axis + 2]], moved[i, [axis, axis + 2]]
            )
            np.testing.assert_allclose(after.gt_masks.tensor[i, :, axis].numpy(), expected, atol=1e-4)
    np.testing.assert_allclose(after.gt_masks.get_bounding_boxes().tensor.numpy(), moved, atol=1e-4)


def test_what_was_given_stays_and_other_fields_are_kept():
    before = words(SLANTED)
    outline = before.gt_masks.tensor.clone()
    (after,) = WordJitter(0.3)([before])
    assert torch.equal(before.gt_masks.tensor, outline) and torch.equal(after.gt_text, before.gt_text)
    assert after.image_size == (100, 200)
    (same,) = WordJitter(0.0)([before])
    assert same is before


def test_images_without_words_stay_so():
    (after,) = WordJitter(0.3)([words(SLANTED)[:0]])
    assert len(after) == 0 and after.gt_masks.tensor.shape == (0, 4, 2)
