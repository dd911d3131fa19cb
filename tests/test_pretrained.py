"""The models that come with the project: complete, found by name, and able to read scenes they never saw."""

import pytest
import toy

from dld_spotter import load_cfg
from dld_spotter.config import check_cfg
from dld_spotter.data.text_json import load_text_json
from dld_spotter.evaluation.protocol import Protocol
from dld_spotter.evaluation.transcription import fold_case
from dld_spotter.modeling import DLDSpotter
from dld_spotter.predictor import TextPredictor
from dld_spotter.pretrained import CARD, WEIGHTS, pretrained_folder, pretrained_models

SAMPLES = toy.ROOT / "projects" / "DLD" / "samples"
read_samples = toy.load_script("tools/read_samples.py")


@pytest.mark.parametrize("name", pretrained_models())
def test_a_model_is_whole(name):
    folder = pretrained_folder(name)
    assert (folder / CARD).is_file() and (folder / WEIGHTS).stat().st_size < 25e6
    cfg = load_cfg(name, ["MODEL.DEVICE", "cpu"])
    check_cfg(cfg)
    assert str(folder / WEIGHTS) == cfg.MODEL.WEIGHTS and not cfg.MODEL.DLD.TEACHER


def test_a_name_that_no_model_has_is_answered_with_those_that_are():
    assert pretrained_folder("nothing") is None
    with pytest.raises(FileNotFoundError, match=pretrained_models()[0]):
        load_cfg("nothing")


@pytest.mark.parametrize("name", pretrained_models())
def test_a_folder_hides_no_model_of_its_name(name, tmp_path, monkeypatch):
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    assert str(pretrained_folder(name) / WEIGHTS) == load_cfg(name).MODEL.WEIGHTS


@pytest.mark.parametrize("name", pretrained_models())
def test_a_model_reads_scenes_it_never_saw(name):
    records = load_text_json(str(SAMPLES / "scenes.json"), str(SAMPLES))
    predictor = TextPredictor(name, device="cpu")
    right = total = 0
    for record, result in zip(records, predictor([r["file_name"] for r in records]), strict=True):
        read = [fold_case(word.text, Protocol()) for word in result.words]
        for word in record["annotations"]:
            if not word["ignore"]:
                total += 1
                right += fold_case(word["text"], Protocol()) in read
    # 60 to 63 of 80 words, scored 0.6 and above, when they were made; the recogniser on the feature map 36.
    least = 0.35 if name == "paper-dld" else 0.65
    assert total == 80 and right / total > least


def test_the_demo_reads_and_draws(tmp_path, capsys):
    assert read_samples.main(["--output", str(tmp_path), "--device", "cpu"]) == 0
    text = capsys.readouterr().out
    model = TextPredictor("synthetic-dld", device="cpu").model
    assert isinstance(model, DLDSpotter)
    for path in sorted(SAMPLES.glob("*.jpg")):
        assert f"{path.name}: scale " in text and (tmp_path / path.name).is_file()


def test_the_demo_says_what_is_wrong(tmp_path, capsys):
    assert read_samples.main(["--input", str(tmp_path), "--device", "cpu"]) == 1
    assert "no image" in capsys.readouterr().err
