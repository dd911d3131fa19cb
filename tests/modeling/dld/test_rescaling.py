"""A batch and its words at another scale, against Pillow."""

import numpy as np
import torch
from detectron2.structures import ImageList, Instances
from PIL import Image

from dld_spotter.modeling.dld.rescaling import rescale_images, rescale_words, select_images
from dld_spotter.structures import WordPolygons


def batch_of(*sizes):
    return ImageList.from_tensors([torch.rand(3, *size) for size in sizes], 32)


def words_in(size, *outlines):
    masks = WordPolygons.from_list(outlines)
    fields = {"gt_masks": masks, "gt_boxes": masks.get_bounding_boxes(), "gt_ignore": torch.zeros(len(masks))}
    return Instances(size, **fields)


def test_the_whole_batch_shrinks_as_pillow_does_it():
    images = batch_of((96, 128))
    small = rescale_images(images, 0.5)
    assert small.image_sizes == [(48, 64)] and small.tensor.shape[-2:] == (64, 64)
    channel = Image.fromarray(images.tensor[0, 0].numpy(), mode="F").resize((64, 48), Image.BILINEAR)
    np.testing.assert_allclose(small.tensor[0, 0, :48, :64], np.asarray(channel), atol=1e-4)
    assert small.tensor[0, :, 48:].abs().max() == 0, "padding is zero, as in the first padding"


def test_words_move_with_the_pixels():
    """A bright rectangle and its outline, scaled separately, still cover each other."""
    images = ImageList.from_tensors([torch.zeros(3, 90, 140)], 32)
    images.tensor[0, :, 20:60, 30:110] = 1.0
    words = [words_in((90, 140), [30, 20, 110, 20, 110, 60, 30, 60])]
    for scale in (0.3, 0.55, 0.8):
        small = rescale_images(images, scale)
        box = rescale_words(words, images, small, scale)[0].gt_boxes.tensor[0]
        lit = (small.tensor[0, 0] > 0.5).nonzero()
        np.testing.assert_allclose(box, [lit[:, 1].min(), lit[:, 0].min(), *(lit.amax(0).flip(0) + 1)], atol=0.75)


def test_rescaled_words_keep_their_fields_and_leave_the_originals_alone():
    images = batch_of((96, 128))
    words = [words_in((96, 128), [10, 10, 50, 10, 50, 30, 10, 30])]
    before = words[0].gt_boxes.tensor.clone()
    small = rescale_images(images, 0.5)
    moved = rescale_words(words, images, small, 0.5)[0]
    assert moved.image_size == (48, 64) and moved.has("gt_ignore")
    assert moved.gt_boxes.tensor.tolist() == [[5, 5, 25, 15]]
    assert torch.equal(words[0].gt_boxes.tensor, before)
    nothing = rescale_words([words[0][:0]], images, small, 0.5)[0]
    assert len(nothing) == 0 and nothing.gt_masks.tensor.shape[0] == 0


def test_full_scale_is_the_same_batch():
    images = batch_of((96, 128))
    assert rescale_images(images, 1.0) is images


def test_selected_images_lose_the_padding_of_the_others():
    images = batch_of((96, 128), (40, 300), (64, 64))
    chosen = select_images(images, [2, 0])
    assert chosen.tensor.shape[-2:] == (96, 128) and chosen.image_sizes == [(64, 64), (96, 128)]
    assert torch.equal(chosen.tensor[1, :, :96, :128], images.tensor[0, :, :96, :128])


def test_memory_format_survives():
    images = batch_of((96, 128))
    images.tensor = images.tensor.contiguous(memory_format=torch.channels_last)
    for changed in (rescale_images(images, 0.7), select_images(images, [0])):
        assert changed.tensor.is_contiguous(memory_format=torch.channels_last)
