import logging

import engine_toy
import pytest
import toy

from dld_spotter.engine.recipe import require_recipe
from dld_spotter.engine.terminal import describe_mistake


@pytest.fixture
def train_net():
    """The script; its loggers are put back as they were, so that other tests see what is logged."""
    loggers = [logging.getLogger(name) for name in ("dld_spotter", "detectron2", "fvcore")]
    before = [(logger.propagate, logger.level, list(logger.handlers)) for logger in loggers]
    yield toy.load_script("projects/DLD/train_net.py")
    for logger, (propagate, level, handlers) in zip(loggers, before, strict=True):
        logger.propagate, logger.handlers[:] = propagate, handlers
        logger.setLevel(level)


def command_line(folder, *flags, opts=()):
    cfg = engine_toy.toy_cfg(folder, "SOLVER.MAX_ITER", 2, "TEST.SAMPLES", 1, *opts, model="MaskRCNNSpotter")
    (folder / "config.yaml").write_text(cfg.dump())
    return ["--config-file", str(folder / "config.yaml"), *flags]


def test_training_resuming_and_evaluating(tmp_path, train_net, capsys):
    arguments = command_line(tmp_path)
    assert train_net.run(arguments) == 0
    output = tmp_path / "output"
    assert (output / "last_checkpoint").read_text() == "model_final.pth"
    assert (output / "model_best.pth").is_file() and (output / "config.yaml").is_file()
    log = (output / "log.txt").read_text()
    assert "Text scores on toy_" in log and "kept as model_best.pth" in log

    assert train_net.run([*arguments, "--resume", "SOLVER.MAX_ITER", "3"]) == 0
    assert "Starting training from iteration 2" in capsys.readouterr().out
    parser = train_net.get_parser()
    args = parser.parse_args([*arguments, "--eval-only", "MODEL.WEIGHTS", str(output / "model_final.pth")])
    results = train_net.main(args)
    assert 0.0 <= results["e2e_none"]["hmean"] <= 1.0
    args = parser.parse_args([*arguments, "--eval-only", "--resume", "TEST.TEXT.READ_GROUND_TRUTH", "True"])
    results = train_net.main(args)
    assert results["recognition"].keys() == {"accuracy", "one_minus_ned", "accuracy_letters_digits"}


def test_a_model_of_the_project_is_evaluated_by_its_name(tmp_path, train_net):
    samples = toy.ROOT / "projects" / "DLD" / "samples"
    custom = ("DATASETS.CUSTOM", f"[('samples', '{samples}', '{samples / 'scenes.json'}')]")
    opts = ("DATASETS.TEST", "('samples',)", "MODEL.DEVICE", "cpu", "DATALOADER.NUM_WORKERS", "0")
    arguments = ["--config-file", "synthetic", "--eval-only", *custom, *opts, "OUTPUT_DIR", str(tmp_path)]
    results = train_net.main(train_net.get_parser().parse_args(arguments))
    assert results["detection"]["hmean"] > 0.7 and results["e2e_none"]["hmean"] > 0.15


def one_line(capsys):
    """The one line of the terminal's errors."""
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), lines
    return lines[0]


@pytest.mark.parametrize(
    "more, names",
    [
        (["--eval-only"], ["--eval-only", "MODEL.WEIGHTS"]),
        (["MODEL.WEIGHTS", "gone.pth"], ["gone.pth", "MODEL.WEIGHTS"]),
        (["DATASETS.TRAIN", "('street_signs',)"], ["street_signs"]),
        (["SOLVER.MAX_ITERS", "3"], ["SOLVER.MAX_ITERS", "SOLVER.MAX_ITER"]),
        (["SOLVER.MAX_ITER", "many"], ["SOLVER.MAX_ITER"]),
    ],
)
def test_a_mistake_is_one_line_and_an_exit_code(tmp_path, train_net, capsys, more, names):
    assert train_net.run([*command_line(tmp_path), *more]) == 1
    line = one_line(capsys)
    assert all(name in line for name in names)


def test_a_defect_keeps_its_traceback(tmp_path, train_net, monkeypatch):
    def broken(cfg):
        return {}["loss"]

    monkeypatch.setattr(train_net, "Trainer", broken)
    with pytest.raises(KeyError):
        train_net.run(command_line(tmp_path))
    assert "Traceback" in (tmp_path / "output" / "log.txt").read_text()


def test_mistakes_of_other_processes_are_one_line_too():
    text = "\n\n-- Process 1 terminated with the following error:\nTraceback (most recent call last):\n  x\n"
    assert describe_mistake(RuntimeError(f"{text}ValueError: a: b is c\n")) == "a: b is c"
    assert describe_mistake(RuntimeError(f"{text}KeyError: 'no key X'\n")) == "no key X"
    assert describe_mistake(RuntimeError(f"{text}FileNotFoundError: gone\n")) == "gone"
    assert describe_mistake(RuntimeError(f"{text}TypeError: a\n")) is None
    assert describe_mistake(TypeError("a b")) is describe_mistake(KeyError("loss")) is None


def test_the_terminal_shows_what_a_user_needs_and_the_log_the_rest(tmp_path, train_net, capsys):
    assert train_net.run(command_line(tmp_path)) == 0
    shown = capsys.readouterr()
    assert not shown.err and len(shown.out.splitlines()) < 40
    assert "total_loss" in shown.out and "Text scores on toy_" in shown.out and "log.txt" in shown.out
    log = (tmp_path / "output" / "log.txt").read_text()
    for dump in ("Environment info", "Running with full config", "Model:"):
        assert dump in log and dump not in shown.out


def test_an_exported_model_s_config_is_no_recipe(tmp_path, train_net, capsys):
    opts = ["DATASETS.TRAIN", "('x',)", "OUTPUT_DIR", str(tmp_path / "out"), "MODEL.DEVICE", "cpu"]
    for given in ([], ["SOLVER.MAX_ITER", "10"]):
        assert train_net.run(["--config-file", "synthetic", *opts, *given]) == 1
        line = one_line(capsys)
        assert "synthetic" in line and "README.md" in line and "SOLVER.IMS_PER_BATCH" in line
        assert ("SOLVER.MAX_ITER" in line) != bool(given)
    assert not (tmp_path / "out").exists()


def test_what_counts_as_a_recipe(tmp_path):
    base = tmp_path / "base.yaml"
    base.write_text("SOLVER: {BASE_LR: 0.1, MAX_ITER: 5}\n")
    (tmp_path / "top.yaml").write_text("_BASE_: base.yaml\n")
    top, given = str(tmp_path / "top.yaml"), ["SOLVER.IMS_PER_BATCH", "2"]
    with pytest.raises(ValueError, match=r"top\.yaml .*: SOLVER\.IMS_PER_BATCH are not set"):
        require_recipe(top, [])
    require_recipe(top, given)
    require_recipe(["synthetic", top], given)
    with pytest.raises(ValueError, match="the command line"):
        require_recipe("", given)


def test_a_run_that_is_complete_has_nothing_to_do(tmp_path, train_net, capsys):
    arguments = command_line(tmp_path)
    assert train_net.run(arguments) == 0
    output = tmp_path / "output"
    before = (output / "metrics.json").read_bytes()
    capsys.readouterr()
    assert train_net.run([*arguments, "--resume"]) == 0
    assert "Nothing to do" in capsys.readouterr().out and (output / "metrics.json").read_bytes() == before
    assert train_net.run([*arguments, "--resume", "SOLVER.MAX_ITER", "1"]) == 1
    line = one_line(capsys)
    assert "2 iterations" in line and "SOLVER.MAX_ITER 1" in line
