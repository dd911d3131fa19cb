import engine_toy
import pytest
import torch


@pytest.mark.parametrize(
    "model, workers", [("ToySpotter", 0), ("ToySpotter", 2), ("MaskRCNNSpotter", 0), ("DLDSpotter", 0)]
)
def test_a_resumed_run_equals_one_that_was_not_interrupted(tmp_path, model, workers):
    cfg = engine_toy.toy_cfg(tmp_path, "DATALOADER.NUM_WORKERS", workers, model=model)
    whole, expected = engine_toy.train(cfg)

    cfg.OUTPUT_DIR = str(tmp_path / "killed")
    # The checkpoint is of iteration 2; what iteration 3 did is lost with the kill.
    _, before = engine_toy.train(cfg, stop=4)
    assert before == {i: expected[i] for i in range(4)}
    resumed, after = engine_toy.train(cfg, resume=True)

    assert after == {i: expected[i] for i in (3, 4, 5)}
    assert len({losses["total_loss"] for losses in expected.values()}) == 6
    for name, value in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], value), name


def test_the_loss_depends_on_the_seed_and_the_dropout_on_the_step(tmp_path):
    cfg = engine_toy.toy_cfg(tmp_path, "SOLVER.BASE_LR", 0.0, num_images=1)
    _, losses = engine_toy.train(cfg)
    # One image without learning: what differs between steps is augmentation and dropout.
    assert len({values["total_loss"] for values in losses.values()}) == 6
    cfg.SEED = 2
    _, others = engine_toy.train(cfg)
    assert losses[0] != others[0]


def test_a_drawn_seed_is_kept(tmp_path):
    cfg = engine_toy.toy_cfg(tmp_path, "SEED", -1)
    first, _ = engine_toy.train(cfg, stop=4)
    second, _ = engine_toy.train(cfg, resume=True)
    assert first.cfg.SEED == second.cfg.SEED >= 0
    fresh, _ = engine_toy.train(cfg, stop=0)
    assert fresh.cfg.SEED != first.cfg.SEED


def test_another_seed_is_taken_and_said(tmp_path, caplog):
    cfg = engine_toy.toy_cfg(tmp_path)
    engine_toy.train(cfg, stop=4)
    cfg.SEED = 5
    resumed, _ = engine_toy.train(cfg, resume=True, stop=4)
    assert resumed.cfg.SEED == 5
    assert "began with SEED 1 and goes on with 5" in caplog.text


def test_resuming_nothing_starts_afresh_and_says_so(tmp_path, caplog):
    _, losses = engine_toy.train(engine_toy.toy_cfg(tmp_path), resume=True)
    assert list(losses) == list(range(6))
    assert "Nothing to resume" in caplog.text


def test_a_kill_while_a_checkpoint_is_written_loses_nothing(tmp_path, monkeypatch):
    cfg = engine_toy.toy_cfg(tmp_path)
    _, expected = engine_toy.train(cfg)
    cfg.OUTPUT_DIR = str(tmp_path / "killed")
    save = torch.save

    def killed_at_the_second(content, stream):
        if content["iteration"] == 5:
            stream.write(b"half of")
            raise KeyboardInterrupt
        save(content, stream)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", killed_at_the_second)
        engine_toy.train(cfg, stop=6)
    saved = sorted(p.name for p in (tmp_path / "killed").glob("*.pth"))
    assert saved == ["model_0000002.pth"]
    assert (tmp_path / "killed" / "last_checkpoint").read_text() == "model_0000002.pth"

    _, after = engine_toy.train(cfg, resume=True)
    assert after == {i: expected[i] for i in (3, 4, 5)}
    names = sorted(p.name for p in (tmp_path / "killed").iterdir() if "model" in p.name)
    assert names == ["model_0000002.pth", "model_0000005.pth", "model_final.pth"]


def test_old_checkpoints_go_also_after_a_restart(tmp_path):
    opts = ("SOLVER.CHECKPOINT_PERIOD", 1, "SOLVER.CHECKPOINTS_KEPT", 2)
    cfg = engine_toy.toy_cfg(tmp_path, *opts)
    engine_toy.train(cfg, stop=3)
    kept = tmp_path / "output"
    assert sorted(p.name for p in kept.glob("*.pth")) == ["model_0000001.pth", "model_0000002.pth"]
    engine_toy.train(cfg, resume=True)
    assert sorted(p.name for p in kept.glob("*.pth")) == ["model_0000004.pth", "model_0000005.pth", "model_final.pth"]
