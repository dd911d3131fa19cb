"""Scenes with drawn words as batches of mapped records."""

import numpy as np
import torch
import toy
from detectron2.structures import Instances

from dld_spotter.data.charset import Charset
from dld_spotter.data.synthetic import draw_scene
from dld_spotter.structures import WordPolygons

CHARSET = Charset.load("alphanumeric36")


def target(polygons, texts, image_size, ignore=()):
    """Target Instances; a text of None is not read, ``ignore`` lists the rows that are don't care."""
    words = Instances(image_size)
    words.gt_masks = WordPolygons.from_list(polygons)
    words.gt_boxes = words.gt_masks.get_bounding_boxes()
    words.gt_classes = torch.zeros(len(texts), dtype=torch.long)
    words.gt_text = CHARSET.encode_rows(texts)
    words.gt_ignore = torch.tensor([i in ignore for i in range(len(texts))], dtype=torch.bool)
    return words


def toy_batch(words_per_image, seed=0, size=(96, 128)):
    rng = np.random.default_rng(seed)
    batch = []
    for count in words_per_image:
        scene = draw_scene(rng, toy.random_words(rng, count), size)
        image = torch.as_tensor(scene.image.transpose(2, 0, 1).copy())
        words = target(scene.polygons, scene.texts, size)
        batch.append({"image": image, "height": size[0], "width": size[1], "instances": words})
    return batch
