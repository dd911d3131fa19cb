import logging

import engine_toy
import pytest
import toy


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
    train_net.run(arguments)
    output = tmp_path / "output"
    assert (output / "last_checkpoint").read_text() == "model_final.pth"
    assert (output / "model_best.pth").is_file() and (output / "config.yaml").is_file()
    log = (output / "log.txt").read_text()
    assert "Text scores on toy_" in log and "kept as model_best.pth" in log

    train_net.run([*arguments, "--resume", "SOLVER.MAX_ITER", "3"])
    assert "Starting training from iteration 2" in capsys.readouterr().out
    parser = train_net.get_parser()
    args = parser.parse_args([*arguments, "--eval-only", "MODEL.WEIGHTS", str(output / "model_final.pth")])
    results = train_net.main(args)
    assert 0.0 <= results["e2e_none"]["hmean"] <= 1.0
    args = parser.parse_args([*arguments, "--eval-only", "--resume", "TEST.TEXT.READ_GROUND_TRUTH", "True"])
    results = train_net.main(args)
    assert results["recognition"].keys() == {"accuracy", "one_minus_ned"}


def test_a_model_of_the_project_is_evaluated_by_its_name(tmp_path, train_net):
    samples = toy.ROOT / "projects" / "DLD" / "samples"
    custom = ("DATASETS.CUSTOM", f"[('samples', '{samples}', '{samples / 'scenes.json'}')]")
    opts = ("DATASETS.TEST", "('samples',)", "MODEL.DEVICE", "cpu", "DATALOADER.NUM_WORKERS", "0")
    arguments = ["--config-file", "synthetic-teacher", "--eval-only", *custom, *opts, "OUTPUT_DIR", str(tmp_path)]
    results = train_net.main(train_net.get_parser().parse_args(arguments))
    assert results["detection"]["hmean"] > 0.7 and results["e2e_none"]["hmean"] > 0.15


def test_evaluating_nothing_is_an_error(tmp_path, train_net):
    with pytest.raises(ValueError, match=r"--eval-only needs weights: add MODEL\.WEIGHTS FILE"):
        train_net.run([*command_line(tmp_path), "--eval-only"])


def test_weights_that_are_missing_are_named(tmp_path, train_net):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint .*gone\.pth; correct MODEL\.WEIGHTS"):
        train_net.run([*command_line(tmp_path), "MODEL.WEIGHTS", str(tmp_path / "gone.pth")])


def test_a_data_set_that_is_not_registered_is_named(tmp_path, train_net):
    with pytest.raises((KeyError, ValueError), match="street_signs"):
        train_net.run([*command_line(tmp_path), "DATASETS.TRAIN", "('street_signs',)"])
