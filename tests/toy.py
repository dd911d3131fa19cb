"""Helpers of the tests: drawn data sets, a tiny config, the real photos, the scripts of the project as modules."""

import importlib.util
import json
import os
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
CHARACTERS = "abcdefghijkmnpqrstuvwxyz23456789"


def real_data() -> Path:
    """The folder that holds icdar2015_dev, eval, ...: $DLD_TEST_DATA or ../shared/data; without it, skip the test."""
    folder = Path(os.environ.get("DLD_TEST_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"needs the real photos: point DLD_TEST_DATA at their folder ({folder} does not exist)")
    return folder


def load_script(path: str) -> ModuleType:
    """A script of the project, such as "tools/demo.py", as a module, so that a test can call its main(argv)."""
    spec = importlib.util.spec_from_file_location(Path(path).stem + "_script", ROOT / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def random_words(rng: np.random.Generator, number: int, longest: int = 5) -> list[str]:
    """Words of 2 to ``longest`` characters that every built-in charset has."""
    return ["".join(rng.choice(list(CHARACTERS), rng.integers(2, longest + 1))) for _ in range(number)]


def write_toy_dataset(
    folder: str | Path,
    num_images: int = 2,
    seed: int = 0,
    words_per_image: int = 2,
    size: tuple[int, int] = (96, 128),
    *,
    dont_care: bool = False,
    wordless: bool = False,
) -> tuple[str, str]:
    """Draw scenes and write them with their annotations in the project's JSON format.

    Args:
        dont_care: in the first image one more word, marked ``ignore``, with the text "###".
        wordless: the last image has no words.

    Returns:
        The path of the JSON file, and the folder of the images.
    """
    from dld_spotter.data.synthetic import draw_scene

    rng = np.random.default_rng(seed)
    image_root = Path(folder) / "images"
    image_root.mkdir(parents=True, exist_ok=True)
    images, annotations = [], []
    for index in range(num_images):
        has_words = not (wordless and index == num_images - 1)
        ignored = int(dont_care and index == 0)
        words = random_words(rng, words_per_image + ignored) if has_words else []
        scene = draw_scene(rng, words, size)
        name = f"toy_{index + 1}.png"
        cv2.imwrite(str(image_root / name), scene.image)
        images.append({"id": index + 1, "file_name": name, "height": size[0], "width": size[1]})
        for place, (polygon, text) in enumerate(zip(scene.polygons, scene.texts, strict=True)):
            ignore = int(ignored and place == len(words) - 1)
            annotations.append(_annotation(len(annotations) + 1, index + 1, polygon, "###" if ignore else text, ignore))
    content = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "text"}],
        "info": {"source": "drawn for tests"},
    }
    json_path = Path(folder) / "toy.json"
    json_path.write_text(json.dumps(content), encoding="utf-8")
    return str(json_path), str(image_root)


def _annotation(annotation_id: int, image_id: int, polygon: np.ndarray, text: str, ignore: int) -> dict:
    low, high = polygon.min(axis=0), polygon.max(axis=0)
    return {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": 1,
        "iscrowd": 0,
        "bbox": [float(v) for v in (*low, *(high - low))],
        "area": float(cv2.contourArea(polygon)),
        "segmentation": [[float(v) for v in polygon.ravel()]],
        "text": text,
        "ignore": ignore,
    }


def light(recipe: str) -> tuple[str, str]:
    """The names of the config files of a recipe in configs/DLD at the light size."""
    return f"DLD/{recipe}_R50.yaml", "DLD/Light.yaml"


def tiny_cfg(*opts, config: str | tuple[str, ...] = "MaskRCNNSpotter_Light.yaml"):
    """A light config at sizes that a test can afford, on the CPU; ``opts`` are KEY, VALUE, KEY, VALUE, ..."""
    from dld_spotter.config import load_cfg

    files = [ROOT / "configs" / name for name in ([config] if isinstance(config, str) else config)]
    small = {
        "MODEL.DEVICE": "cpu",
        "MODEL.WEIGHTS": "",
        "MODEL.TEXT.CHARSET": "alphanumeric36",
        "MODEL.TEXT.MAX_LENGTH": 8,
        "MODEL.LIGHT_RESNET.STAGE_CHANNELS": (8, 16, 16, 16),
        "MODEL.DLD.COSTS": (),
        "MODEL.FPN.OUT_CHANNELS": 16,
        "MODEL.RPN.PRE_NMS_TOPK_TRAIN": 100,
        "MODEL.RPN.PRE_NMS_TOPK_TEST": 50,
        "MODEL.RPN.POST_NMS_TOPK_TRAIN": 50,
        "MODEL.RPN.POST_NMS_TOPK_TEST": 20,
        "MODEL.RPN.BATCH_SIZE_PER_IMAGE": 32,
        "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE": 16,
        "MODEL.ROI_BOX_HEAD.FC_DIM": 32,
        "MODEL.ROI_MASK_HEAD.CONV_DIM": 16,
        "MODEL.ROI_MASK_HEAD.NUM_CONV": 1,
        "MODEL.ROI_TEXT_HEAD.CONV_DIM": 16,
        "MODEL.ROI_TEXT_HEAD.HIDDEN_SIZE": 16,
        "INPUT.MIN_SIZE_TRAIN": (96,),
        "INPUT.MAX_SIZE_TRAIN": 128,
        "INPUT.MIN_SIZE_TEST": 96,
        "INPUT.MAX_SIZE_TEST": 128,
        "DATALOADER.NUM_WORKERS": 0,
        "SOLVER.IMS_PER_BATCH": 2,
        "SEED": 1,
    }
    pairs = [item for pair in small.items() for item in pair]
    return load_cfg(files, [*pairs, *opts])
