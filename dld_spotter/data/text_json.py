"""Our text JSON: loading it into Detectron2's records, checking it, and registering files as data sets.

The format is COCO's with two more fields a word, ``text`` and ``ignore``; datasets/README.md shows an example.

Memory: the file is parsed as a whole, at about 1.3 kB a word, so that SynthText's 7.3 million words want some 9 GB in
each process that loads them. Detectron2 then keeps the records serialised (about 0.2 kB a word) and shares
them with the loader's workers.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from dld_spotter.data.charset import Charset
from dld_spotter.data.problems import Problem, Problems
from dld_spotter.data.text_files import read_json
from dld_spotter.data.text_validation import group_annotations, image_records, word_records
from dld_spotter.data.text_writer import TextJsonWriter, write_text_json
from dld_spotter.image_io import ImageError, read_image

if TYPE_CHECKING:
    from detectron2.config import CfgNode

__all__ = [
    "Problem",
    "TextJsonWriter",
    "check_text_json",
    "load_text_json",
    "register_custom",
    "register_text_json",
    "require_dataset",
    "write_text_json",
]

logger = logging.getLogger(__name__)

LISTED = 10  # problems spelled out in an error; the rest is counted
CHECK_COMMAND = "tools/prepare_dataset.py --check {json_file} --images {image_root}"


def load_text_json(
    json_file: str | os.PathLike, image_root: str | os.PathLike | None = None, *, as_annotated: bool = False
) -> list[dict]:
    """Detectron2's records of one text JSON, with every outline clockwise, simple and inside its image.

    What can be mended is mended and counted in one log entry: outlines that cross themselves or leave the image, words
    without text (they become don't care), outlines without an area or wholly outside and repeated words (left out).

    Args:
        json_file: in the format of datasets/README.md.
        image_root: the folder that ``file_name`` is relative to. Without it no image needs to be there, and the
            records' file names stay relative.
        as_annotated: the same words, but with their outlines as they stand in the file, neither turned, repaired nor
            clipped: the ground truth of an evaluation.

    Returns:
        one dict an image: file_name, image_id, height, width and annotations, each of them with id, bbox (x1, y1,
        x2, y2), bbox_mode, category_id 0, segmentation ([[x1, y1, ...]]), text, ignore (bool), and characters
        if the file has them.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is not our format, or has problems that cannot be mended; up to ten are listed.
    """
    problems = Problems(str(json_file), keep=LISTED)
    records = _parse(json_file, image_root, problems, as_annotated=as_annotated)
    if image_root is not None:
        _find_missing_images(records, problems)
    errors = problems.count("error")
    if errors:
        listed = problems.of("error")[:LISTED]
        command = CHECK_COMMAND.format(json_file=json_file, image_root=image_root or "IMAGES")
        raise ValueError(
            f"{json_file}: {errors} problem{'s' * (errors > 1)} must be solved first"
            f"{f', of which {len(listed)} are' * (errors > len(listed))}:\n  "
            + "\n  ".join(map(str, listed))
            + f"\nAll of them: {command}"
        )
    mended = [
        f"{count} x {kind}; e.g. {next(p for p in problems.kept if p.kind == kind)}"
        for (_, kind), count in problems.counts.items()
    ]
    if mended:
        logger.warning("%s: mended while loading:\n  %s", json_file, "\n  ".join(mended))
    words = [word["ignore"] for record in records for word in record["annotations"]]
    logger.info("%s: %d images, %d words, of which %d are don't care.", json_file, len(records), len(words), sum(words))
    return records


def check_text_json(
    json_file: str,
    image_root: str,
    charset: Charset | None = None,
    max_length: int | None = None,
    *,
    read_images: bool = True,
    progress: Callable[[list[dict]], Iterable[dict]] = iter,
) -> list[Problem]:
    """Everything that is wrong or notable in a text JSON, without stopping at the first.

    Args:
        json_file: in the format of datasets/README.md.
        image_root: the folder that ``file_name`` is relative to.
        charset: report the words with characters outside this set.
        max_length: report the words with more characters.
        read_images: decode every image, and compare its size with the JSON's.
        progress: wraps the records while they are looked at, for a progress bar.

    Raises:
        FileNotFoundError, ValueError: the file as a whole cannot be read.
    """
    problems = Problems(str(json_file))
    records = _parse(json_file, image_root, problems)
    missing = _find_missing_images(records, problems)
    for record in progress(records):
        _check_words(record, charset, max_length, problems)
        if read_images and record["file_name"] not in missing:
            _check_image(record, problems)
    return problems.kept


def register_text_json(name: str, json_file: str, image_root: str, lexicons: dict[str, str] | None = None) -> None:
    """Make a text JSON known to Detectron2 under a name; nothing is read before it is used.

    Args:
        name: of the data set.
        json_file: in the format of datasets/README.md.
        image_root: the folder that ``file_name`` is relative to.
        lexicons: lexicon ("strong", "weak", "generic", "full") -> its file, or folder for "strong".

    Raises:
        ValueError: the name is taken.
    """
    from detectron2.data import DatasetCatalog, MetadataCatalog  # files are read and scored without Detectron2

    if name in DatasetCatalog:
        raise ValueError(f"data set '{name}' is registered already; choose another name.")
    DatasetCatalog.register(name, partial(load_text_json, json_file, image_root))
    MetadataCatalog.get(name).set(
        thing_classes=["text"],
        json_file=json_file,
        image_root=image_root,
        evaluator_type="text",
        lexicons=dict(lexicons or {}),
    )


def register_custom(cfg: CfgNode) -> None:
    """Register the user's own files, DATASETS.CUSTOM: a list of (name, image folder, json file).

    Calling it again, or with other paths for a name that came from a config too, is fine: the last one holds.

    Raises:
        ValueError: an entry is not three strings, or its name occurs twice or belongs to a known split.
    """
    from detectron2.data import DatasetCatalog, MetadataCatalog

    names = set()
    for entry in cfg.DATASETS.CUSTOM:
        if len(entry) != 3 or not all(isinstance(part, str) and part for part in entry):
            raise ValueError(f"DATASETS.CUSTOM has the entry {entry!r}; write [name, image folder, json file].")
        name, image_root, json_file = entry[0], *map(os.path.expanduser, entry[1:])
        if name in names:
            raise ValueError(f"DATASETS.CUSTOM names '{name}' twice; give each data set its own name.")
        names.add(name)
        if name in DatasetCatalog:
            if not MetadataCatalog.get(name).get("custom", False):
                raise ValueError(f"DATASETS.CUSTOM: '{name}' is the name of a known data set; choose another.")
            DatasetCatalog.remove(name)
            MetadataCatalog.remove(name)
        register_text_json(name, json_file, image_root)
        MetadataCatalog.get(name).set(custom=True)


def require_dataset(name: str) -> None:
    """Raise ValueError, with the known names and how to add one, if a data set is not registered."""
    from detectron2.data import DatasetCatalog, MetadataCatalog

    if name in DatasetCatalog:
        return
    ours = sorted(n for n in DatasetCatalog.list() if MetadataCatalog.get(n).get("evaluator_type", "") == "text")
    raise ValueError(
        f"data set '{name}' is not registered. Known text data sets: {', '.join(ours) or 'none'}. To add yours, write "
        f"DATASETS.CUSTOM \"[('{name}', 'image folder', 'file.json')]\" on the command line or in the config, or call "
        f"dld_spotter.data.text_json.register_text_json('{name}', 'file.json', 'image folder') in Python."
    )


def _parse(
    json_file: str | os.PathLike,
    image_root: str | os.PathLike | None,
    problems: Problems,
    *,
    as_annotated: bool = False,
) -> list[dict]:
    """Records of the entries that are in order or could be mended."""
    raw = _read(json_file)
    records = image_records(raw["images"], os.fspath(image_root or ""), problems)
    groups = group_annotations(raw["annotations"], records, problems)
    for image_id, record in records.items():
        annotations = groups.pop(image_id)
        record["annotations"] = word_records(annotations, record, problems, as_annotated=as_annotated)
    return list(records.values())


def _read(json_file: str | os.PathLike) -> dict:
    try:
        raw = read_json(json_file)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"there is no annotation file {json_file}. Make it with tools/prepare_dataset.py (datasets/README.md says "
            "how), or set DETECTRON2_DATASETS to the folder that holds your data sets."
        ) from None
    for key in ("images", "annotations"):
        if not isinstance(raw, dict) or not isinstance(raw.get(key), list):
            raise ValueError(
                f"{json_file} has no list '{key}', so it is not in our format (see datasets/README.md). "
                "tools/prepare_dataset.py converts other formats."
            )
    return raw


def _find_missing_images(records: list[dict], problems: Problems) -> set[str]:
    """Report the image files that do not exist: one look into each folder, not one a file."""
    folders: dict[str, set[str]] = {}
    missing = set()
    for record in records:
        folder, name = os.path.split(record["file_name"])
        if folder not in folders:
            folders[folder] = _regular_files(folder or ".")
        if name not in folders[folder]:
            missing.add(record["file_name"])
            message = "there is no such file (pipes and devices are none); is the image folder right?"
            problems.error("missing_image", message, record["file_name"])
    return missing


def _regular_files(folder: str) -> set[str]:
    """Names in a folder of files that can be read to their end."""
    if not os.path.isdir(folder):
        return set()
    with os.scandir(folder) as entries:
        return {
            entry.name for entry in entries if (os.path.isfile(entry.path) if entry.is_symlink() else entry.is_file())
        }


def _check_words(record: dict, charset: Charset | None, max_length: int | None, problems: Problems) -> None:
    for word in record["annotations"]:
        if word["ignore"]:
            continue
        where = (record["file_name"], word["id"])
        unknown = charset.unknown(word["text"]) if charset is not None else []
        if charset is not None and unknown:
            message = f"'{word['text']}' has characters {unknown} that are not in {charset.source}."
            problems.warning("unknown_characters", message, *where)
        if max_length is not None and len(word["text"]) > max_length:
            message = f"'{word['text']}' has {len(word['text'])} characters, more than {max_length}."
            problems.warning("too_long", message, *where)


def _check_image(record: dict, problems: Problems) -> None:
    name = record["file_name"]
    try:
        height, width = read_image(name).shape[:2]
    except ImageError as error:
        problems.error("unreadable_image", str(error), name)
        return
    if (height, width) != (record["height"], record["width"]):
        message = f"is {width}x{height}, but the JSON says {record['width']}x{record['height']}."
        problems.error("wrong_size", message, name)
