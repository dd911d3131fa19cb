"""Failures as pictures: each word's surroundings with what is annotated and what was read, on one sheet."""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dld_spotter.analysis.failures import KINDS, STUDENT, TEACHER, Failure
from dld_spotter.image_io import read_image
from dld_spotter.visualizer import TextVisualizer, font_families

CELL = (120, 240)  # height and width of a crop, in pixels
COLUMNS = 5
_MARGIN = 0.5  # of a word's height, on all sides of the crop
_CAPTION = 0.75  # height of the captions, in inches
_DPI = 100


def choose_failures(failures: Sequence[Failure], most: int) -> list[Failure]:
    """At most so many, as equal in number by kind as they can be, spread evenly over the images."""
    by_kind = [[failure for failure in failures if failure.kind == kind] for kind in KINDS]
    left, chosen = most, []
    # The rarest kind first, so that what it leaves is shared by the others.
    for place, group in enumerate(sorted(by_kind, key=len)):
        share = min(len(group), left // (len(KINDS) - place))
        chosen += [group[i * len(group) // share] for i in range(share)]
        left -= share
    return sorted(chosen, key=lambda failure: KINDS.index(failure.kind))


def crop_failure(image: np.ndarray, failure: Failure) -> np.ndarray:
    """The word with its surroundings and outline, as large as it fits into a cell, on grey: (*CELL, 3) uint8.

    The image is (H, W, 3) in RGB order.
    """
    polygon = np.array(failure.polygon)
    (left, top), (right, bottom) = polygon.min(axis=0), polygon.max(axis=0)
    margin = _MARGIN * max(8.0, min(right - left, bottom - top))
    x, y = (max(0, math.floor(low - margin)) for low in (left, top))
    x, y = min(x, image.shape[1] - 1), min(y, image.shape[0] - 1)
    crop = image[y : max(y + 1, math.ceil(bottom + margin)), x : max(x + 1, math.ceil(right + margin))]
    factor = min(CELL[0] / crop.shape[0], CELL[1] / crop.shape[1])
    height, width = (max(1, min(cell, round(side * factor))) for cell, side in zip(CELL, crop.shape, strict=False))
    crop = cv2.resize(crop, (width, height), interpolation=cv2.INTER_CUBIC if factor > 1 else cv2.INTER_AREA)
    drawn = TextVisualizer(crop).draw_words([(polygon - (x, y)) * factor], [None]).get_image()
    cell = np.full((*CELL, 3), 128, np.uint8)
    y, x = (CELL[0] - height) // 2, (CELL[1] - width) // 2
    cell[y : y + height, x : x + width] = drawn[:height, :width]
    return cell


def caption(failure: Failure) -> str:
    """What is annotated, what was read, the scale, and what was read at full resolution."""
    truth = "no word" if failure.truth is None else failure.truth
    read = "not found" if failure.read is None else f"read {failure.read}"
    lines = [f"{failure.kind}, scale {failure.scale:g}", f"{truth}: {read}"]
    full = [failure.in_true_place[reader] for reader in (STUDENT, TEACHER) if reader in failure.in_true_place]
    if full:
        lines.append(f"full resolution: {', '.join(full)}")
    return "\n".join(lines)


def draw_sheet(failures: Sequence[Failure]) -> np.ndarray:
    """The failures side by side with their captions: (H, W, 3) uint8 in BGR order.

    Raises:
        ValueError: there are none.
        ImageError: an image cannot be read.
    """
    if not failures:
        raise ValueError("there are no failures to draw.")
    columns = min(COLUMNS, len(failures))
    rows = math.ceil(len(failures) / columns)
    figure = Figure(figsize=(columns * (CELL[1] / _DPI + 0.1), rows * (CELL[0] / _DPI + _CAPTION)), dpi=_DPI)
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes:
        ax.set_axis_off()
    for ax, failure in zip(axes, failures, strict=False):
        ax.imshow(crop_failure(read_image(failure.file_name, "RGB"), failure))
        ax.set_title(caption(failure), fontsize=7, fontfamily=font_families(), parse_math=False)
    figure.tight_layout(pad=0.3)
    canvas.draw()
    return cv2.cvtColor(np.asarray(canvas.buffer_rgba()), cv2.COLOR_RGBA2BGR)
