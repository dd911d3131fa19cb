"""Files that come with the project are found by their names in a clone, from any folder."""

import pytest
import toy

from dld_spotter.pretrained import find_config, pretrained_models
from dld_spotter.resources import find_packaged_config, resource


def test_a_resource_is_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert resource("tools") == toy.ROOT / "tools"
    with pytest.raises(FileNotFoundError):
        resource("tools/no_such_tool.py")


@pytest.mark.parametrize("name", ["MaskRCNNSpotter_R50.yaml", "configs/MaskRCNNSpotter_R50.yaml"])
def test_a_config_of_the_project_is_found(name):
    assert find_packaged_config(name) == str(toy.ROOT / "configs/MaskRCNNSpotter_R50.yaml")


@pytest.mark.parametrize("name", ["no_such.yaml", "https://example.org/a.yaml", "/nowhere/MaskRCNNSpotter_R50.yaml"])
def test_another_name_stays_as_it_is(name):
    assert find_packaged_config(name) == name


def test_a_file_of_the_working_directory_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ["MaskRCNNSpotter_R50.yaml", pretrained_models()[0]]
    assert all(find_config(name) != name for name in names)
    for name in names:
        (tmp_path / name).touch()
    assert [find_config(name) for name in names] == names
