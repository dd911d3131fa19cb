import importlib

import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from toy import ROOT

from dld_spotter.data import builtin


@pytest.mark.parametrize(
    ("name", "lexicons"),
    [
        ("icdar2013_train", []),
        ("icdar2013_test", ["generic", "strong", "weak"]),
        ("icdar2015_train", []),
        ("icdar2015_test", ["generic", "strong", "weak"]),
        ("totaltext_train", []),
        ("totaltext_test", ["full"]),
        ("mlt2017_latin_train", []),
        ("mlt2017_latin_val", []),
        ("synthtext_800k", []),
    ],
)
def test_the_known_splits_are_registered_with_their_lexicons(name, lexicons):
    assert name in DatasetCatalog
    metadata = MetadataCatalog.get(name)
    assert metadata.evaluator_type == "text"
    assert metadata.thing_classes == ["text"]
    assert sorted(metadata.lexicons) == lexicons


def test_the_table_and_the_readme_agree():
    text = (ROOT / "datasets" / "README.md").read_text(encoding="utf-8")
    for name, (image_root, json_file) in builtin.SPLITS.items():
        assert f"`{name}`" in text
        for path in (image_root, json_file):
            assert path in text
    for lexicons in builtin.LEXICONS.values():
        assert all(path.rsplit("/", 1)[1] in text for path in lexicons.values())


def test_registering_again_changes_nothing():
    before = MetadataCatalog.get("icdar2015_test").json_file
    builtin.register_builtin("elsewhere")
    assert MetadataCatalog.get("icdar2015_test").json_file == before


def test_a_data_set_that_is_not_there_says_what_to_do():
    with pytest.raises(FileNotFoundError, match="prepare_dataset"):
        DatasetCatalog.get("synthtext_800k")


def test_the_environment_variable_moves_the_root(tmp_path, monkeypatch):
    name = "icdar2015_test"
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    try:
        _forget(name)
        importlib.reload(builtin)
        metadata = MetadataCatalog.get(name)
        assert metadata.json_file == str(tmp_path / "icdar2015" / "test.json")
        assert metadata.image_root == str(tmp_path / "icdar2015" / "test_images")
        assert metadata.lexicons["weak"] == str(tmp_path / "icdar2015" / "lexicons" / "ch4_test_vocabulary.txt")
    finally:
        monkeypatch.undo()
        _forget(name)
        importlib.reload(builtin)


def _forget(name):
    DatasetCatalog.remove(name)
    MetadataCatalog.remove(name)
