"""The size at which a network sees an image, against Detectron2's own rule."""

import itertools

import pytest
from detectron2.data.transforms import ResizeShortestEdge

from dld_spotter.network_size import NetworkSize, mask_size

SIDES = (1, 7, 333, 480, 719, 720, 1280, 4000, 20000)


@pytest.mark.parametrize(("shortest", "longest"), [(720, 1584), (384, 400), (33, 1000), (1, 5)])
def test_images_get_the_size_that_detectron2_gives_them(shortest, longest):
    for height, width in itertools.product(SIDES, SIDES):
        expected = ResizeShortestEdge.get_output_shape(height, width, shortest, longest)
        assert NetworkSize(shortest, longest).resized(height, width) == tuple(max(1, side) for side in expected)


def test_zero_leaves_images_as_they_are_and_padding_is_added():
    assert NetworkSize(0, 1000, 32).resized(50, 4000) == (50, 4000)
    assert NetworkSize(0, 1000, 32).padded(50, 64) == (64, 64)


def test_masks_of_large_photos_are_made_smaller():
    assert mask_size(2000, 2000) == (2000, 2000)
    assert mask_size(4000, 4000) == (2000, 2000)
    rows, columns = mask_size(1, 16_000_000)
    assert rows == 1 and columns == 8_000_000
