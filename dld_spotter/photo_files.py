"""The photos of a folder, and how many of its files are left and why."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Collection
from pathlib import Path

from dld_spotter.image_io import ImageError
from dld_spotter.photo_suffixes import IMAGE_SUFFIXES

logger = logging.getLogger(__name__)


def list_images(
    folder: str | os.PathLike, recursive: bool = False, exclude: Collection[str | os.PathLike] = ()
) -> list[Path]:
    """The images of a folder, sorted, by their names' endings in any case; one line is logged of what is left.

    Hidden files and folders are left: macOS writes ``._IMG_1.jpg`` beside a photo.

    Args:
        folder: where to look.
        recursive: in its subfolders, too; links to folders are not followed.
        exclude: subfolders that are left, such as the one for the drawings.

    Raises:
        ImageError: there is no image in it, or it cannot be opened.
    """
    try:
        found, left = _look_through(folder, recursive, {os.path.realpath(path) for path in exclude})
    except OSError as error:
        raise ImageError(f"{os.fspath(folder)}: the folder cannot be opened ({error.strerror}).") from error
    rest = ", ".join(f"{count} {reason}" for reason, count in sorted(left.items()))
    if not found:
        rest = f" Left: {rest}." if rest else ""
        raise ImageError(f"{os.fspath(folder)}: the folder holds no image ({', '.join(IMAGE_SUFFIXES)}).{rest}")
    if rest:
        logger.warning("%s: %d images; left: %s.", os.fspath(folder), len(found), rest)
    return sorted(found)


def _look_through(folder: str | os.PathLike, recursive: bool, excluded: set[str]) -> tuple[list[Path], Counter[str]]:
    """The images, and how many other entries there are by what they are."""
    found: list[Path] = []
    left: Counter[str] = Counter()

    def note(error: OSError) -> None:
        if Path(error.filename) == Path(folder):
            raise error
        left["subfolders that cannot be opened"] += 1

    for parent, subfolders, names in os.walk(os.fspath(folder), onerror=note):
        inner = [Path(parent, name) for name in sorted(subfolders) if not name.startswith(".")]
        subfolders.clear()
        for path in inner:
            if reason := _why_not_entered(path, recursive, excluded):
                left[reason] += 1
            else:
                subfolders.append(path.name)
        for path in (Path(parent, name) for name in names):
            if reason := _why_no_image(path):
                left[reason] += 1
            elif not path.name.startswith("."):
                found.append(path)
    return found, left


def _why_not_entered(folder: Path, recursive: bool, excluded: set[str]) -> str | None:
    if os.path.realpath(folder) in excluded:
        return "folders of the output"
    if not recursive:
        return "subfolders (recursive reads them)"
    return "links to folders" if folder.is_symlink() else None


def _why_no_image(path: Path) -> str | None:
    kind, hidden = path.suffix.lower(), path.name.startswith(".")
    if kind in IMAGE_SUFFIXES:
        if hidden:
            return "hidden images"
        return None if os.path.isfile(path) else "broken links, pipes or devices"
    return None if hidden else f"files of kind {kind}" if kind else "files without a suffix"
