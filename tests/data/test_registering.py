"""Data sets in Detectron2's catalogs: registered by code, from a config, and what is said of wrong ones."""

import json

import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from helpers.text_json import write

from dld_spotter.config import load_cfg
from dld_spotter.data.text_json import load_text_json, register_custom, register_text_json, require_dataset


@pytest.fixture
def forget():
    """Names to take out of Detectron2's catalogs after the test."""
    names = []
    yield names
    for name in names:
        if name in DatasetCatalog:
            DatasetCatalog.remove(name)
        MetadataCatalog.pop(name, None)


def test_registering(tmp_path, forget):
    forget.append("test_words")
    json_file, image_root = write(tmp_path)
    register_text_json("test_words", json_file, image_root, {"weak": "weak.txt"})
    assert DatasetCatalog.get("test_words") == load_text_json(json_file, image_root)
    metadata = MetadataCatalog.get("test_words")
    assert metadata.thing_classes == ["text"]
    assert (metadata.json_file, metadata.image_root, metadata.evaluator_type) == (json_file, image_root, "text")
    assert metadata.lexicons == {"weak": "weak.txt"}
    with pytest.raises(ValueError, match="registered already"):
        register_text_json("test_words", json_file, image_root)


def test_custom_data_sets_come_from_the_config_without_code(tmp_path, forget):
    forget.append("mine_train")
    json_file, image_root = write(tmp_path)
    cfg = load_cfg(
        None, ["INPUT.RANDOM_FLIP", "none", "DATASETS.CUSTOM", f"[('mine_train', '{image_root}', '{json_file}')]"]
    )
    register_custom(cfg)
    register_custom(cfg)
    assert len(DatasetCatalog.get("mine_train")) == 1
    config_file = tmp_path / "custom.yaml"
    entry = json.dumps(["mine_train", image_root, str(tmp_path / "other.json")])
    config_file.write_text(f"INPUT:\n  RANDOM_FLIP: none\nDATASETS:\n  CUSTOM:\n    - {entry}\n")
    register_custom(load_cfg(str(config_file)))
    assert MetadataCatalog.get("mine_train").json_file.endswith("other.json")


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([("a", "b")], "image folder, json file"),
        ([("a", "b", 3)], "image folder, json file"),
        ([("twice_test", "b", "c"), ("twice_test", "b", "c")], "twice"),
        ([("coco_2017_val", "b", "c")], "known data set"),
    ],
)
def test_bad_custom_entries(forget, entries, message):
    forget.append("twice_test")
    cfg = load_cfg(None, ["INPUT.RANDOM_FLIP", "none"])
    cfg.DATASETS.CUSTOM = entries
    with pytest.raises(ValueError, match=message) as raised:
        register_custom(cfg)
    assert "DATASETS.CUSTOM" in str(raised.value)


def test_an_unknown_data_set_lists_the_known_ones_and_both_ways_to_register(tmp_path, forget):
    forget.append("test_words")
    register_text_json("test_words", *write(tmp_path))
    require_dataset("test_words")
    with pytest.raises(ValueError, match="'icdar2051' is not registered") as raised:
        require_dataset("icdar2051")
    for part in ("test_words", "DATASETS.CUSTOM", "register_text_json"):
        assert part in str(raised.value)
