"""The known data sets, registered on import under $DETECTRON2_DATASETS (default: the folder ``datasets``).

datasets/README.md shows the folders and says how to make the JSON files. Nothing is read before a data set is used.
"""

import os

from detectron2.data import DatasetCatalog

from dld_spotter.data.text_json import register_text_json

SPLITS = {  # name: image folder, annotation file
    "icdar2013_train": ("icdar2013/train_images", "icdar2013/train.json"),
    "icdar2013_test": ("icdar2013/test_images", "icdar2013/test.json"),
    "icdar2015_train": ("icdar2015/train_images", "icdar2015/train.json"),
    "icdar2015_test": ("icdar2015/test_images", "icdar2015/test.json"),
    "totaltext_train": ("totaltext/train_images", "totaltext/train.json"),
    "totaltext_test": ("totaltext/test_images", "totaltext/test.json"),
    "mlt2017_latin_train": ("mlt2017/train_images", "mlt2017/train_latin.json"),
    "mlt2017_latin_val": ("mlt2017/val_images", "mlt2017/val_latin.json"),
    "synthtext_800k": ("synthtext/images", "synthtext/train.json"),
}

LEXICONS = {  # name: lexicon -> its file; "strong" is a folder with a file for each image
    "icdar2013_test": {
        "strong": "icdar2013/lexicons/strong",
        "weak": "icdar2013/lexicons/ch2_test_vocabulary.txt",
        "generic": "icdar2013/lexicons/GenericVocabulary.txt",
    },
    "icdar2015_test": {
        "strong": "icdar2015/lexicons/strong",
        "weak": "icdar2015/lexicons/ch4_test_vocabulary.txt",
        "generic": "icdar2015/lexicons/GenericVocabulary.txt",
    },
    "totaltext_test": {"full": "totaltext/lexicons/full_lexicons.txt"},
}


def register_builtin(root: str) -> None:
    """Register the known data sets below a folder; those that are registered stay as they are."""
    for name, (image_root, json_file) in SPLITS.items():
        if name not in DatasetCatalog:
            lexicons = {lexicon: os.path.join(root, path) for lexicon, path in LEXICONS.get(name, {}).items()}
            register_text_json(name, os.path.join(root, json_file), os.path.join(root, image_root), lexicons)


register_builtin(os.path.expanduser(os.getenv("DETECTRON2_DATASETS", "datasets")))
