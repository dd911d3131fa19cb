"""A spotter that reads painted words: rectangles of one colour on black, whose colour is their number."""

import cv2
import numpy as np
import torch
from detectron2.modeling import META_ARCH_REGISTRY
from detectron2.modeling.postprocessing import detector_postprocess
from detectron2.structures import Boxes, Instances
from fake_spotter import FakeSpotter

LEVELS = np.arange(60, 256, 30)  # of each channel: 7 ** 3 numbers
LEAST_HEIGHT = 6  # pixels of the network's input; smaller words are not found


def paint(image, number, left, top, width, height):
    """Paint a word; it is read as ``text_of(number)``."""
    digits = number % 7, number // 7 % 7, number // 49
    image[top : top + height, left : left + width] = LEVELS[list(digits)]


def text_of(number):
    return f"w{number}"


@META_ARCH_REGISTRY.register()
class PaintedSpotter(FakeSpotter):
    """Finds what is painted as far as it is in the picture and large enough, parts of words too."""

    def _find(self, given):
        image = given["image"].numpy().transpose(1, 2, 0)
        height, width = image.shape[:2]
        _, _, stats, _ = cv2.connectedComponentsWithStats((image.max(axis=2) > 30).astype(np.uint8))
        boxes, texts = [], []
        for left, top, across, down, _ in stats[1:]:
            if down >= LEAST_HEIGHT:
                colour = image[top + down // 2, left + across // 2]
                digits = np.abs(LEVELS[:, None] - colour).argmin(axis=0)
                boxes.append([left, top, left + across, top + down])
                texts.append(text_of(int(digits @ (1, 7, 49))))
        found = Instances((height, width))
        found.pred_boxes = Boxes(torch.tensor(boxes).reshape(-1, 4).float())
        found.scores = torch.full((len(texts),), 0.9)
        found.pred_classes = torch.zeros(len(texts), dtype=torch.long)
        found.pred_masks = torch.ones(len(texts), 1, 28, 28)
        found.pred_text = self.charset.encode_rows(texts)
        found.pred_text_scores = torch.ones(len(texts))
        return detector_postprocess(found, given["height"], given["width"])
