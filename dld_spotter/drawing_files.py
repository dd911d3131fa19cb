"""Files of drawings that replace no photo, and nothing else unless they are told to."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
from PIL import Image

from dld_spotter.photo_sources import Photo
from dld_spotter.photo_suffixes import IMAGE_SUFFIXES
from dld_spotter.results import TextResult, write_image


class Drawings:
    """Where the drawings go, and what they must not replace.

    Args:
        output: a folder, made if need be, or a file that is named like an image; None draws nothing.
        photos: all that are read; none is ever replaced.
        show_scores: write the scores behind the words.
        show: open each drawing in a window.
        overwrite: replace files that are there already.

    Raises:
        ValueError: one file for several photos, or a format that cannot be written.
    """

    def __init__(
        self,
        output: str | os.PathLike | None,
        photos: Sequence[Photo],
        show_scores: bool = False,
        show: bool = False,
        overwrite: bool = False,
    ):
        self.path = None if output is None else Path(output)
        self.show_scores, self.show, self.overwrite = show_scores, show, overwrite
        self.is_file = False
        paths = [photo.source for photo in photos if isinstance(photo.source, Path)]
        self._photos = {_identity(path) for path in paths} - {None}
        self._folders = {_identity(folder) for folder in {path.parent for path in paths}} - {None}
        if self.path is not None and self.path.suffix.lower() in IMAGE_SUFFIXES and not self.path.is_dir():
            self.is_file = True
            if len(photos) > 1:
                raise ValueError(f"--output {output} is one file, but there are {len(photos)} drawings; give a folder.")
            if not cv2.haveImageWriter(self.path.name):
                raise ValueError(f"--output {output}: images cannot be written in this format; use .jpg or .png.")

    def target(self, photo: Photo | TextResult) -> Path:
        """The file for the drawing of a photo."""
        assert self.path is not None
        return self.path if self.is_file else self.path / f"{photo.name}.jpg"

    def is_photo(self, path: Path) -> bool:
        """Whether a path is one of the photos that are read."""
        return _identity(path) in self._photos

    def _lies_among_photos(self, path: Path) -> bool:
        return not self.is_file and _identity(path.parent) in self._folders

    def check(self, photos: Iterable[Photo]) -> None:
        """Make the folder, if there is one.

        Raises:
            ValueError: a drawing would replace a photo, or a file that must not be replaced.
        """
        if self.path is None:
            return
        if not self.is_file:
            self.path.mkdir(parents=True, exist_ok=True)
        existing = [path for path in map(self.target, photos) if path.exists()]
        for path in existing:
            # What lies among the photos may be another one, which the drawing is called like.
            if self.is_photo(path) or (self.overwrite and self._lies_among_photos(path)):
                raise ValueError(f"the drawing would replace the photo {path}; give another --output.")
        if existing and not self.overwrite:
            others = f" (and {len(existing) - 1} more)" if len(existing) > 1 else ""
            raise ValueError(
                f"{existing[0]}{others} is there already; give another --output, or --overwrite to replace it."
            )

    def write(self, result: TextResult) -> bool:
        """Draw a result, and show it if asked for; False, and one line, if its file cannot be written."""
        if self.path is None and not self.show:
            return True
        try:
            if self.path is not None:
                self._check_target(self.target(result))
            image = result.draw(show_scores=self.show_scores)
            if self.path is not None:
                write_image(self.target(result), image)
        except (OSError, ValueError, MemoryError, cv2.error) as error:  # the photo may be gone, the disk full
            print(f"error: {result.file_name}: no drawing is written ({error})", file=sys.stderr)
            return False
        if self.show:
            Image.fromarray(image[:, :, ::-1]).show(title=result.file_name)
        return True

    def _check_target(self, path: Path) -> None:
        """Raise ValueError for a file that must not be replaced; photos that come later are not known before."""
        if self.is_photo(path):
            raise ValueError(f"it would replace the photo {path}")
        if path.exists() and not self.overwrite:
            raise ValueError(f"{path} is there already")


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from all others, whatever it is called; None if it is not there."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino
