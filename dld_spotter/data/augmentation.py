"""Augmentation of photos together with their words: crop between words, colour, rotation and size.

Points are (x, y) in pixels with the image spanning [0, W] x [0, H], as everywhere in Detectron2. All randomness
comes from NumPy's global generator, which the training loader seeds for every draw.
"""

# ruff: noqa: NPY002 (the global generator is Detectron2's convention)

from collections.abc import Sequence

import cv2
import numpy as np
from detectron2.config import CfgNode as CN
from detectron2.data import transforms as T

from dld_spotter.geometry import clip_polygon, polygon_box

# Points may leave the image by this many pixels through rounding alone; they are moved back instead of clipped.
_ROUNDING = 1e-3
# Rec. 601 luma of red, green and blue.
_LUMA_RGB = (0.299, 0.587, 0.114)


class TextAugInput(T.AugInput):
    """An image and its word outlines, transformed together.

    After every step the outlines are clipped to the image, and those of which nothing is left are dropped.

    Attributes:
        image: (H, W, 3) uint8.
        polygons: a (P, 2) float array for each word that is still in the image.
        cared: (N,) bool, false for don't-care regions.
        characters: for each of these words None, or the (n, 4, 2) float boxes of its characters, which are not clipped.
        index: (N,) int, the place of each of these words among those given at first.
    """

    def __init__(
        self,
        image: np.ndarray,
        polygons: list[np.ndarray],
        cared: np.ndarray,
        characters: list[np.ndarray | None] | None = None,
    ):
        super().__init__(image)
        self.polygons = [np.array(polygon, dtype=np.float64).reshape(-1, 2) for polygon in polygons]
        self.cared = np.asarray(cared, dtype=bool)
        self.characters = characters or [None] * len(polygons)
        self.index = np.arange(len(polygons))
        self._clip()

    def transform(self, tfm: T.Transform) -> None:
        """Transform the image and the outlines in place."""
        self.image: np.ndarray = tfm.apply_image(self.image)
        # Not tfm.apply_polygons: Detectron2's crop splits and drops polygons there, and the words' order is lost.
        self.polygons = [tfm.apply_coords(polygon.copy()) for polygon in self.polygons]
        self.characters = [
            boxes if boxes is None else tfm.apply_coords(boxes.reshape(-1, 2).copy()).reshape(-1, 4, 2)
            for boxes in self.characters
        ]
        self._clip()

    def _clip(self) -> None:
        height, width = self.image.shape[:2]
        clipped = [_clip(polygon, width, height) for polygon in self.polygons]
        left = np.array([polygon is not None for polygon in clipped], dtype=bool)
        self.polygons = [polygon for polygon in clipped if polygon is not None]
        self.characters = [boxes for boxes, stays in zip(self.characters, left, strict=True) if stays]
        self.cared, self.index = self.cared[left], self.index[left]


def _clip(polygon: np.ndarray, width: int, height: int) -> np.ndarray | None:
    inside = np.clip(polygon, 0, (width, height))
    if np.abs(inside - polygon).max(initial=0) <= _ROUNDING:
        return inside
    return clip_polygon(polygon, width, height)


class WordCrop(T.Augmentation):
    """A random crop whose edges run between the words, never through one.

    The words are projected on both axes, and the crop's edges are drawn from the positions that no word covers, or
    from the image's own edges. Don't-care regions do not hold the edges back; a crop may cut them. Where the image has
    a cared word, the crop holds one.

    Args:
        probability: of cropping at all.
        min_ratio: smallest side of the crop as a share of the image's.
        tries: crops drawn before the whole image is taken.
        margin: what stays free on each side of a word, as a share of its box's side.
    """

    def __init__(self, probability: float = 1.0, min_ratio: float = 0.1, tries: int = 50, margin: float = 0.1):
        super().__init__()
        self._init(locals())

    def get_transform(self, image: np.ndarray, polygons: list[np.ndarray], cared: np.ndarray) -> T.Transform:
        if np.random.rand() >= self.probability:
            return T.NoOpTransform()
        height, width = image.shape[:2]
        boxes = np.array([polygon_box(polygons[i]) for i in np.flatnonzero(cared)]).reshape(-1, 4)
        left, right = self._draw(boxes[:, 0], boxes[:, 2], width)
        top, bottom = self._draw(boxes[:, 1], boxes[:, 3], height)
        good = (right - left >= max(1, self.min_ratio * width)) & (bottom - top >= max(1, self.min_ratio * height))
        if len(boxes):
            crops = np.stack([left, top, right, bottom], axis=1)[:, None]  # (tries, 1, 4)
            inside = (boxes[:, :2] >= crops[..., :2]) & (boxes[:, 2:] <= crops[..., 2:])
            good &= inside.all(axis=2).any(axis=1)  # type: ignore[call-overload]
        if not good.any():
            return T.NoOpTransform()
        first = good.argmax()
        x, y = int(left[first]), int(top[first])
        return T.CropTransform(x, y, int(right[first]) - x, int(bottom[first]) - y, width, height)

    def _draw(self, starts: np.ndarray, ends: np.ndarray, size: int) -> np.ndarray:
        """(2, tries) ascending pairs of positions in [0, size] that no span [start, end] covers."""
        positions = np.arange(size + 1)
        margins = self.margin * (ends - starts)
        covered = (positions[:, None] > starts - margins) & (positions[:, None] < ends + margins)
        free = ~covered.any(axis=1)
        free[[0, -1]] = True
        return np.sort(np.random.choice(positions[free], (2, self.tries)), axis=0)


class ColorJitter(T.Augmentation):
    """Random brightness, contrast (about the mean grey) and saturation, applied as one linear map of the colours.

    Args:
        brightness, contrast, saturation: largest relative change of each; the factor is uniform in [1 - x, 1 + x].
        image_format: "BGR" or "RGB", the order of the image's channels.
    """

    def __init__(self, brightness: float, contrast: float, saturation: float, image_format: str = "BGR"):
        super().__init__()
        self._init(locals())

    def get_transform(self, image: np.ndarray) -> T.Transform:
        changes = np.array([self.brightness, self.contrast, self.saturation])
        brightness, contrast, saturation = 1 + np.random.uniform(-1, 1, 3) * changes
        luma = np.array(_LUMA_RGB if self.image_format == "RGB" else _LUMA_RGB[::-1])
        grey = luma @ cv2.mean(image)[:3]
        # Saturation blends a pixel p with its own grey level: s p + (1 - s) (luma . p).
        saturate = saturation * np.eye(3) + (1 - saturation) * luma
        gain, offset = brightness * contrast, brightness * (1 - contrast) * grey
        matrix = np.concatenate([gain * saturate, np.full((3, 1), offset)], axis=1)  # (3, 4)
        return T.ColorTransform(lambda pixels: cv2.transform(pixels, matrix))


class ResizeRotate(T.Augmentation):
    """A random rotation on a grown canvas, and a random size of that canvas's shorter side.

    Args:
        short_edge_length: the choices, or the two ends of a range.
        max_size: the longer side is at most this.
        sample_style: "choice" or "range".
        max_angle: degrees; the rotation is uniform in [-max_angle, max_angle].
    """

    def __init__(
        self,
        short_edge_length: int | Sequence[int],
        max_size: int,
        sample_style: str = "choice",
        max_angle: float = 0.0,
    ):
        super().__init__()
        if isinstance(short_edge_length, int):
            short_edge_length = (short_edge_length,) * (2 if sample_style == "range" else 1)
        if sample_style not in ("choice", "range") or (sample_style == "range" and len(short_edge_length) != 2):
            raise ValueError(
                f"INPUT.MIN_SIZE_TRAIN {tuple(short_edge_length)} with INPUT.MIN_SIZE_TRAIN_SAMPLING '{sample_style}': "
                "use 'choice' with any number of sizes, or 'range' with two."
            )
        self._init(locals())

    def get_transform(self, image: np.ndarray) -> T.Transform:
        angle = np.random.uniform(-self.max_angle, self.max_angle) if self.max_angle else 0.0
        if self.sample_style == "range":
            size = np.random.randint(self.short_edge_length[0], self.short_edge_length[1] + 1)
        else:
            size = np.random.choice(self.short_edge_length)
        height, width = image.shape[:2]
        canvas = rotated_size(height, width, angle)
        if size > 0:  # 0 keeps the size, as Detectron2 has it
            new_height, new_width = T.ResizeShortestEdge.get_output_shape(*canvas, size, self.max_size)
        else:
            new_height, new_width = round(canvas[0]), round(canvas[1])
        return ResizeRotateTransform(height, width, max(1, new_height), max(1, new_width), angle)


class ResizeRotateTransform(T.Transform):
    """Rotate an image about its centre on a canvas that holds all of it, and resize the canvas; the rest is black.

    Both are one affine map. An image that gets smaller is first shrunk with Pillow's filter, as Detectron2 does at
    inference, since sampling a large image sparsely would alias thin strokes; rotating then costs less, too.

    Args:
        height, width: of the image.
        new_height, new_width: of the result.
        angle: degrees, counter-clockwise on screen.
    """

    def __init__(self, height: int, width: int, new_height: int, new_width: int, angle: float = 0.0):
        super().__init__()
        self._set_attributes(locals())
        canvas_height, canvas_width = rotated_size(height, width, angle)
        scale = np.array([new_width / canvas_width, new_height / canvas_height])
        cosine, sine = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
        self.matrix = scale[:, None] * np.array([[cosine, sine], [-sine, cosine]])
        self.shift = np.array([new_width, new_height]) / 2 - self.matrix @ (np.array([width, height]) / 2)
        if angle == 0:
            self._shrunk = (new_height, new_width)
        else:
            shrink_x, shrink_y = np.minimum(scale, 1)
            self._shrunk = max(1, round(height * shrink_y)), max(1, round(width * shrink_x))

    def apply_image(self, img: np.ndarray) -> np.ndarray:
        if img.shape[:2] != self._shrunk:
            img = T.ResizeTransform(self.height, self.width, *self._shrunk).apply_image(img)
        return img if self.angle == 0 else self._warp(img, cv2.INTER_LINEAR)

    def apply_segmentation(self, segmentation: np.ndarray) -> np.ndarray:
        return self._warp(segmentation, cv2.INTER_NEAREST)

    def apply_coords(self, coords: np.ndarray) -> np.ndarray:
        return coords @ self.matrix.T + self.shift

    def _warp(self, img: np.ndarray, interpolation: int) -> np.ndarray:
        matrix = self.matrix * (self.width / img.shape[1], self.height / img.shape[0])
        # OpenCV puts pixel centres at whole numbers, half a pixel from ours.
        shift = self.shift + matrix @ (0.5, 0.5) - 0.5
        affine = np.concatenate([matrix, shift[:, None]], axis=1)
        return cv2.warpAffine(img, affine, (self.new_width, self.new_height), flags=interpolation)


def rotated_size(height: float, width: float, angle: float) -> tuple[float, float]:
    """Height and width of the smallest upright canvas that holds an image rotated by ``angle`` degrees."""
    cosine, sine = abs(np.cos(np.deg2rad(angle))), abs(np.sin(np.deg2rad(angle)))
    return height * cosine + width * sine, height * sine + width * cosine


def build_augmentations(cfg: CN, is_train: bool) -> list[T.Augmentation]:
    """The augmentations that a config asks for, in their order; at inference only the size."""
    if not is_train:
        return [ResizeRotate(cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST)]
    if cfg.INPUT.CROP.ENABLED:
        raise ValueError("INPUT.CROP.ENABLED is True, but it cuts words; set it to False and use INPUT.WORD_CROP.")
    augmentations = []
    crop = cfg.INPUT.WORD_CROP
    if crop.ENABLED:
        augmentations.append(WordCrop(crop.PROBABILITY, crop.MIN_RATIO))
    if any(cfg.INPUT.COLOR_JITTER):
        # Before the rotation, whose black corners then stay black and do not darken the mean grey.
        brightness, contrast, saturation = cfg.INPUT.COLOR_JITTER
        augmentations.append(ColorJitter(brightness, contrast, saturation, cfg.INPUT.FORMAT))
    size = (cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.MAX_SIZE_TRAIN, cfg.INPUT.MIN_SIZE_TRAIN_SAMPLING)
    augmentations.append(ResizeRotate(*size, max_angle=cfg.INPUT.ROTATION))
    return augmentations
