"""The modules of projects/DLD/report, which is no package, on the path; and tiny networks with a plan of them."""

import sys
from pathlib import Path

import pytest
import torch
import toy
import yaml
from detectron2.modeling import build_model

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "projects" / "DLD" / "report"))


@pytest.fixture
def trained(tmp_path):
    """Configs and weights of a spotter and a DLD model that have learnt nothing, in a folder with a plan of both."""
    annotations, images = toy.write_toy_dataset(tmp_path, 2, dont_care=True)
    custom = ("DATASETS.CUSTOM", [("methods_toy", images, annotations)], "MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.01)
    scales = ("MODEL.META_ARCHITECTURE", "DLDSpotter", "MODEL.DLD.SCALES", (0.5, 1.0))
    for name, opts in (("plain", ()), ("dld", scales)):
        torch.manual_seed(0)
        cfg = toy.tiny_cfg(*custom, *opts)
        cfg.MODEL.WEIGHTS = str(tmp_path / f"{name}.pth")
        torch.save({"model": build_model(cfg).state_dict()}, cfg.MODEL.WEIGHTS)
        (tmp_path / f"{name}.yaml").write_text(cfg.dump(), encoding="utf-8")
    rows = [
        {"title": "Vanilla 1.0", "config": str(tmp_path / "plain.yaml")},
        {"title": "Vanilla 0.5", "config": str(tmp_path / "plain.yaml"), "opts": [*scales[:3], [0.5]]},
        {"title": "DLD", "config": str(tmp_path / "dld.yaml"), "paper": "63.9"},
        {"title": "SKD-only", "config": str(tmp_path / "dld.yaml"), "weights": str(tmp_path / "nothing.pth")},
    ]
    costs = {"first": "Vanilla 0.5", "second": "Vanilla 1.0", "expected": "<", "figure": "gflops"}
    plan = {
        "data_sets": [{"name": "methods_toy", "short_side": 96, "lexicon": "full"}],
        "rows": rows,
        "comparisons": [{"statement": "costs less", **costs}],
    }
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan), encoding="utf-8")
    return tmp_path
