"""What MANGO's tests share: tiny models, also with heads that know the targets, words, pieces of a map."""

from dataclasses import replace

import numpy as np
import torch
import toy
from detectron2.config import CfgNode
from detectron2.modeling import build_model
from detectron2.structures import Instances
from detectron2.utils.events import EventStorage

from dld_spotter.data.charset import Charset
from dld_spotter.modeling import MANGO
from dld_spotter.modeling.mango.mango_target_maker import TargetMaker
from dld_spotter.structures import CharacterBoxes, WordPolygons

LOSSES = {"loss_centre_line", "loss_grid", "loss_character_attention", "loss_text"}
CHARSET = Charset.load("alphanumeric36")
SIZES = {
    "CONV_DIM": 16,
    "NUM_CONVS": 1,
    "GRID_SIZE": 16,
}


def tiny(*opts, config=("MANGO_R50.yaml", "Light.yaml")) -> CfgNode:
    """A MANGO of a few thousand weights."""
    sizes = [item for key, value in SIZES.items() for item in (f"MODEL.MANGO.{key}", value)]
    return toy.tiny_cfg(*sizes, *opts, config=config)


def rectangle(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    """(4, 2) outline, clockwise from the top left."""
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], dtype=np.float32)


def equal_parts(outline: np.ndarray, number: int) -> np.ndarray:
    """(number, 4, 2): a quadrilateral cut across its long sides."""
    share = np.linspace(0, 1, number + 1)[:, None]
    top, bottom = outline[0] + share * (outline[1] - outline[0]), outline[3] + share * (outline[2] - outline[3])
    return np.stack([top[:-1], top[1:], bottom[1:], bottom[:-1]], axis=1)


def words_of(outlines, texts, image_size, ignored=(), characters=None) -> Instances:
    """Target Instances. A text of None is not read; ``ignored`` lists the rows that are don't care.

    Args:
        characters: for each word (n, 4, 2) boxes or None; without, the words have no such field.
    """
    words = Instances(image_size)
    words.gt_masks = WordPolygons.from_list(outlines)
    words.gt_boxes = words.gt_masks.get_bounding_boxes()
    words.gt_classes = torch.zeros(len(texts), dtype=torch.long)
    words.gt_text = CHARSET.encode_rows(texts)
    words.gt_ignore = torch.tensor([i in ignored for i in range(len(texts))], dtype=torch.bool)
    if characters is not None:
        words.gt_characters = CharacterBoxes.from_list(characters)
    return words


def maker(grid_size=16, cells_per_word=2, num_slots=9, **kwargs) -> TargetMaker:
    return TargetMaker(grid_size=grid_size, cells_per_word=cells_per_word, num_slots=num_slots, stride=4, **kwargs)


def pieces(mask: np.ndarray) -> list[set]:
    """The 4-connected pieces of a mask, by flooding."""
    left, found = {tuple(place) for place in np.argwhere(mask)}, []
    while left:
        todo, piece = [left.pop()], set()
        while todo:
            row, column = todo.pop()
            piece.add((row, column))
            for place in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
                if place in left:
                    left.remove(place)
                    todo.append(place)
        found.append(piece)
    return found


def build(*opts) -> MANGO:
    return build_model(tiny(*opts))


def losses_of(model, batch, iteration=0):
    with EventStorage(iteration):
        return model.train()(batch)


def keep_statistics(model) -> None:
    """Let batch normalisation do in training what it does in evaluation."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
            module.train = lambda mode=True: None


def knowing(spotter, batch) -> MANGO:
    """The spotter in evaluation mode, with heads that say what the targets of the batch are."""

    def says(field):
        def hook(_, __, output):
            words = [record["instances"] for record in batch]
            size = output.shape[-2:] if field == "centre_line" else (8, 8)
            maps = [spotter.target_maker.all_targets(w, w.image_size, size, False)[0] for w in words]
            return torch.stack([getattr(m, field) for m in maps]) * 20.0 - 10

        return hook

    spotter.locator = replace(spotter.locator, min_pixels=1)  # words of the tiny maps have few
    for field in ("centre_line", "grid"):
        head = getattr(spotter, field)
        head._forward_hooks.clear()
        head.register_forward_hook(says(field))
    return spotter.eval()


def centres(polygons) -> np.ndarray:
    return np.array([np.mean([polygon.min(axis=0), polygon.max(axis=0)], axis=0) for polygon in polygons])
