"""The demo: draws, trains, reads and scores; trains again only when something that matters has changed."""

import json

import pytest
import toy


@pytest.fixture
def demo():
    return toy.load_script("tools/make_demo.py")


def test_demo_runs_and_reuses_its_weights(demo, tmp_path, capsys):
    def run(iterations):
        code = demo.main(["--output", str(tmp_path), "SOLVER.MAX_ITER", str(iterations), "MODEL.DEVICE", "cpu"])
        return code, capsys.readouterr().out

    code, first = run(1)
    assert code == 1 and "0 of 18 words" in first  # nothing is learnt in one step, and the demo says so
    assert "happens once" in first
    assert "trained before" in run(1)[1]
    assert "happens once" in run(2)[1]  # another config, other weights
    names = [f"scene_{number}" for number in range(1, 7)]
    assert sorted(path.stem for path in (tmp_path / "vis").iterdir()) == names
    assert all(json.loads((tmp_path / "preds" / f"{name}.json").read_text())["words"] == [] for name in names)


def test_report_compares_each_scene_with_what_was_read(demo, tmp_path, capsys):
    paths, scenes = demo.draw_scenes(tmp_path)
    records = [
        {"words": [{"text": t, "score": 0.5, "polygon": p.tolist()} for p, t in zip(s.polygons, s.texts, strict=True)]}
        for s in scenes
    ]
    records[0]["words"][0]["text"] = "wrong"
    records[1]["words"] = []
    score = demo.report(paths, scenes, records).scores["e2e_none"]
    assert (score.correct, score.truths, score.detections) == (14, 18, 15)
    lines = capsys.readouterr().out.splitlines()
    assert "wrong (0.50)" in lines[0] and "read: nothing" in lines[1] and len(lines) == 6
