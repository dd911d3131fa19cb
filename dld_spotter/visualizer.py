"""Drawing words of Detectron2's Instances and data sets; ``word_drawing`` draws those of results.

Labels use the fonts of ``label_fonts``; a character that no font has is drawn as an empty box. Scripts written from
right to left or with joined letters are drawn character by character.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from detectron2.structures import Instances
from detectron2.utils.visualizer import VisImage, Visualizer
from matplotlib.artist import Artist
from matplotlib.backend_bases import RendererBase
from torch import Tensor

from dld_spotter.data.charset import Charset
from dld_spotter.label_fonts import font_families, quiet_about_glyphs
from dld_spotter.label_placement import place_label
from dld_spotter.predicted_words import instances_to_polygons
from dld_spotter.word_drawing import WORD_COLORS

IGNORE_COLOR = "#cccccc"  # as light as Detectron2 makes every label at least

_LABEL_MARGIN = 2.0  # pixels of the drawing between a label's letters and the edge of its ground


class _Pixels(Artist):
    """An image that is copied into the figure as it is; matplotlib's own images are resampled, which takes seconds."""

    def __init__(self, rgb: np.ndarray):
        super().__init__()
        self._rgba = cv2.flip(cv2.cvtColor(rgb, cv2.COLOR_RGB2RGBA), 0)  # matplotlib counts rows from the bottom
        self.set_zorder(-1)  # behind the axes

    def draw(self, renderer: RendererBase) -> None:
        renderer.draw_image(renderer.new_gc(), 0, 0, self._rgba)


class _PixelImage(VisImage):
    """VisImage that is quick with large photos."""

    def reset_image(self, img: np.ndarray) -> None:
        """As the parent."""
        size = self.canvas.get_width_height()
        img = np.ascontiguousarray(img, np.uint8)
        self.fig.artists.clear()
        self.fig.add_artist(_Pixels(img if size == (self.width, self.height) else cv2.resize(img, size)))
        self.ax.set(xlim=(0, self.width), ylim=(self.height, 0))

    def get_image(self) -> np.ndarray:
        """As the parent."""
        with quiet_about_glyphs():
            return super().get_image()


class TextVisualizer(Visualizer):
    """Detectron2's Visualizer with word outlines and what they say; don't-care regions are grey.

    Args:
        img_rgb: (H, W, 3) image in RGB order.
        charset: turns token ids into characters; needed to draw ``Instances``.
        show_scores: write each word's score behind it.
        kwargs: as Detectron2's Visualizer: metadata, scale (of the drawing), font_size_scale.
    """

    def __init__(self, img_rgb: np.ndarray, charset: Charset | None = None, show_scores: bool = False, **kwargs):
        super().__init__(img_rgb, **kwargs)
        self.output: VisImage = _PixelImage(self.img, scale=self.output.scale)
        self.charset = charset
        self.show_scores = show_scores

    def draw_words(
        self,
        polygons: Sequence,
        texts: Sequence[str | None],
        scores: Sequence[float] | None = None,
        ignored: Sequence[bool] | None = None,
    ) -> VisImage:
        """Draw N words.

        Args:
            polygons: (P, 2) points of each, in the image's pixels; None is left out.
            texts: None or "" gives no label.
            scores: written behind the words if ``show_scores``.
            ignored: these are drawn in grey.
        """
        ignored = ignored if ignored is not None else [False] * len(polygons)
        labels = [text or "" for text in texts]
        if scores is not None and self.show_scores:
            labels = [f"{label} {score:.2f}".strip() for label, score in zip(labels, scores, strict=True)]
        colors = [IGNORE_COLOR if skip else WORD_COLORS[i % len(WORD_COLORS)] for i, skip in enumerate(ignored)]
        words = [
            (np.asarray(polygon, float).reshape(-1, 2), label, color)
            for polygon, label, color in zip(polygons, labels, colors, strict=True)
            if polygon is not None
        ]
        for polygon, _, color in words:
            self.draw_polygon(polygon, color, alpha=0.15)
        boxes = [np.concatenate([polygon.min(axis=0), polygon.max(axis=0)]) for polygon, _, _ in words]
        taken = list(boxes)
        for box, (_, label, color) in zip(boxes, words, strict=True):  # after all outlines, so that none crosses one
            if label:
                taken.append(self._draw_label(label, box, np.array(taken), color))
        return self.output

    def draw_instance_predictions(self, predictions: Instances, jittering: bool = True) -> VisImage:
        """Draw predicted words: their outlines (see ``instances_to_polygons``), ``pred_text``, and the scores.

        Args:
            predictions: in the image's pixels.
            jittering: has no effect; it is in Detectron2's signature.
        """
        scores = None
        if predictions.has("pred_word_scores"):
            scores = predictions.pred_word_scores.tolist()
        elif predictions.has("scores") and predictions.has("pred_text_scores"):
            scores = (predictions.scores * predictions.pred_text_scores).tolist()
        return self.draw_words(instances_to_polygons(predictions), self._decode(predictions.pred_text), scores)

    def draw_targets(self, targets: Instances) -> VisImage:
        """Draw ground truth in the form that a model is trained with (``gt_masks`` are WordPolygons)."""
        ignored = targets.gt_ignore.tolist() if targets.has("gt_ignore") else None
        return self.draw_words(targets.gt_masks.tensor.cpu().numpy(), self._decode(targets.gt_text), ignored=ignored)

    def draw_dataset_dict(self, dic: dict) -> VisImage:
        """Draw the annotations of a data set's record; several outlines of one annotation are one word."""
        polygons, texts, ignored = [], [], []
        for annotation in dic.get("annotations", ()):
            for part, outline in enumerate(annotation["segmentation"]):
                polygons.append(np.reshape(outline, (-1, 2)))
                texts.append(annotation.get("text") if part == 0 else None)
                ignored.append(bool(annotation.get("ignore", False)))
        return self.draw_words(polygons, texts, ignored=ignored)

    def draw_text(self, text: str, position: tuple[float, float], **kwargs) -> VisImage:
        """As Detectron2's, with any script that a font is there for, and dollar signs as themselves."""
        output = super().draw_text(text, position, **kwargs)
        drawn = output.ax.texts[-1]
        drawn.set_parse_math(False)
        drawn.set_fontfamily(font_families(text))
        return output

    def _draw_label(self, label: str, word: np.ndarray, taken: np.ndarray, color: str) -> np.ndarray:
        """Draw a word's label where it covers nothing of ``taken`` (N, 4), if there is such a place; gives its box."""
        points = 72 / self.output.dpi  # a pixel in points, the unit of font sizes
        largest = self._default_font_size
        font_size = np.clip(0.5 * min(word[2:] - word[:2]) * points, 0.65 * largest, largest)
        self.draw_text(label, (0, 0), color=color, horizontal_alignment="left", font_size=font_size)
        drawn = self.output.ax.texts[-1]
        with quiet_about_glyphs():
            extent = drawn.get_window_extent(self.output.canvas.get_renderer())
        margin = _LABEL_MARGIN / self.output.scale
        size = extent.width / self.output.scale + 2 * margin, extent.height / self.output.scale + 2 * margin
        box = place_label(size, word, taken, (self.output.height, self.output.width))
        drawn.set_position(box[:2] + margin)
        return box

    def _decode(self, tokens: Tensor) -> list[str]:
        if self.charset is None:
            raise ValueError("drawing the words of Instances needs a charset: TextVisualizer(image, charset=...).")
        return self.charset.decode(tokens)
