"""Files that tools write: what another program made is not replaced unasked, and a photo never."""

import json
import os
from collections.abc import Collection, Iterable
from pathlib import Path


class OutputFiles:
    """What files of drawings may be written.

    Args:
        overwrite: replace files that are there already.
        photos: what is never replaced.
    """

    def __init__(self, overwrite: bool = False, photos: Iterable[str | os.PathLike] = ()):
        self.overwrite = overwrite
        self._photos = {_identity(photo) for photo in photos} - {None}

    def check(self, path: str | os.PathLike) -> None:
        """Raise ValueError, with what to do, if a file must not be written."""
        if not os.path.lexists(path):
            return
        if _identity(path) in self._photos:
            raise ValueError(f"the drawing would replace the photo {path}; give another folder.")
        if not self.overwrite:
            raise ValueError(f"{path} is there already; give another folder, or --overwrite to replace it.")


def check_report(path: str | os.PathLike | None, keys: Collection[str]) -> None:
    """Raise ValueError unless a path is free, or has the report of an earlier run: a JSON object with these keys."""
    if path is None or not os.path.lexists(path):
        return
    try:
        content = json.loads(Path(path).read_bytes()) if os.path.isfile(path) else None
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict) or not set(keys) <= content.keys():
        raise ValueError(f"{path} is there already, and is no report of this command; give another file.")


def check_figure(path: Path) -> None:
    """Raise ValueError unless a path is free, or has a figure that Matplotlib drew for an earlier run."""
    if path.exists() and not (path.is_file() and b"atplotlib" in path.read_bytes()):
        raise ValueError(f"{path} is there already, and is no figure of this command; give another file.")


def _identity(path: str | os.PathLike) -> tuple[int, int] | None:
    """What tells a file from all others, whatever it is called; None if it is not there."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino
