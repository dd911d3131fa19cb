"""Finding the photo that an annotation belongs to."""

import os
import posixpath
import re
from collections.abc import Callable
from pathlib import Path, PureWindowsPath

from dld_spotter.data.problems import Problems, Unusable
from dld_spotter.data.text_files import TextFile, walk_files
from dld_spotter.photo_suffixes import IMAGE_SUFFIXES

_PREFIX = re.compile(r"(?:(?:poly_|rect_)?gt_|res_)", re.IGNORECASE)  # of the benchmarks' annotation files


class ImageFolder:
    """The images below a folder, with their names relative to it."""

    def __init__(self, root: Path):
        if not root.is_dir():
            raise FileNotFoundError(f"there is no image folder {root}.")
        self.root = root
        self.names = sorted(name for name in walk_files(root) if posixpath.splitext(name)[1].lower() in IMAGE_SUFFIXES)
        if not self.names:
            raise FileNotFoundError(f"{root} holds no image ({', '.join(IMAGE_SUFFIXES)}).")
        self._known: dict[str, list[str]] = {}
        for name in self.names:
            for key in _own_names(name):
                self._known.setdefault(key.casefold(), []).append(name)

    def find(self, stem: str, folder: str = "") -> list[str]:
        """The images with this stem or full name; if there are several, rather those of this folder and this case."""
        found = self._known.get(stem.casefold(), [])
        found = _prefer(found, lambda name: posixpath.dirname(name) == folder)
        return _prefer(found, lambda name: stem in _own_names(name))

    def locate(self, path: str) -> str:
        """An image by the path that a tool wrote, perhaps on another machine: the longest end of it that exists here.

        Raises:
            Unusable: there is none.
        """
        windows = PureWindowsPath(path)  # takes both kinds of slashes
        parts = [part for part in windows.parts if part not in ("..", windows.anchor)]
        for start in range(len(parts)):
            name = "/".join(parts[start:])
            if os.path.isfile(self.root / name):
                return name
        raise Unusable("missing_image", f"there is no image {path} in {self.root}")


def pair_files(files: list[TextFile], folder: ImageFolder, problems: Problems) -> list[tuple[TextFile, str]]:
    """Annotation files with their images: those with an equal stem, then those without a benchmark's prefix.

    ``img_7.txt``, ``img_7.jpg.txt``, ``gt_img_7.txt`` and ``poly_gt_img_7.txt`` belong to ``img_7.jpg``. A number alone
    makes no pair: ``DSC_0007.txt`` does not belong to ``img_0007.jpg``.

    Files without an image, or with several, and second files for an image are errors; images without a file are
    warnings (nobody said that there is no text in them).
    """
    chosen: dict[str, int] = {}  # image -> position of its file
    waiting = list(range(len(files)))
    for stem_of in (_stem, _stem_without_prefix):
        waiting = [position for position in waiting if not _pair(files, position, stem_of, folder, chosen, problems)]
    for position in waiting:
        message = f"the file has no image in {folder.root}; photo.txt and gt_photo.txt belong to photo.jpg. Left out."
        problems.error("missing_image", message, None, files[position].name)
    by_prefix = {
        other: (files[position].name, name)
        for name, position in chosen.items()
        for other in folder.find(_stem_without_prefix(files[position]), files[position].folder)
    }
    for name in folder.names:
        if name not in chosen and name in by_prefix:
            message = "the file {} could be its, but has the name of {}; left out.".format(*by_prefix[name])
            problems.warning("ambiguous_image", message, name)
        elif name not in chosen:
            problems.warning("no_annotation_file", "the image has no annotation file; left out.", name)
    return [(files[position], name) for name, position in sorted(chosen.items(), key=lambda pair: pair[1])]


def _pair(
    files: list[TextFile],
    position: int,
    stem_of: Callable[[TextFile], str],
    folder: ImageFolder,
    chosen: dict[str, int],
    problems: Problems,
) -> bool:
    """Whether a file has got its image, or an error because it cannot."""
    file = files[position]
    found = folder.find(stem_of(file), file.folder)
    if len(found) > 1:
        problems.error("ambiguous_image", f"the file fits {', '.join(found[:3])}; left out.", None, file.name)
    elif found and found[0] in chosen:
        other = files[chosen[found[0]]].name
        problems.error("duplicate_image", f"the image has the annotation file {other}; left out.", found[0], file.name)
    elif found:
        chosen[found[0]] = position
    return bool(found)


def _own_names(name: str) -> tuple[str, str]:
    """Of a path: the name of the file, with and without its suffix."""
    base = posixpath.basename(name)
    return base, posixpath.splitext(base)[0]


def _stem(file: TextFile) -> str:
    return file.stem


def _stem_without_prefix(file: TextFile) -> str:
    return _PREFIX.sub("", file.stem, count=1) if _PREFIX.match(file.stem) else file.stem


def _prefer(names: list[str], wanted: Callable[[str], bool]) -> list[str]:
    return [name for name in names if wanted(name)] or names if len(names) > 1 else names
