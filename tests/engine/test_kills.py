"""kill -9 at any moment loses nothing: the resumed run equals the one that was not interrupted.

DLD_TEST_KILLS sets at how many random moments (3 by default), DLD_TEST_KILL_SEED which.
"""

import json
import os
from pathlib import Path

import engine_toy
import numpy as np
import pytest
import torch
from helpers import killed_runs

OPTIONS = (
    *("SOLVER.MAX_ITER", 12, "SOLVER.STEPS", (8,), "SOLVER.CHECKPOINT_PERIOD", 2, "SOLVER.CHECKPOINTS_KEPT", 2),
    *("TEST.EVAL_PERIOD", 4, "TEST.BEST_METRIC", "e2e_none/hmean"),
)
TIMES = ("time", "data_time", "rank_data_time", "eta_seconds")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The config of a run, and what it leaves when it is not interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    cfg = engine_toy.toy_cfg(folder, *OPTIONS)
    assert not killed_runs.start(cfg, resume=False)
    return cfg, remains(cfg.OUTPUT_DIR)


def remains(folder):
    """All that a run has left, but for its times."""
    folder = Path(folder)
    rows = [json.loads(line) for line in (folder / "metrics.json").read_text().splitlines()]
    kept = {name: torch.load(folder / name, weights_only=True) for name in ("model_best.pth", "model_final.pth")}
    return {
        "files": sorted(path.name for path in folder.iterdir() if ".tfevents" not in path.name),
        "rows": [{key: value for key, value in row.items() if key not in TIMES} for row in rows],
        "tag": (folder / "last_checkpoint").read_text(),
        "best": kept["model_best.pth"]["best"],
        "weights": {name: content["model"] for name, content in kept.items()},
        "optimizer": {name: content["trainer"]["_trainer"]["optimizer"]["state"] for name, content in kept.items()},
    }


def assert_same(found, expected):
    """Equality of nested dictionaries with tensors."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            assert_same(found[key], value)
    else:
        assert torch.equal(found, expected) if isinstance(expected, torch.Tensor) else found == expected


def losses(folder):
    """(iteration, losses) of all steps that were made; a line may be cut off."""
    for line in (Path(folder) / "losses.jsonl").read_text().splitlines():
        if line.endswith("}]"):
            yield json.loads(line)


def check(cfg, whole):
    expected_cfg, expected = whole
    assert_same(remains(cfg.OUTPUT_DIR), expected)
    by_iteration = dict(losses(expected_cfg.OUTPUT_DIR))
    made = list(losses(cfg.OUTPUT_DIR))
    assert {iteration for iteration, _ in made} == set(range(12))
    assert all(values == by_iteration[iteration] for iteration, values in made)


def in_folder(cfg, folder):
    cfg = cfg.clone()
    cfg.OUTPUT_DIR = str(folder)
    return cfg


def test_the_uninterrupted_run_has_what_the_tests_compare(whole):
    _, expected = whole
    evaluated = [row["iteration"] for row in expected["rows"] if "e2e_none/hmean" in row]
    assert evaluated == [3, 7, 12] and {2, 5, 8, 11} <= {row["iteration"] for row in expected["rows"]}
    assert expected["best"]["iteration"] < 12, "not the last one, so that it can be lost"
    assert [name for name in expected["files"] if name.startswith("model_0")] == [
        "model_0000009.pth",
        "model_0000011.pth",
    ]


def test_killed_at_random_moments(whole, tmp_path):
    cfg, _ = whole
    calls = int((Path(cfg.OUTPUT_DIR) / "calls").read_text())
    rng = np.random.default_rng(int(os.environ.get("DLD_TEST_KILL_SEED", "0")))
    kills, run = int(os.environ.get("DLD_TEST_KILLS", "3")), 0
    while kills:
        killed = in_folder(cfg, tmp_path / f"run_{run}")
        resume = False
        while kills and killed_runs.start(killed, resume, int(rng.integers(1, calls))):
            kills, resume = kills - 1, True
        killed_runs.start(killed, resume=True)
        check(killed, whole)
        run += 1


@pytest.mark.parametrize(
    "name, call",
    [
        ("write_whole", 2),  # the first checkpoint is written, but not named
        ("UnbufferedFile.write", 9),  # half of a checkpoint is there
        ("EvalHook._do_eval", 2),  # the checkpoint of this iteration is named, its evaluation outstanding
        ("BestCheckpoint._keep_if_best", 8),  # evaluated
        ("JSONWriter.write", 3),
        ("FinishedStep._note", 4),
        ("EvalHook.after_train", 1),  # all iterations are made
        ("KilledTrainer.test", 3),  # the last evaluation
        ("FinishedStep.after_train", 1),
    ],
)
def test_killed_at_the_worst_moments(whole, tmp_path, name, call):
    killed = in_folder(whole[0], tmp_path / "output")
    assert killed_runs.start(killed, False, call, name)
    assert not killed_runs.start(killed, resume=True)
    check(killed, whole)
