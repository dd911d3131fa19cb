"""tools/read_samples.py with a stand-in for its models: what it keeps, and what a bad photo costs."""

import cv2
import numpy as np
import pytest
from toy import load_script

from dld_spotter.results import TextResult, Word


@pytest.fixture
def tool(monkeypatch):
    script = load_script("tools/read_samples.py")

    class Reader:
        def __init__(self, model, device):
            pass

        def read(self, photo):
            height, width = photo.read().shape[:2]
            words = [Word("open", 1.0, 1.0, 1.0, [[5, 5], [30, 5], [30, 20], [5, 20]])]
            result = TextResult(photo.file_name, height, width, 0.5, words, name=photo.name, source=photo.source)
            return result, result, 0.4, (0.1, 0.2)

    monkeypatch.setattr(script, "Reader", Reader)
    return script


@pytest.fixture
def photos(tmp_path):
    """A folder with twins."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.jpg", "a.png"):
        cv2.imwrite(str(folder / name), np.full((60, 80, 3), 200, np.uint8))
    return folder


def test_twins_get_drawings_of_their_own_and_a_bad_photo_costs_one(tool, photos, tmp_path, capsys):
    (photos / "0_broken.jpg").write_bytes(b"")
    assert tool.main(["--input", str(photos), "--output", str(tmp_path / "drawn")]) == 1
    printed = capsys.readouterr()
    assert "0_broken.jpg" in printed.err and printed.out.count("scale 0.5") == 2 and "Mean cost 0.40" in printed.out
    assert sorted(path.name for path in (tmp_path / "drawn").iterdir()) == ["a.jpg", "a_2.jpg"]
    assert cv2.imread(str(tmp_path / "drawn" / "a.jpg")).shape == (60, 168, 3)


def test_no_photo_is_replaced_and_no_other_file_unasked(tool, photos, tmp_path, monkeypatch, capsys):
    before = (photos / "a.jpg").read_bytes()
    for more in ([], ["--overwrite"]):
        assert tool.main(["--input", str(photos), "--output", str(photos), *more]) == 1
        assert "would replace the photo" in capsys.readouterr().err
    assert (photos / "a.jpg").read_bytes() == before and len(list(photos.iterdir())) == 2
    arguments = ["--input", str(photos), "--output", str(tmp_path / "drawn")]
    assert [tool.main(arguments), tool.main(arguments), tool.main([*arguments, "--overwrite"])] == [0, 1, 0]
    monkeypatch.chdir(tmp_path)
    assert [tool.main(["--input", str(photos)]) for _ in range(2)] == [0, 0]  # the tool's own folder
    assert tool.main(["--input", str(tmp_path / "gone"), "--output", str(tmp_path / "new")]) == 1
