"""tools/sort_failures.py from its command line, with tiny networks that have learnt nothing."""

import json

import pytest
import torch
import toy
from detectron2.modeling import build_model

from dld_spotter.analysis.failures import CHOSEN, KINDS, STUDENT, TEACHER

sort_failures = toy.load_script("tools/sort_failures.py")


@pytest.fixture
def trained(tmp_path):
    """Configs and weights of a spotter and a DLD model, in a folder."""
    annotations, images = toy.write_toy_dataset(tmp_path, 2, dont_care=True)
    custom = ("DATASETS.CUSTOM", [("failures_toy", images, annotations)], "MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.01)
    scales = ("MODEL.META_ARCHITECTURE", "DLDSpotter", "MODEL.DLD.SCALES", (0.5, 1.0))
    for name, opts in (("plain", ()), ("dld", scales)):
        torch.manual_seed(0)
        cfg = toy.tiny_cfg(*custom, *opts)
        cfg.MODEL.WEIGHTS = str(tmp_path / f"{name}.pth")
        torch.save({"model": build_model(cfg).state_dict()}, cfg.MODEL.WEIGHTS)
        (tmp_path / f"{name}.yaml").write_text(cfg.dump(), encoding="utf-8")
    return tmp_path


def run(capsys, *argv):
    """(exit code, standard output, last line of standard error)"""
    code = sort_failures.main([str(a) for a in argv])
    output = capsys.readouterr()
    return code, output.out, (output.err.splitlines() or [""])[-1]


def test_failures(trained, capsys):
    folder = trained / "failures"
    argv = ("--config-file", trained / "dld.yaml", "--data-set", "failures_toy", "--output", folder, "--drawn", 8)
    code, text, _ = run(capsys, *argv)
    assert code == 0
    report = json.loads((folder / "failures.json").read_text())
    assert text.startswith("2 images, 4 words; recognised at their ground-truth boxes by: ")
    assert report["readers"] == [CHOSEN, STUDENT, TEACHER]
    assert list(report["counts"]) == list(KINDS)
    missed = [f for f in report["failures"] if f["truth"] is not None]
    assert report["right"] + len(missed) == report["words"] == 4
    assert all(f["in_true_place"].keys() == {CHOSEN, STUDENT, TEACHER} for f in missed)
    assert (folder / "failures.png").stat().st_size > 1000
    code, text, _ = run(capsys, *argv, "--limit", 1, "MODEL.DLD.TEACHER", "False")
    start = "1 images, 2 words; recognised at their ground-truth boxes by: chosen scale, student"
    assert code == 0 and text.startswith(start)


def test_failures_of_a_plain_spotter(trained, capsys):
    argv = ("--config-file", trained / "plain.yaml", "--data-set", "failures_toy", "--output", trained / "f")
    code, _text, _ = run(capsys, *argv, "--drawn", 0)
    assert code == 0 and not (trained / "f" / "failures.png").exists()
    assert json.loads((trained / "f" / "failures.json").read_text())["counts"]["selection"] == 0
    code, _, error = run(capsys, *argv, "--limit", 0)
    assert (code, error) == (1, "error: --limit must be 1 or more, --drawn 0 or more.")


@pytest.mark.parametrize("name", ["failures.json", "failures.png"])
def test_no_file_of_another_kind_is_replaced(trained, capsys, name):
    folder = trained / "own"
    folder.mkdir()
    (folder / name).write_bytes(b"[1]")
    argv = ("--config-file", trained / "plain.yaml", "--data-set", "failures_toy", "--output", folder)
    code, _, error = run(capsys, *argv)
    assert code == 1 and name in error and "is there already" in error
    assert (folder / name).read_bytes() == b"[1]"
