"""Fitting a selector to readings that were made once."""

import copy

import numpy as np
import pytest
import torch
import toy
from detectron2.modeling import build_model
from detectron2.structures import ImageList

from dld_spotter.data.charset import PAD
from dld_spotter.data.dataset_mapper import TextDatasetMapper
from dld_spotter.data.text_json import load_text_json
from dld_spotter.engine.selector_fitting import (
    FitOptions,
    advise,
    chosen_scales,
    describe_choice,
    fit_selector,
    measure_scale_losses,
    mirrored,
)
from dld_spotter.modeling.dld.rescaling import rescale_images, rescale_words
from dld_spotter.modeling.dld.selector.regression import SHARPNESS, ScaleLosses, choose_at
from dld_spotter.modeling.spotter import readable_words, target_tokens

SCALES = (0.5, 1.0)


def toy_cfg(*opts):
    options = ("MODEL.META_ARCHITECTURE", "DLDSpotter", "MODEL.DLD.SCALES", SCALES)
    return toy.tiny_cfg(*options, "MODEL.RESOLUTION_SELECTOR.WIDTH", 4, *opts)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = build_model(toy_cfg()).eval()
    model.teacher.load_state_dict(model.student.state_dict())
    return model


def test_divergences_are_those_of_each_image_read_alone(model, tmp_path):
    json_file, images = toy.write_toy_dataset(tmp_path, 3, dont_care=True, wordless=True)
    mapper = TextDatasetMapper(toy_cfg(), is_train=False, keep_annotations=True)
    records = [mapper(record) for record in load_text_json(json_file, images)]
    losses = measure_scale_losses(model, [records[:2], records[2:]])
    assert losses.lost.shape == (3, 2) and losses.lost[2].tolist() == [0, 0] and losses.units[2] == 0
    # The student is its teacher's copy: at full resolution nothing is lost.
    torch.testing.assert_close(losses.lost[:, 1], torch.zeros(3), atol=1e-4, rtol=0)
    for index, record in enumerate(records[:2]):
        words, full = readable_words([record["instances"]]), model.student.preprocess_image([record])
        small = rescale_images(full, 0.5)
        with torch.no_grad():
            taught = model.teacher.read(full, words).logits.double().softmax(-1).numpy()
            read = model.student.read(small, rescale_words(words, full, small, 0.5)).logits.double().softmax(-1).numpy()
        valid = (target_tokens(words) != PAD).numpy()
        expected = (taught * (np.log(taught) - np.log(read))).sum(-1)[valid].sum()
        assert losses.lost[index, 0].item() == pytest.approx(expected, rel=1e-3)
        assert losses.units[index] == valid.sum() > 0


def test_values_are_shares_of_the_mean_loss():
    """The mean over images is L_acc over all characters plus gamma times the mean cost."""
    losses = ScaleLosses(torch.tensor([[6.0, 0.0], [2.0, 1.0]]), torch.tensor([3, 1]))
    values = losses.values(0.5, torch.tensor([0.25, 1.0]))
    assert values.mean(dim=0).tolist() == pytest.approx([(6 + 2) / 4 + 0.125, (0 + 1) / 4 + 0.5])
    assert losses.select([1]).lost.tolist() == [[2.0, 1.0]]


def test_no_teacher_is_an_error():
    model = build_model(toy_cfg("MODEL.DLD.TEACHER", False))
    with pytest.raises(ValueError, match=r"MODEL\.DLD\.TEACHER"):
        measure_scale_losses(model, [])


def stripes(rng, period: int) -> dict:
    row = ((np.arange(96) + rng.integers(24)) % period < period / 2) * int(rng.integers(100, 256))
    return {"image": torch.as_tensor(np.broadcast_to(row, (3, 64, 96)).astype(np.uint8).copy())}


def test_learns_which_images_need_the_dear_scale(model):
    """Fine stripes need full resolution, coarse ones do not; on stripes that were not shown it knows."""
    rng = np.random.default_rng(0)
    kinds = [i % 2 == 0 for i in range(64)]
    losses = torch.tensor([[1.0, 0.1] if fine else [0.0, 0.1] for fine in kinds])
    shown = [stripes(rng, 4 if fine else 24) for fine in kinds]
    fit_selector(model.selector, shown, losses, model, FitOptions(150, batch_size=8, learning_rate=5e-3, workers=1))
    chosen = chosen_scales(model, [stripes(rng, 4 if fine else 24) for fine in kinds], batch_size=5)
    assert (chosen == torch.tensor(kinds).long()).float().mean() > 0.95


def test_foresees_the_mean_loss_of_images_that_look_alike():
    """Of three looks, with noise on what each loses: the logits differ as the means do, times SHARPNESS."""
    torch.manual_seed(0)
    scales = (0.25, 0.5, 1.0)
    model = build_model(toy_cfg("MODEL.DLD.SCALES", scales, "MODEL.DLD.TEACHER", False)).eval()
    rng = np.random.default_rng(1)
    looks = [4, 12, 48] * 20
    means = {4: (0.9, 0.5, 0.1), 12: (0.6, 0.1, 0.1), 48: (0.0, 0.0, 0.0)}
    noise = rng.choice([-0.1, 0.1], (60, 3))
    losses = torch.tensor(np.array([means[look] for look in looks]) + noise, dtype=torch.float32)
    images = [stripes(rng, look) for look in looks]
    fit_selector(model.selector, images, losses, model, FitOptions(300, learning_rate=5e-3))
    with torch.no_grad():
        logits = torch.cat([model.selector(model.student.preprocess_image([image])) for image in images]).numpy()
    logits -= logits.mean(axis=1, keepdims=True)
    for look, expected in means.items():
        rows = [index for index, other in enumerate(looks) if other == look]
        lost = np.array(expected) + noise[rows].mean(axis=0)
        np.testing.assert_allclose(-logits[rows].mean(axis=0) / SHARPNESS, lost - lost.mean(), atol=0.05)


def test_a_gamma_is_a_shift_of_the_logits(model):
    """The likeliest scale is then that of least expected loss plus gamma times cost."""
    rng = np.random.default_rng(2)
    images = model.student.preprocess_image([stripes(rng, 8), stripes(rng, 40)])
    costs, before = torch.tensor([0.25, 1.0]), model.selector.classify.bias.clone()
    shifted = choose_at(model.selector, 0.3, costs)
    with torch.no_grad():
        expected = -model.selector(images).numpy() / SHARPNESS + 0.3 * costs.numpy()
        logits = shifted(images).numpy()
        alone = choose_at(model.selector, 0.3, costs, [1])(images).numpy()
    np.testing.assert_allclose(logits, -SHARPNESS * expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(alone, logits[:, 1:], rtol=1e-6)
    assert torch.equal(model.selector.classify.bias, before)


def test_a_shift_of_gamma_at_inference_is_another_gamma(model):
    """Of selectors between whose gammas the choice changes."""
    images = model.student.preprocess_image([stripes(np.random.default_rng(3), 8)])
    fitted = copy.deepcopy(model.selector)
    with torch.no_grad():
        dear, cheap = fitted(images)[0, 1].item(), fitted(images)[0, 0].item()
        turning = (dear - cheap) / SHARPNESS / (model.costs[1] - model.costs[0]).item()  # both are then alike
    try:
        for gamma, shift in ((turning - 0.2, 0.1), (turning - 0.1, 0.2), (turning + 0.2, -0.1), (turning + 0.1, -0.2)):
            model.selector, model.gamma_shift = choose_at(fitted, gamma, model.costs), shift
            assert model.choose_scales(images) == [0.5 if gamma + shift > turning else 1.0]
    finally:
        model.selector, model.gamma_shift = fitted, 0.0


def test_mirrored_images_keep_their_place_in_the_batch():
    tensor = torch.arange(2 * 3 * 4 * 5.0).reshape(2, 3, 4, 5)
    images = ImageList(tensor, [(4, 5), (2, 3)])
    seen = set()
    for seed in range(30):
        result = mirrored(images, torch.Generator().manual_seed(seed)).tensor.numpy()
        small, before = result[1, :, :2, :3], tensor[1, :, :2, :3].numpy()
        views = [before, before[:, ::-1], before[:, :, ::-1], before[:, ::-1, ::-1]]
        seen.add([np.array_equal(small, view) for view in views].index(True))
        np.testing.assert_array_equal(result[1, :, 2:], tensor[1, :, 2:])
        np.testing.assert_array_equal(result[1, :, :2, 3:], tensor[1, :, :2, 3:])
    assert seen == {0, 1, 2, 3}


def test_describes_a_choice():
    losses = ScaleLosses(torch.tensor([[2.0, 0.0], [1.0, 1.0]]), torch.tensor([1, 1]))
    text = describe_choice(torch.tensor([1, 1]), losses, 0.5, torch.tensor([0.2, 0.6]), SCALES).splitlines()
    assert text[1].split()[1:4] == ["0.5000", "0.6000", "0.8000"] and "0.5: 0%, 1: 100%" in text[1]
    assert text[2].split()[3:6] == ["1.5000", "0.2000", "1.6000"]
    assert text[4].split()[3:6] == ["0.5000", "0.4000", "0.7000"] and "0.5: 50%, 1: 50%" in text[4]


@pytest.mark.parametrize(
    "lost, chosen, says",
    [
        # (images, scales) of what is lost, and the choice; without costs.
        ([[0.0, 1.0], [1.0, 0.0]] * 10, [0, 1] * 10, None),  # half of the images lose nothing more
        ([[0.0, 1.0], [1.0, 0.9]] * 10, [1, 1] * 10, "0.5 for all loses 0.4500 less"),
        ([[0.0, 1.0]] * 20, [0] * 20, "the choice is 0.5 for all"),
        ([[0.0, 1.0]] * 19 + [[1.0, 0.0]], [0] * 19 + [1], "loses 0.0500 less than 0.5 for all"),
    ],
)
def test_advice(lost, chosen, says):
    losses = ScaleLosses(torch.tensor(lost), torch.ones(len(lost)))
    found = advise(torch.tensor(chosen), losses, 0.0, torch.zeros(2), SCALES)
    assert found is None if says is None else says in found


def test_advice_counts_the_images_that_would_tell():
    """One image of 20 gains 1: mean 1/20, spread sqrt(19)/20, so that (2 spread / mean)^2 = 76 images are needed."""
    losses = ScaleLosses(torch.tensor([[0.0, 1.0]] * 19 + [[1.0, 0.0]]), torch.ones(20))
    found = advise(torch.tensor([0] * 19 + [1]), losses, 0.0, torch.zeros(2), SCALES)
    assert "20 held-out images are too few" in found and "about 76 " in found
    many = ScaleLosses(losses.lost.repeat(5, 1), torch.ones(100))
    assert advise(torch.tensor([0] * 19 + [1]).repeat(5), many, 0.0, torch.zeros(2), SCALES) is None


def test_costs_count_in_the_advice():
    losses = ScaleLosses(torch.tensor([[0.1, 0.0]] * 20), torch.ones(20))
    chosen, costs = torch.ones(20, dtype=torch.long), torch.tensor([0.2, 0.6])
    assert "MODEL.DLD.FIXED_SCALE 1 " in advise(chosen, losses, 0.0, costs, SCALES)  # it is always the dear one
    assert "0.5 for all loses 0.3000 less" in advise(chosen, losses, 1.0, costs, SCALES)


def test_the_tool_keeps_readings_and_writes_a_checkpoint_for_each_gamma(tmp_path, monkeypatch, capsys):
    tool = toy.load_script("tools/fit_selector.py")
    json_file, images = toy.write_toy_dataset(tmp_path, 4)
    cfg = toy_cfg("DATASETS.CUSTOM", [["fitting_toy", images, json_file]])
    (tmp_path / "toy.yaml").write_text(cfg.dump(), encoding="utf-8")
    torch.save({"model": build_model(cfg).student.state_dict()}, tmp_path / "spotter.pth")
    options = ["--config-file", str(tmp_path / "toy.yaml"), "--data-set", "fitting_toy", "--iterations", "2"]
    options += ["--held-out", "0.5", "--gammas", "0.1", "0.3", "--output", str(tmp_path / "out")]
    options += ["MODEL.WEIGHTS", str(tmp_path / "spotter.pth")]
    assert tool.main(options) == 0
    printed = capsys.readouterr()
    assert printed.out.count("2 images, gamma") == 2 and "warning: a fit to 2 images" in printed.err
    weights = torch.load(tmp_path / "out" / "gamma0.3.pth", weights_only=False)["model"]
    assert {name.split(".")[0] for name in weights} >= {"student", "teacher", "selector"}
    monkeypatch.setattr(tool, "measure_scale_losses", lambda *_: pytest.fail("it was measured before"))
    assert tool.main(options) == 0
    assert tool.main(["--among", "0.5", "--among", "1.0", "0.5", *options]) == 0
    weights = torch.load(tmp_path / "out" / "gamma0.3_0.5.pth", weights_only=False)["model"]
    assert weights["selector.classify.bias"].shape == (1,)
    turned = torch.load(tmp_path / "out" / "gamma0.3_1-0.5.pth", weights_only=False)["model"]["selector.classify.bias"]
    assert torch.equal(turned[1:], weights["selector.classify.bias"])
    # Another teacher: other readings, and its weights go into the checkpoint.
    torch.save({"model": build_model(cfg).student.state_dict()}, tmp_path / "other.pth")
    with pytest.raises(pytest.fail.Exception, match="it was measured before"):
        tool.main([*options, "MODEL.DLD.TEACHER_WEIGHTS", str(tmp_path / "other.pth")])
    monkeypatch.undo()
    assert tool.main([*options, "MODEL.DLD.TEACHER_WEIGHTS", str(tmp_path / "other.pth")]) == 0
    weights = torch.load(tmp_path / "out" / "gamma0.3.pth", weights_only=False)["model"]
    for part, file in (("student", "spotter.pth"), ("teacher", "other.pth")):
        given = torch.load(tmp_path / file, weights_only=True)["model"]
        assert all(torch.equal(weights[f"{part}.{name}"], value) for name, value in given.items())
    assert tool.main(["--among", "0.7", *options]) == 1
    assert "0.7 is none of MODEL.DLD.SCALES" in capsys.readouterr().err
    assert tool.main([*options, "MODEL.WEIGHTS", ""]) == 1
    assert "add MODEL.WEIGHTS" in capsys.readouterr().err
    torch.save({"model": {f"student.{n}": v for n, v in given.items()}}, tmp_path / "exported.pth")
    assert tool.main([*options, "MODEL.WEIGHTS", str(tmp_path / "exported.pth")]) == 1
    assert "holds no teacher" in capsys.readouterr().err
    assert tool.main([*options, "MODEL.DLD.SCALES", "(0.5,)"]) == 1
    assert "there is no selector" in capsys.readouterr().err
