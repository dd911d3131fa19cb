"""Figures A1 to A4 and A7: pages of images with what methods read in them, wrong words in red, the scale under each.

A drawing is SVG: outlines and texts, on the photo or, where it must not be shown, on a plain ground. Files stand in one
folder, so that it can be moved as a whole; nothing is loaded from elsewhere.
"""

import html
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import cv2
import numpy as np
from comparison_figures import Measured
from failure_shares import JudgedImage, judge

from dld_spotter.evaluation.protocol import ImageWords, Protocol
from dld_spotter.image_io import read_image
from dld_spotter.results import write_image

SHOWN = ("gained", "lost", "changed")
_WIDTH = 640  # pixels of a drawing, and of the photos beside the page
_RIGHT, _WRONG, _IGNORED = "#0072b2", "#d00000", "#999999"
_STYLE = """\
body { font: 14px sans-serif; margin: 1.5em; color: #222; background: #fff; }
.row { display: flex; gap: 12px; margin: 0 0 16px; }
figure { margin: 0; flex: 1; min-width: 0; max-width: 640px; }
svg { width: 100%; height: auto; border: 1px solid #ccc; background: #f4f4f2; display: block; }
figcaption { font-size: 12px; margin-top: 2px; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(400px, 1fr)); gap: 12px; }
"""
_LEGEND = (
    f'<p><b style="color:{_RIGHT}">Blue</b>: right. <b style="color:{_WRONG}">Red</b>: wrong words; dashed, without a '
    f'text: not found. <b style="color:{_IGNORED}">Grey</b>: in regions that do not count.</p>'
)


@dataclass(frozen=True)
class Reading:
    """What one method made of one image."""

    title: str
    words: ImageWords
    judged: JudgedImage
    scale: float

    @property
    def right(self) -> int:
        """Cared-for words that were read right."""
        return sum(right is True for right in self.judged.right)

    @property
    def cared_for(self) -> int:
        """Words that were to be read."""
        return sum(right is not None for right in self.judged.right)


@dataclass(frozen=True)
class Shown:
    """One image with what each method made of it; ``file`` is its photo's."""

    file: str
    readings: list[Reading]


def read_images(
    titles: Sequence[str], methods: Sequence[Measured], files: Sequence[str], protocol: Protocol
) -> list[Shown]:
    """The images of a data set, in its order, as each method (by its title) read them."""
    columns = [
        [
            Reading(title, words, judge(words, protocol), reading.scale)
            for words, reading in zip(method.images, method.readings, strict=True)
        ]
        for title, method in zip(titles, methods, strict=True)
    ]
    return [Shown(file, list(readings)) for file, readings in zip(files, zip(*columns, strict=True), strict=True)]


def changed_words(image: Shown) -> tuple[int, int]:
    """How many words the last method reads right and the one before it does not, and how many the other way round."""
    before, last = (reading.judged.right for reading in image.readings[-2:])
    pairs = list(zip(before, last, strict=True))
    return pairs.count((False, True)), pairs.count((True, False))


def choose_images(images: Sequence[Shown], shown: str, most: int) -> list[Shown]:
    """The images in which the last method reads the most words more ("gained") or fewer ("lost") than the one before
    it, or the most of either kind ("changed"); none without such a word."""
    weights = [changed_words(image) for image in images]
    counts = [{"gained": gained, "lost": lost, "changed": gained + lost}[shown] for gained, lost in weights]
    order = sorted((i for i, count in enumerate(counts) if count), key=lambda i: -counts[i])
    return [images[i] for i in order[:most]]


def choose_by_scale(images: Sequence[Shown], most: int, seed: int) -> dict[float, list[Shown]]:
    """At most so many images of each scale that the first method chose, drawn at random, by ascending scale."""
    by_scale: dict[float, list[Shown]] = {}
    for image in images:
        by_scale.setdefault(image.readings[0].scale, []).append(image)
    drawn = random.Random(seed)
    return {scale: drawn.sample(group, min(most, len(group))) for scale, group in sorted(by_scale.items())}


def write_comparison_page(path: Path, heading: str, said: str, images: Sequence[Shown], photos: bool) -> None:
    """A line an image, a drawing a method. ``said`` stands above them: how they were chosen, and out of what."""
    parts = [f"<p>{html.escape(said)}</p>", _LEGEND]
    for number, image in enumerate(images, start=1):
        photo = _write_photo(path, number, image) if photos else None
        figures = "".join(_figure(reading, photo) for reading in image.readings)
        parts.append(f'<p>{html.escape(Path(image.file).name)}</p><div class="row">{figures}</div>')
    _write_page(path, heading, parts)


def write_scale_page(path: Path, heading: str, groups: dict[float, list[Shown]], total: int, photos: bool) -> None:
    """Images grouped by the scale that was chosen for them; ``total`` is how many each group was drawn from."""
    parts, numbers = [_LEGEND, f"<p>Drawn at random from {total} images.</p>"], count(1)
    for scale, images in groups.items():
        figures = []
        for image in images:
            figures.append(_figure(image.readings[0], _write_photo(path, next(numbers), image) if photos else None))
        parts.append(f'<h2>Scale {scale:g}</h2><div class="grid">{"".join(figures)}</div>')
    _write_page(path, heading, parts)


def draw_svg(reading: Reading, photo: tuple[str, tuple[int, int]] | None = None) -> str:
    """The words of one method in one image.

    Args:
        reading: the words; their image's size is known, or found from the outlines.
        photo: a file beside the page with the photo, and the photo's own height and width.
    """
    judged, size = reading.judged, photo[1] if photo else reading.words.size
    outlines = [np.asarray(word.polygon, float) for word in (*reading.words.truths, *judged.reads)]
    if size is None:
        size = tuple(np.ceil(np.concatenate([*outlines, np.full((1, 2), 32)]).max(axis=0))[::-1].astype(int))
    height, width = size
    unit = width / _WIDTH
    shapes = [f'<image href="{html.escape(photo[0])}" width="{width}" height="{height}"/>'] if photo else []
    for word, right in zip(reading.words.truths, judged.right, strict=True):
        if right is None:
            shapes.append(_outline(word.polygon, _IGNORED, f'stroke-width="{0.7 * unit:.1f}"'))
    found = {True: _RIGHT, False: _WRONG, None: _IGNORED}
    for word, verdict in zip(judged.reads, judged.verdicts, strict=True):
        shapes.append(_outline(word.polygon, found[verdict], f'stroke-width="{1.5 * unit:.1f}"'))
    for word, verdict in zip(judged.reads, judged.verdicts, strict=True):
        shapes.append(_text(word.text, np.asarray(word.polygon, float), found[verdict], unit, width))
    for word in _not_found(reading):
        dashes = f'stroke-width="{1.2 * unit:.1f}" stroke-dasharray="{4 * unit:.1f} {3 * unit:.1f}"'
        shapes.append(_outline(word, _WRONG, dashes))
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">{"".join(shapes)}</svg>'


def _not_found(reading: Reading) -> list[np.ndarray]:
    """Outlines of words that are not right and that no drawn detection lies on."""
    reads = [np.asarray(word.polygon, float) for word in reading.judged.reads]
    boxes = [(*read.min(axis=0), *read.max(axis=0)) for read in reads]
    missed = []
    for word, right in zip(reading.words.truths, reading.judged.right, strict=True):
        x, y = np.asarray(word.polygon, float).mean(axis=0)
        if right is False and not any(left < x < end and top < y < bottom for left, top, end, bottom in boxes):
            missed.append(np.asarray(word.polygon, float))
    return missed


def _figure(reading: Reading, photo: tuple[str, tuple[int, int]] | None) -> str:
    said = f"{reading.title}: scale {reading.scale:g}, {reading.right} of {reading.cared_for} words right"
    return f"<figure>{draw_svg(reading, photo)}<figcaption>{html.escape(said)}</figcaption></figure>"


def _outline(polygon: np.ndarray, colour: str, style: str) -> str:
    points = " ".join(f"{x:.0f},{y:.0f}" for x, y in np.asarray(polygon, float))
    return f'<polygon points="{points}" fill="none" stroke="{colour}" {style}/>'


def _text(text: str, polygon: np.ndarray, colour: str, unit: float, width: int) -> str:
    (left, top), bottom = polygon.min(axis=0), polygon[:, 1].max()
    size = 11 * unit
    y = top - 2 * unit if top > size + 2 * unit else bottom + size
    x = min(left, max(0.0, width - 0.62 * size * len(text)))
    ground = f'stroke="#ffffff" stroke-width="{3 * unit:.1f}" stroke-linejoin="round" paint-order="stroke"'
    where = f'x="{x:.0f}" y="{y:.0f}" font-size="{size:.1f}"'
    return f'<text {where} font-family="sans-serif" fill="{colour}" {ground}>{html.escape(text)}</text>'


def _write_photo(page: Path, number: int, image: Shown) -> tuple[str, tuple[int, int]]:
    """A small copy of the photo beside the page: its file, relative to the page, and the size of the photo itself."""
    photo = read_image(image.file, "BGR")
    height, width = photo.shape[:2]
    small = cv2.resize(photo, (_WIDTH, max(1, round(height * _WIDTH / width))), interpolation=cv2.INTER_AREA)
    name = f"{page.stem}/{number}.jpg"
    write_image(page.parent / name, small)
    return name, (height, width)


def _write_page(path: Path, heading: str, parts: Sequence[str]) -> None:
    head = f'<meta charset="utf-8"><title>{html.escape(heading)}</title><style>\n{_STYLE}</style>'
    body = f"<h1>{html.escape(heading)}</h1>\n" + "\n".join(parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = f"<!doctype html><html><head>{head}</head><body>\n{body}\n</body></html>\n"
    path.write_bytes(text.encode("utf-8", "xmlcharrefreplace"))
