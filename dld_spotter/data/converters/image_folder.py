"""Finding the photo that an annotation belongs to."""

import os
import posixpath
import re
import unicodedata
from collections.abc import Iterable
from itertools import product
from pathlib import Path, PureWindowsPath

from dld_spotter.data.problems import Problems, Unusable
from dld_spotter.data.text_files import TextFile, walk_files
from dld_spotter.photo_suffixes import IMAGE_SUFFIXES

_PREFIX = re.compile(r"(?:(?:poly_|rect_)?gt_|res_)", re.IGNORECASE)  # of the benchmarks' annotation files


_LONGEST_PATH = 4096  # of a path that a tool wrote, the last characters
_DEEPEST = 50  # folders and file


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
        self._folders = set(map(posixpath.dirname, self.names)) - {""}

    def find(self, stem: str, folder: str = "") -> list[str]:
        """The images with this stem or full name; if there are several, rather those of this folder and this case."""
        found: list[str] = []
        for exact in (True, False):
            for beside in (True, False):
                found = found or self.match(stem, folder, exact, beside)
        return found

    def match(self, stem: str, folder: str, exact: bool, beside: bool) -> list[str]:
        """The images with this stem or full name, accents in either of Unicode's forms.

        Args:
            stem: of the image's name.
            folder: where the annotation file lies. Where images lie in a folder of this name, it is about one of them.
            exact: upper and lower case count.
            beside: only images in a folder of this name.
        """
        found, stem = self._known.get(_composed(stem).casefold(), []), _composed(stem)
        return [
            name
            for name in found
            if (not exact or stem in _own_names(name))
            and (posixpath.dirname(name) == folder or not (beside or folder in self._folders))
        ]

    def locate(self, path: str, folder: str = "") -> str:
        """An image by the path that a tool wrote, perhaps on another machine: the longest end of it that exists here.

        Args:
            path: as the tool wrote it.
            folder: where the annotation file lies. Where images lie in a folder of this name, it is about one of them.

        Raises:
            Unusable: there is none.
        """
        parts = _parts(path)
        for head in (folder,) if folder in self._folders else dict.fromkeys((folder, "")):
            for start in range(len(parts)):
                name = posixpath.join(head, *parts[start:])
                if os.path.isfile(self.root / name):
                    return name
        raise Unusable("missing_image", f"there is no image {path} in {self.root}")

    def ambiguous(self, places: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """Of paths and folders for ``locate``, those that give the same image as another, and are not all of its path.

        An image of one of two folders would else get the words of the other folder's.
        """
        claims: dict[str, dict[tuple[str, str], str]] = {}
        for path, folder in places:
            try:
                name = self.locate(path, folder)
            except Exception:  # whoever reads the entry says why
                continue
            claims.setdefault(name, {})[path, folder] = posixpath.join(folder, *_parts(path))
        several = {name: claim for name, claim in claims.items() if len(set(claim.values())) > 1}
        return {place for name, claim in several.items() for place, whole in claim.items() if whole != name}


def pair_files(files: list[TextFile], folder: ImageFolder, problems: Problems) -> list[tuple[TextFile, str]]:
    """Annotation files with their images: those with an equal stem, then those without a benchmark's prefix.

    ``img_7.txt``, ``img_7.jpg.txt``, ``gt_img_7.txt`` and ``poly_gt_img_7.txt`` belong to ``img_7.jpg``. A number alone
    makes no pair: ``DSC_0007.txt`` does not belong to ``img_0007.jpg``.

    Files without an image, or with several, and second files for an image are errors; of files that fit an image alike
    none is taken. Images without a file are warnings (nobody said that there is no text in them).
    """
    chosen: dict[str, int] = {}  # image -> position of its file
    waiting = list(range(len(files)))
    for stem_of, exact, beside in product((_stem, _stem_without_prefix), (True, False), (True, False)):
        claims: dict[str, list[int]] = {}
        for position in waiting:
            file = files[position]
            found = folder.match(stem_of(file), file.folder, exact, beside)
            if len(found) > 1:
                problems.error("ambiguous_image", f"the file fits {', '.join(found[:3])}; left out.", None, file.name)
            for name in found[:2]:  # one, or enough to know that it is done with
                claims.setdefault(name if len(found) == 1 else "", []).append(position)
        done = {position for claiming in claims.values() for position in claiming}
        waiting = [position for position in waiting if position not in done]
        claims.pop("", None)
        for name, claiming in claims.items():
            _settle(files, name, claiming, chosen, problems)
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


def _settle(files: list[TextFile], name: str, claiming: list[int], chosen: dict[str, int], problems: Problems) -> None:
    """Give an image its file, if one alone fits it as well as this."""
    if name in chosen or len(claiming) > 1:
        for position in claiming:
            other = chosen.get(name, next((other for other in claiming if other != position), position))
            message = f"the image has the annotation file {files[other].name}, too; left out."
            problems.error("duplicate_image", message, name, files[position].name)
    else:
        chosen[name] = claiming[0]


def _parts(path: str) -> list[str]:
    """Of a path with slashes of either kind: its last folders and its file, without what leads to other folders."""
    windows = PureWindowsPath(path[-_LONGEST_PATH:])
    return [part for part in windows.parts if part not in ("..", windows.anchor)][-_DEEPEST:]


def _own_names(name: str) -> tuple[str, str]:
    """Of a path: the name of the file, with and without its suffix."""
    base = _composed(posixpath.basename(name))
    return base, posixpath.splitext(base)[0]


def _composed(name: str) -> str:
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def _stem(file: TextFile) -> str:
    return file.stem


def _stem_without_prefix(file: TextFile) -> str:
    return _PREFIX.sub("", file.stem, count=1) if _PREFIX.match(file.stem) else file.stem
